"""What a model may write instead of what it was asked for."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emojudge.answers import match, read, share
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues

LABELS = ("Sad", "Happy", "Surprise")


def prompt(confidence_from="stated", labels=LABELS):
    settings = JudgeSettings(confidence_from=confidence_from)
    return build("a", "Well.", Cues("a", 1.0), shown="Sad", labels=labels, settings=settings)


def verdict(content, finish="stop", confidence_from="stated", **message):
    completion = {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}
    return read(completion, prompt(confidence_from), "test")


def answer(**changes):
    return json.dumps({"reason": "so", "probabilities": {"Sad": 10, "Happy": 90}, "label": "Happy", "confidence": 93} | changes)


@pytest.mark.parametrize(
    "content",
    [
        answer(),
        f"```json\n{answer()}\n```",
        f"Sure! Here it is:\n{answer()}\nHope that helps.",
        answer(label="hAPPY "),
        answer(label="Ｈａｐｐｙ"),
        answer(confidence=0.93),
        answer(extra={"label": "Sad"}),
    ],
)
def test_good_answers(content):
    found = verdict(content)
    assert (found.label, found.confidence, found.outcome) == ("Happy", 0.93, "ok")
    assert (
        found.probabilities == {"Sad": 0.1, "Happy": 0.9, "Surprise": 0.0} == {k: found.probabilities[k] for k in prompt().labels}
    )
    assert found.key == prompt().key("test") and found.judge == "test"


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "Happy",
        "{",
        "[1, 2]",
        '{"label": "Happy"}',
        answer(label="Joy"),
        answer(label=["Happy", "Sad"]),
        answer(label=None),
        answer(confidence="high"),
        answer(confidence=250),
        answer(confidence=-1),
        answer(confidence=math.nan),
        answer(confidence=math.inf),
        answer(confidence=True),
        answer(confidence=None),
        answer(probabilities=[1, 2]),
        "{" * 5000 + "}" * 5000,
        '{"a":' * 50_000 + "}" * 50_000,
        answer(reason="x" * 200_000),
    ],
)
def test_bad_answers_are_invalid_and_say_why(content):
    found = verdict(content)
    assert (found.label, found.confidence, found.outcome) == (None, 0.0, "invalid")
    assert found.reason and len(found.reason) <= 500


def test_refused_filtered_and_truncated():
    assert verdict(None, refusal="I cannot do that").outcome == "refusal"
    assert verdict(answer(), finish="content_filter").outcome == "refusal"
    assert verdict(answer()[:-1], finish="length").outcome == "truncated"


@pytest.mark.parametrize("completion", [{}, {"choices": []}, {"choices": None}, {"choices": [None]}, {"error": "no"}, []])
def test_no_completion_at_all(completion):
    assert read(completion, prompt(), "test").outcome == "invalid"


@pytest.mark.parametrize(
    "stated",
    [{"Sad": math.nan}, {"Sad": -5, "Happy": 0}, {"Joy": 100}, {"Sad": "90", "Happy": 5}, {}, {"Sad": 1e999}, {"Sad": 10**400}],
)
def test_senseless_probabilities_are_dropped_and_the_answer_stays(stated):
    found = verdict(answer(probabilities=stated))
    assert (found.label, dict(found.probabilities)) == ("Happy", {})


def test_confidence_from_the_stated_probabilities():
    assert verdict(answer(), confidence_from="labels").confidence == 0.9
    assert verdict(answer(probabilities={}), confidence_from="labels").outcome == "invalid"


def tokens(**probabilities):
    top = [{"token": token, "logprob": math.log(p)} for token, p in probabilities.items()]
    completion = {
        "choices": [{"message": {"content": "x"}, "finish_reason": "length", "logprobs": {"content": [{"top_logprobs": top}]}}]
    }
    return read(completion, prompt("logprobs"), "test")


def test_confidence_from_the_label_token():
    found = tokens(Sur=0.6, sad=0.1, Hap=0.1, The=0.2)
    assert found.label == "Surprise"
    assert found.confidence == pytest.approx(0.75)
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_a_token_more_than_certain_counts_as_certain():
    assert tokens(Sad=1e300, Happy=1e300).probabilities == pytest.approx({"Sad": 0.5, "Surprise": 0, "Happy": 0.5})


def test_a_shared_beginning_counts_for_each_label_in_equal_parts():
    assert tokens(S=0.8, Happy=0.2).probabilities == pytest.approx({"Sad": 0.4, "Surprise": 0.4, "Happy": 0.2})


def test_a_model_that_would_say_something_else_gave_no_answer():
    assert tokens(The=0.7, Sad=0.2).outcome == "invalid"


def test_scale():
    assert [share(x) for x in (0, 1, 1.0, 0.5, 50, 99.5, 100)] == [0, 0.01, 1, 0.5, 0.5, 0.995, 1]


def test_control_characters_leave_the_reason():
    assert verdict(answer(reason="a\u202eb\x00 <b>")).reason == "ab <b>"


@given(st.text())
def test_any_text_gives_a_verdict_and_never_a_foreign_label(content):
    found = verdict(content)
    assert found.outcome in ("ok", "invalid")
    assert found.label is None or found.label in LABELS


@given(st.text())
def test_match_stays_in_the_set(label):
    assert match(label, LABELS) in (None, *LABELS)

"""Who is asked, in what order, once; consent; estimates; replay."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from emojudge.answers import Reply
from emojudge.costs import estimate
from emojudge.errors import ConfigError, ConsentError, DataError, JudgeError, UnknownName
from emojudge.judging import SHARD, choose, judge, open_judge, prompts
from emojudge.ledger import Ledger
from emojudge.prompts import build
from emojudge.refine import margin
from emojudge.registry import names
from emojudge.settings import JudgeSettings
from emojudge.storage import write_jsonl
from emojudge.types import EMOTIONS, Cues, Prediction, Utterance, Verdict

LABELS = ("Sad", "Happy")


def row(name, source, sad):
    return Prediction(name, source, {"Sad": sad, "Happy": 1 - sad})


def ask(count, start=0, **settings):
    for number in range(start, start + count):
        name = str(number)
        yield build(name, f"Line {name}.", Cues(name, 1.0), shown="Sad", labels=LABELS, settings=JudgeSettings(**settings))


@dataclass
class Oracle:
    """A judge for tests: says "Happy" to everyone, last things first, and may fail after some answers."""

    name: str = "oracle"
    remote: bool = False
    recorded: bool = False
    fail_after: int = 10**9
    asked: list = field(default_factory=list)
    outcome: str = "ok"

    def judge(self, given) -> Iterator[Reply]:
        for prompt in reversed(given):
            if len(self.asked) >= self.fail_after:
                raise KeyboardInterrupt
            self.asked.append(prompt.id)
            yield Reply(
                Verdict(prompt.id, "Happy", confidence=0.9, judge=self.name, key=prompt.key(self.name), outcome=self.outcome)
            )


def test_everyone_conflicts_or_small_margins():
    fused = {name: row(name, "fusion", sad) for name, sad in (("a", 0.9), ("b", 0.55), ("c", 0.3))}
    audio = {name: row(name, "audio", sad) for name, sad in (("a", 0.9), ("b", 0.6))}
    text = {name: row(name, "text", sad) for name, sad in (("a", 0.2), ("b", 0.9), ("c", 0.9))}
    assert choose("all", fused, audio, text) == ["a", "b", "c"]
    assert choose("conflict", fused, audio, text) == ["a"]
    assert choose("margin:0.2", fused, {}, {}) == ["b"]
    assert choose("margin:0", fused, {}, {}) == []


def test_conflicts_need_two_models():
    with pytest.raises(ConfigError, match=r"margin:0\.2"):
        choose("conflict", {"a": row("a", "fusion", 0.5)}, {}, {"a": row("a", "text", 0.5)})


def test_the_margin_of_one_label_is_its_score():
    assert margin(Prediction("a", "fusion", {"Sad": 1.0})) == 1


def test_every_prompt_gets_its_verdict_in_order_whatever_the_order_of_arrival(tmp_path):
    oracle = Oracle()
    found = list(judge(ask(SHARD + 10), oracle, tmp_path / "l"))
    assert [verdict.id for verdict in found] == [str(number) for number in range(SHARD + 10)]
    assert {verdict.label for verdict in found} == {"Happy"}


def test_nothing_is_asked_twice(tmp_path):
    list(judge(ask(5), Oracle(), tmp_path / "l"))
    oracle = Oracle()
    assert len(list(judge(ask(7), oracle, tmp_path / "l"))) == 7
    assert oracle.asked == ["6", "5"]


def test_equal_requests_are_asked_once_and_answered_each(tmp_path):
    oracle = Oracle()
    same = [build(i, "Hi.", Cues(i, 1.0), shown="Sad", labels=LABELS, settings=JudgeSettings()) for i in ("a", "b")]
    assert [verdict.id for verdict in judge(same, oracle, tmp_path / "l")] == ["a", "b"]
    assert oracle.asked == ["b"] or oracle.asked == ["a"]


def test_stopped_half_way_and_run_again_asks_the_rest_only(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        list(judge(ask(10), Oracle(fail_after=4), tmp_path / "l"))
    oracle = Oracle()
    found = list(judge(ask(10), oracle, tmp_path / "l"))
    assert len(found) == 10 and len(oracle.asked) == 6
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.totals()["requests"] == ledger.totals()["answers"] == 10


def test_errors_are_asked_again(tmp_path):
    assert [v.outcome for v in judge(ask(2), Oracle(outcome="error"), tmp_path / "l")] == ["error", "error"]
    assert [v.outcome for v in judge(ask(2), Oracle(), tmp_path / "l")] == ["ok", "ok"]


def test_leaving_early_closes_the_ledger(tmp_path):
    answers = judge(ask(3), Oracle(), tmp_path / "l")
    next(answers)
    answers.close()
    Ledger(tmp_path / "l").close()


def test_memory_is_bounded_by_the_shard(tmp_path):
    seen = 0

    def counted():
        nonlocal seen
        for prompt in ask(3 * SHARD):
            seen += 1
            yield prompt

    answers = judge(counted(), Oracle(), tmp_path / "l")
    next(answers)
    assert seen == SHARD
    answers.close()


def test_prompts_see_text_and_gender_only_and_miss_no_cues():
    fused = {"a": row("a", "fusion", 0.9)}
    people = {"a": Utterance("a", text="Hi.", gender="F")}
    settings = JudgeSettings(speaker_cues=True)
    (made,) = prompts(["a"], people, {"a": Cues("a", 1.0)}, fused, labels=LABELS, settings=settings)
    assert made.shown == "Sad" and "female" in made.messages[-3]["content"]
    with pytest.raises(DataError, match="emojudge cues"):
        list(prompts(["a"], people, {}, fused, labels=LABELS, settings=settings))


def test_consent_is_needed_for_another_machine_and_named(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    with pytest.raises(ConsentError, match=r"api\.openai\.com.*judge\.consent=true") as caught:
        open_judge(JudgeSettings(judge="openai:gpt-4"))
    assert "canary" not in str(caught.value)
    opened = open_judge(JudgeSettings(judge="openai:gpt-4", consent=True))
    assert opened.remote and "canary" not in repr(opened)
    assert not open_judge(JudgeSettings(judge="openai:x", base_url="http://127.0.0.1:9/v1")).remote


def test_unknown_judges_are_named():
    with pytest.raises(UnknownName, match="local"):
        open_judge(JudgeSettings(judge="locl"))


def test_the_folder_holds_the_judges():
    assert {"local", "openai", "replay"} <= set(names("judges"))


def test_estimates():
    asked = list(ask(10))
    known = estimate(asked, "openai:gpt-4o")
    assert known.requests == 10 and known.tokens_in > 1000 and known.dollars > 0
    assert "unknown cost" in str(estimate(asked, "openai:unheard-of"))
    assert estimate(asked, "local:qwen").dollars == 0
    words = estimate(ask(10, confidence_from="logprobs"), "openai:gpt-4o")
    assert words.tokens_out == 10


def test_a_recording_gives_the_same_verdicts_and_leaves_no_ledger(tmp_path):
    first = list(judge(ask(5), Oracle(), tmp_path / "l"))
    write_jsonl(tmp_path / "v.jsonl", first)
    opened = open_judge(JudgeSettings(judge=f"replay:{tmp_path / 'v.jsonl'}"))
    assert list(judge(ask(5), opened, tmp_path / "none")) == first
    assert not (tmp_path / "none").exists()


def test_a_recording_answers_nothing_else(tmp_path):
    write_jsonl(tmp_path / "v.jsonl", judge(ask(5), Oracle(), tmp_path / "l"))
    opened = open_judge(JudgeSettings(judge=f"replay:{tmp_path / 'v.jsonl'}"))
    with pytest.raises(JudgeError, match="no answer to what would be asked about 5"):
        list(judge(ask(6), opened, tmp_path / "none"))
    with pytest.raises(JudgeError, match="replay with the settings of the recording"):
        list(judge(ask(5, temperature=1.0), opened, tmp_path / "none"))


def test_a_recording_is_of_one_judge(tmp_path):
    write_jsonl(tmp_path / "v.jsonl", [Verdict("a", "Sad", judge="x", key="1"), Verdict("b", "Sad", judge="y", key="2")])
    with pytest.raises(JudgeError, match="2 judges"):
        open_judge(JudgeSettings(judge=f"replay:{tmp_path / 'v.jsonl'}"))
    with pytest.raises(DataError):
        open_judge(JudgeSettings(judge="replay:nowhere.jsonl"))


def test_the_labels_of_the_paper_fit():
    one = build("a", "Hi", Cues("a", 1.0), shown="Sad", labels=EMOTIONS, settings=JudgeSettings())
    assert estimate([one], "openai:gpt-4").tokens_in < 2000

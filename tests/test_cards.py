import re

import pytest
from huggingface_hub import ModelCard

from emojudge import cards
from emojudge.aligned import read_results
from emojudge.evaluation import evaluate, find
from emojudge.registry import names
from tests.made_up_run import INJECTION, made_up_run


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    run = made_up_run(tmp_path_factory.mktemp("run"), clips=400, speakers=22, data={"corpus": "ravdess"})
    rows = evaluate(run)
    return run, rows, cards.render(run, rows, {task: read_results(run, task) for task in run.config.tasks})


def test_hugging_face_reads_the_front_matter(card):
    run, rows, text = card
    data = ModelCard(text).data
    assert (data.license, data.language, data.library_name) == ("other", "en", "emojudge")
    assert {"speech-emotion-recognition", "emotions", "attributes"} <= set(data.tags)
    values = {result.metric_name.split(" (")[0]: result.metric_value for result in data.eval_results}
    for system, name in (("fusion", "Fusion"), ("judge", "Judged")):
        assert values[f"{name}: macro-F1"] == round(find(rows, system, "macro_f1", ("emotions", "test"))["value"], 4)
    assert values["Fusion: mean CCC"] == round(find(rows, "fusion", "ccc", ("attributes", "test"), "mean")["value"], 4)
    assert {result.dataset_split for result in data.eval_results} == {"test"}


def test_the_law_the_licence_and_the_limits_are_told(card):
    _, rows, text = card
    for needed in ("article 5(1)(f)", "article 50(3)", "CC BY-NC-SA 4.0", "no legal advice", "experiment.toml", "emojudge run"):
        assert needed in text
    f1 = {row["class"]: row["value"] for row in rows if (row["system"], row["metric"], row["split"]) == ("fusion", "f1", "test")}
    assert f"worst at {min(f1, key=f1.get)}" in text
    assert "Length: short" in text and "F1 of each emotion" in text


def test_no_transcript_gets_there(card):
    assert INJECTION not in card[2] and "We got the keys" not in card[2] and "soup" not in card[2]


@pytest.mark.parametrize(
    "options",
    [
        {"judge": False, "tasks": ("attributes",), "modalities": ("text",), "data": {"corpus": "emobank"}},
        {"judge": False, "modalities": ("audio",), "tasks": ("emotions",), "folds": ("1", "2"), "seeds": (0, 1)},
        {"evaluation": {"resamples": 0}, "data": {"corpus": "table"}},
    ],
    ids=["text", "folds", "no intervals"],
)
def test_every_kind_of_run_has_a_card(tmp_path, options):
    run = made_up_run(tmp_path, clips=150, **options)
    text = cards.render(run, evaluate(run), {task: read_results(run, task) for task in run.config.tasks})
    assert ModelCard(text).data.eval_results and not re.search(r"\b(None|nan|undefined)\b", text)


@pytest.mark.parametrize("corpus", names("corpora"))
def test_the_licence_of_every_corpus_is_found_in_its_docstring(corpus):
    source, licence = cards.told(corpus)
    assert licence and len(licence) < 150 and (source or corpus == "table")


def test_a_corpus_that_nobody_knows_has_none():
    assert cards.told("no_such_corpus") == ("", "")

"""Runs on the same clips, against scikit-learn and resampling by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, recall_score

from emojudge.aligned import read_results
from emojudge.contrast import Entry, contrast, table, write
from emojudge.errors import DataError
from emojudge.metrics import ccc
from emojudge.runs import RunFolder
from emojudge.storage import read_json, write_jsonl
from emojudge.types import EMOTIONS
from tests.made_up_run import made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three folds, two seeds; "audio" and "fusion" serve as two runs."""
    options = {"resamples": 200, "confidence": 0.9, "splits": ["test"]}
    return made_up_run(
        tmp_path_factory.mktemp("run"), clips=240, speakers=12, folds=("1", "2", "3"), seeds=(0, 1), evaluation=options
    )


def pooled(run, seed, system, task="emotions"):
    """Rows of every fold of one seed, by fold and clip."""
    rows = {}
    for result in read_results(run, task):
        if result.part.seed == seed:
            for u in result.labelled("test"):
                if u.id in result.predictions[system]:
                    rows[result.part.fold, u.id] = (u, result.predictions[system][u.id])
    return rows


def macro_f1(rows, keys):
    gold, predicted = zip(*[(rows[key][0].emotion, rows[key][1].label) for key in keys], strict=True)
    return f1_score(gold, predicted, labels=EMOTIONS, average="macro", zero_division=0)


def uar(rows, keys):
    gold, predicted = zip(*[(rows[key][0].emotion, rows[key][1].label) for key in keys], strict=True)
    return recall_score(gold, predicted, average="macro", zero_division=0)


def test_folds_are_pooled_and_seeds_averaged(run):
    lines = contrast([Entry("base", run, "audio", 1.0), Entry("new", run, "fusion", 2.0)], "emotions", "test")
    rows = {name: [pooled(run, seed, system) for seed in (0, 1)] for name, system in (("base", "audio"), ("new", "fusion"))}
    for metric, score in (("Macro-F1", macro_f1), ("UAR", uar)):
        expected = {name: np.mean([score(found, found.keys()) for found in both]) for name, both in rows.items()}
        base, new = (next(line for line in lines if (line.name, line.metric) == (name, metric)) for name in ("base", "new"))
        assert base.value.value == pytest.approx(expected["base"]) and base.difference is None
        assert new.value.value == pytest.approx(expected["new"])
        assert new.difference.value == pytest.approx(expected["new"] - expected["base"])
        assert new.difference.low < new.difference.value < new.difference.high


def test_the_interval_is_that_of_resampled_speakers(run):
    line = contrast([Entry("a", run, "audio", 0), Entry("f", run, "fusion", 0)], "emotions", "test")[2]
    rows = [(pooled(run, seed, "audio"), pooled(run, seed, "fusion")) for seed in (0, 1)]
    keys = sorted(rows[0][0])
    speakers = sorted({rows[0][0][key][0].speaker for key in keys})
    rng, found = np.random.default_rng(1), []
    for _ in range(100):
        drawn = rng.choice(speakers, len(speakers))
        chosen = [key for who in drawn for key in keys if rows[0][0][key][0].speaker == who]
        found.append(np.mean([macro_f1(f, chosen) - macro_f1(a, chosen) for a, f in rows]))
    assert line.metric == "Macro-F1"
    assert [line.difference.low, line.difference.high] == pytest.approx(np.quantile(found, [0.05, 0.95]), abs=0.025)


def test_only_clips_of_both_count_in_a_difference(run, tmp_path):
    other = made_up_run(tmp_path, clips=240, speakers=12, folds=("1", "2", "3"), seeds=(0, 1), evaluation={"resamples": 0})
    for part in other.parts():
        rows = list(part.read_predictions("emotions", "audio").values())
        write_jsonl(part.predictions("emotions", "audio"), rows[::2])
    lines = contrast([Entry("whole", run, "audio", 0), Entry("half", other, "audio", 0)], "emotions", "test")
    half = next(line for line in lines if (line.name, line.metric) == ("half", "Macro-F1"))
    assert half.difference.value == half.difference.low == half.difference.high == 0  # the same predictions, where both have any
    assert half.clips < lines[0].clips


def test_attributes_are_compared_by_the_mean_ccc(run):
    lines = contrast([Entry("base", run, "audio", 0)], "attributes", "test")
    values = []
    for seed in (0, 1):
        rows = [row for row in pooled(run, seed, "audio", "attributes").values() if len(row[0].attributes) == 3]
        values += [
            ccc([u.attributes[n] for u, _ in rows], [p.scores[n] for _, p in rows]) for n in ("valence", "arousal", "dominance")
        ]
    assert [line.metric for line in lines] == ["Mean CCC"] and lines[0].value.value == pytest.approx(np.mean(values))


def test_other_labels_are_refused(run):
    fewer = run.config.model_copy(update={"data": run.config.data.model_copy(update={"labels": EMOTIONS[::-1]})})
    other = replace(run, config=fewer)
    with pytest.raises(DataError, match="other labels"):
        contrast(
            [Entry("a", run, "audio", 0), Entry("b", RunFolder(other.root, fewer, other.folds), "audio", 0)], "emotions", "test"
        )


def test_p_values_are_adjusted_for_the_number_of_runs_and_mcnemar_takes_the_same_clips(run, tmp_path):
    single = made_up_run(tmp_path, clips=240, speakers=12, folds=("1", "2", "3"), evaluation={"resamples": 200})
    entries = [Entry(name, single, name, 0) for name in ("audio", "text", "fusion")]
    lines = [line for line in contrast(entries, "emotions", "test") if line.metric == "Macro-F1"]
    assert lines[0].p is lines[0].holm is lines[0].mcnemar is lines[0].detectable is None
    two = sorted(lines[1:], key=lambda line: line.p)
    assert [line.holm for line in two] == pytest.approx([2 * two[0].p, max(2 * two[0].p, two[1].p)])
    rows = {name: pooled(single, 0, name) for name in ("audio", "fusion")}
    right = {name: [p.label == u.emotion for u, p in found.values()] for name, found in rows.items()}
    only = [
        sum(a and not b for a, b in zip(right[x], right[y], strict=True)) for x, y in (("audio", "fusion"), ("fusion", "audio"))
    ]
    assert lines[2].mcnemar == pytest.approx(binomtest(only[0], sum(only)).pvalue)
    assert 0 < lines[2].detectable < 0.5
    assert contrast([Entry("a", run, "audio", 0), Entry("b", run, "fusion", 0)], "emotions", "test")[2].mcnemar is None, (
        "two seeds"
    )


def test_another_truth_is_refused(run, tmp_path):
    other = made_up_run(tmp_path, clips=240, speakers=12, folds=("1", "2", "3"), seeds=(0, 1), evaluation={"resamples": 0})
    for part in other.parts():
        rows = [replace(u, emotion="Sad" if u.id == "clip-0000" else u.emotion) for u in part.manifest()]
        write_jsonl(part.manifest_file, rows)
    with pytest.raises(DataError, match="differ in the truth of clip-0000"):
        contrast([Entry("a", run, "audio", 0), Entry("b", other, "audio", 0)], "emotions", "test")


def test_tables_and_files(run, tmp_path):
    lines = contrast([Entry("base", run, "audio", 3.2), Entry("new", run, "fusion", 61)], "emotions", "test")
    made = table(lines, "Mine")
    assert made.headers == ["Run", "Macro-F1", "Δ Macro-F1", "Holm p", "McNemar p", "Shows from", "UAR", "Δ UAR", "s"]
    assert [row[0] for row in made.rows] == ["base", "new"] and made.rows[0][2] == "–" and made.rows[1][-1] == "61"
    assert all(len(row) == len(made.headers) for row in made.rows)
    write(tmp_path, "mine", [made], lines, "A trial.")
    assert (tmp_path / "mine.md").read_text(encoding="utf-8").startswith("**A trial.**\n\n### Mine")
    assert read_json(tmp_path / "mine.json")["rows"][2]["difference"]["value"] == lines[2].difference.value

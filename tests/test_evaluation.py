import json
from dataclasses import replace

import numpy as np
import pytest

from emojudge.aligned import read_results
from emojudge.corpus_tables import data_table
from emojudge.errors import ConfigError, DataError, LeakageError, ModelError
from emojudge.evaluation import evaluate, find
from emojudge.metrics import ccc, macro_f1
from emojudge.runs import RunFolder
from emojudge.storage import read_json, read_jsonl, write_json, write_jsonl
from emojudge.tables import judge_table, published, results_table, to_markdown
from emojudge.types import ATTRIBUTES, EMOTIONS, Prediction, Utterance, Verdict
from emojudge.typeset import tables
from tests.made_up_run import made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("run"), clips=500, speakers=24)


@pytest.fixture(scope="module")
def rows(run):
    return evaluate(run)


def value(rows, system, metric, task="emotions", split="test", name=""):
    return find(rows, system, metric, (task, split), name)["value"]


def by_hand(run, system, task, split):
    """Gold and prediction straight from the files."""
    people = {u.id: u for u in read_jsonl(run.file("manifest.jsonl"), Utterance) if u.split == split and u.emotion}
    path = run.parts()[0].predictions(task, system)
    return [(people[p.id], p) for p in read_jsonl(path, Prediction) if p.id in people]


def test_rows_are_flat_and_complete_and_stored(run, rows):
    keys = {"system", "task", "split", "metric", "class", "value", "low", "high", "n", "part"}
    assert all(row.keys() == keys for row in rows)
    stored = json.loads(run.file("metrics.json").read_text())
    assert stored["format"] == 1 and stored["rows"] == rows and "nothing about people" in stored["notice"]
    assert len({(r["system"], r["task"], r["split"], r["metric"], r["class"], r["part"]) for r in rows}) == len(rows)


@pytest.mark.parametrize("system", ["audio", "text", "fusion", "judge"])
def test_emotion_scores_are_those_of_the_files(run, rows, system):
    pairs = by_hand(run, system, "emotions", "test")
    gold, predicted = [u.emotion for u, _ in pairs], [p.label for _, p in pairs]
    assert value(rows, system, "macro_f1") == pytest.approx(macro_f1(gold, predicted, EMOTIONS))
    row = find(rows, system, "macro_f1", ("emotions", "test"))
    assert row["low"] < row["value"] < row["high"] and row["n"] == len(pairs)
    mean = np.mean([value(rows, system, "f1", name=label) for label in EMOTIONS])
    assert mean == pytest.approx(row["value"])


def test_attribute_scores_are_keyed_by_name(run, rows):
    pairs = by_hand(run, "fusion", "attributes", "test")
    scores = {name: ccc([u.attributes[name] for u, _ in pairs], [p.scores[name] for _, p in pairs]) for name in ATTRIBUTES}
    for name, score in scores.items():
        assert value(rows, "fusion", "ccc", "attributes", name=name) == pytest.approx(score)
    assert value(rows, "fusion", "ccc", "attributes", name="mean") == pytest.approx(np.mean([*scores.values()]))


def test_pairs_and_the_judge(run, rows):
    for first, second in (("judge", "fusion"), ("fusion", "audio"), ("fusion", "text")):
        difference = value(rows, f"{first}-{second}", "macro_f1_difference")
        assert difference == pytest.approx(value(rows, first, "macro_f1") - value(rows, second, "macro_f1"))
    assert find(rows, "fusion-text", "ccc_difference", ("attributes", "test"), "mean")["low"] > 0
    asked = len(list(read_jsonl(run.parts()[0].verdicts(), Verdict)))
    n = find(rows, "judge", "macro_f1", ("emotions", "test"))["n"]
    assert value(rows, "judge", "coverage") == pytest.approx(asked / n)
    net = value(rows, "judge", "helped") - value(rows, "judge", "harmed")
    assert net / n == pytest.approx(value(rows, "judge", "accuracy") - value(rows, "fusion", "accuracy"))
    assert find(rows, "judge", "macro_f1", ("emotions", "dev")) is None, "it was not asked about dev"


def test_clips_without_an_answer_are_left_out_and_counted(rows):
    assert value(rows, "", "unlabelled") == 1
    assert value(rows, "fusion", "unpredicted") == 0


def test_folds_and_seeds_are_averaged(tmp_path):
    run = made_up_run(tmp_path, clips=400, folds=("1", "2", "3"), seeds=(0, 1), tasks=("emotions",))
    rows = evaluate(run)
    whole = find(rows, "fusion", "macro_f1", ("emotions", "test"))
    parts = {
        r["part"]: r["value"]
        for r in rows
        if (r["system"], r["metric"], r["split"]) == ("fusion", "macro_f1", "test") and r["part"]
    }
    assert set(parts) == {f"fold-{f}/seed-{s}" for f in "123" for s in "01"}
    assert whole["value"] == pytest.approx(np.mean([*parts.values()]))
    by_seed = [np.mean([v for name, v in parts.items() if name.endswith(s)]) for s in ("seed-0", "seed-1")]
    assert whole["sd"] == pytest.approx(np.std(by_seed, ddof=1))
    assert whole["n"] == 400, "each clip is tested in one fold"
    assert "± " in to_markdown(results_table(run.config, rows, "emotions", "test"))


def test_what_the_fusion_was_fitted_on_is_not_scored(tmp_path):
    run = made_up_run(tmp_path, clips=120, tasks=("emotions",))
    path = run.parts()[0].fusion("emotions")
    fitted = read_json(path)["fitted_on"]
    write_json(path, {"fitted_on": fitted, "cross_fitted": fitted[1:]})
    with pytest.raises(LeakageError, match=f"1 clips of the dev split .as {fitted[0]}."):
        evaluate(run)
    assert not run.file("metrics.json").exists()
    assert find(evaluate(run, allow_fitted=True), "fusion", "macro_f1", ("emotions", "dev"))


def test_what_a_calibrated_judge_was_fitted_on_is_not_scored(tmp_path):
    run = made_up_run(tmp_path, clips=120, tasks=("emotions",), evaluation={"splits": ["test"], "resamples": 10})
    calibrated = run.config.judge.model_copy(update={"policy": "calibrated"})
    run = replace(run, config=run.config.model_copy(update={"judge": calibrated}))
    test = [u.id for u in run.parts()[0].manifest() if u.split == "test" and u.emotion]
    write_json(run.parts()[0].calibration(), {"fitted_on": test[:2], "cross_fitted": test[:1]})
    with pytest.raises(LeakageError, match=f"1 clips of the test split .as {test[1]}. were used to fit the calibrated judge"):
        evaluate(run)
    write_json(run.parts()[0].calibration(), {"fitted_on": test[:2], "cross_fitted": test[:2]})
    assert find(evaluate(run), "judge", "macro_f1", ("emotions", "test"))


def test_the_other_policys_calibration_does_not_concern_the_threshold(tmp_path):
    run = made_up_run(tmp_path, clips=120, tasks=("emotions",), evaluation={"splits": ["test"], "resamples": 10})
    test = [u.id for u in run.parts()[0].manifest() if u.split == "test" and u.emotion]
    write_json(run.parts()[0].calibration(), {"fitted_on": test, "cross_fitted": []})
    assert find(evaluate(run), "judge", "macro_f1", ("emotions", "test"))


def test_where_the_threshold_was_chosen_the_judge_is_not_scored(tmp_path):
    options = {"splits": ["test"], "judge_chosen_on": ["test"], "resamples": 10}
    run = made_up_run(tmp_path, clips=120, tasks=("emotions",), evaluation=options)
    with pytest.raises(LeakageError, match=r"threshold was chosen on test .evaluation.judge_chosen_on."):
        evaluate(run)
    assert evaluate(run, allow_fitted=True)
    unjudged = made_up_run(tmp_path / "b", clips=120, tasks=("emotions",), judge=False, evaluation=options)
    assert find(evaluate(unjudged), "fusion", "macro_f1", ("emotions", "test"))


def test_the_training_split_is_not_scored(tmp_path):
    run = made_up_run(tmp_path, clips=120, tasks=("emotions",), evaluation={"splits": ["train"]})
    with pytest.raises(LeakageError, match="train split"):
        evaluate(run)
    assert evaluate(run, allow_fitted=True)


def test_mixed_label_sets_are_refused(tmp_path):
    run = made_up_run(tmp_path, clips=120, tasks=("emotions",))
    path = run.parts()[0].predictions("emotions", "text")
    predictions = list(read_jsonl(path, Prediction))
    write_jsonl(path, [Prediction(predictions[0].id, "text", {"Calm": 1.0}), *predictions[1:]])
    with pytest.raises(ModelError, match="scores Calm"):
        evaluate(run)


def test_a_gold_label_outside_the_set_is_refused(tmp_path):
    run = made_up_run(tmp_path, clips=120, tasks=("emotions",))
    people = list(read_jsonl(run.file("manifest.jsonl"), Utterance))
    write_jsonl(run.file("manifest.jsonl"), [Utterance("odd", split="test", emotion="Calm"), *people])
    with pytest.raises(ModelError, match="'Calm'"):
        evaluate(run)


def test_half_a_run_is_not_scored(tmp_path):
    run = made_up_run(tmp_path, clips=200, folds=("1", "2"), tasks=("emotions",), judge=False)
    run.parts()[1].predictions("emotions", "fusion").unlink()
    with pytest.raises(DataError, match=r"no fusion predictions for fold-2/seed-0 \(1 of 2"):
        evaluate(run)


def test_speakers_nobody_knows_stand_for_themselves(tmp_path):
    run = made_up_run(tmp_path, clips=60, tasks=("emotions",))
    people = [Utterance(u.id, emotion=u.emotion, split="test") for u in read_jsonl(run.file("manifest.jsonl"), Utterance)]
    write_jsonl(run.file("manifest.jsonl"), people)
    aligned = read_results(run, "emotions")[0].align("audio", "test")
    assert len(set(aligned.clusters)) == len(aligned.ids) == 60


def test_sessions_are_resampled_where_they_are_known(tmp_path):
    run = made_up_run(tmp_path, clips=60, tasks=("emotions",), evaluation={"cluster": "session", "splits": ["test"]})
    people = [
        Utterance(u.id, emotion=u.emotion, split="test", speaker=u.speaker, session=f"s{n % 3}" if n < 30 else None)
        for n, u in enumerate(read_jsonl(run.file("manifest.jsonl"), Utterance))
    ]
    write_jsonl(run.file("manifest.jsonl"), people)
    clusters = read_results(run, "emotions")[0].align("audio", "test").clusters
    assert set(clusters[:30]) == {"session s0", "session s1", "session s2"}
    assert all(name.startswith("speaker ") for name in clusters[30:])
    items = run.config.model_copy(update={"evaluation": run.config.evaluation.model_copy(update={"cluster": "item"})})
    by_item = read_results(replace(run, config=items), "emotions")[0].align("audio", "test").clusters
    assert len(set(by_item)) == 60


def test_differences_say_what_chance_and_their_number_do(run, rows):
    where = ("emotions", "test")
    pairs = sorted({r["system"] for r in rows if r["metric"] == "holm_p" and r["split"] == "test" and "+" not in r["system"]})
    found = {pair: find(rows, pair, "bootstrap_p", where)["value"] for pair in pairs if find(rows, pair, "bootstrap_p", where)}
    adjusted = {pair: find(rows, pair, "holm_p", where)["value"] for pair in found}
    assert min(adjusted.values()) == pytest.approx(min(1, len(found) * min(found.values())))
    assert all(adjusted[pair] >= found[pair] for pair in found)
    for pair in found:
        row, least = find(rows, pair, "macro_f1_difference", where), find(rows, pair, "detectable", where)["value"]
        width = (row["high"] - row["low"]) / 2 / 1.96  # a standard deviation, were it normal
        assert least == pytest.approx(width * (1.96 + 0.84), rel=0.35), "about 2.8 standard errors, more with few speakers"
    assert find(rows, "fusion-text", "holm_p", ("attributes", "test"), "mean")["value"] < 0.05


def test_confusions_are_counted(run, rows):
    pairs = by_hand(run, "fusion", "emotions", "test")
    counts = {
        row["class"]: row["value"]
        for row in rows
        if (row["system"], row["split"], row["metric"]) == ("fusion", "test", "confusion")
    }
    assert sum(counts.values()) == len(pairs)
    assert counts["Sad > Happy"] == sum(u.emotion == "Sad" and p.label == "Happy" for u, p in pairs)


def test_an_attribute_by_another_name_is_refused(tmp_path):
    run = made_up_run(tmp_path, clips=60, tasks=("attributes",), judge=False)
    path = run.parts()[0].predictions("attributes", "text")
    first, *rest = read_jsonl(path, Prediction)
    renamed = {"activation" if name == "arousal" else name: value for name, value in first.scores.items()}
    write_jsonl(path, [replace(first, scores=renamed), *rest])
    with pytest.raises(ModelError, match=r"scores valence, activation, dominance for .*, not valence, arousal, dominance"):
        evaluate(run)


def test_attributes_are_never_taken_by_position(tmp_path):
    """Scores in another order in the file are the same scores."""
    run = made_up_run(tmp_path, clips=120, tasks=("attributes",), judge=False, evaluation={"splits": ["test"], "resamples": 0})
    before = evaluate(run)
    path = run.parts()[0].predictions("attributes", "fusion")
    turned = [Prediction(p.id, "fusion", dict(reversed(p.scores.items()))) for p in read_jsonl(path, Prediction)]
    write_jsonl(path, turned)
    assert evaluate(run) == before


def test_one_speaker_gives_no_interval(tmp_path):
    run = made_up_run(tmp_path, clips=60, speakers=1, tasks=("emotions",), evaluation={"splits": ["test"]})
    row = find(evaluate(run), "fusion", "macro_f1", ("emotions", "test"))
    assert row["value"] is not None and row["low"] is None and row["high"] is None


def test_a_run_without_judge_or_text_is_scored(tmp_path):
    run = made_up_run(tmp_path, clips=120, judge=False)
    for name in ("text", "fusion"):
        for task in run.config.tasks:
            run.parts()[0].predictions(task, name).unlink()
    rows = evaluate(run)
    assert {row["system"].split("+")[0].split("-")[0] for row in rows} == {"", "audio"}
    assert tables(run, rows)


def test_every_published_row_can_be_printed(run, rows):
    config = run.config
    for corpus, task, split, count in (
        ("ravdess", "emotions", "test", 7),
        ("emodb", "emotions", "test", 6),
        ("msp_podcast", "emotions", "dev", 8),
        ("msp_podcast", "emotions", "test", 9),
        ("msp_podcast", "attributes", "test", 5),
        ("emobank", "attributes", "test", 4),
        ("meld", "emotions", "test", 2),
    ):
        theirs = published(
            config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"published": corpus})}), task, split
        )
        assert len(theirs) == count
        assert all(row["source"] and row["scores"] and all(0 < v < 1 for v in row["scores"].values()) for row in theirs)
    assert published(config, "emotions", "test") == []
    with pytest.raises(ConfigError, match="emodb"):
        published(
            config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"published": "nowhere"})}),
            "emotions",
            "test",
        )


@pytest.mark.shared
@pytest.mark.parametrize("corpus", ["ravdess", "emodb"])
def test_published_rows_are_those_of_the_corpus_files(run, shared, corpus):
    config = run.config.model_copy(update={"evaluation": run.config.evaluation.model_copy(update={"published": corpus})})
    theirs = json.loads((shared / corpus / "emobox_folds.json").read_text())["published_ua_wa_f1_percent"]
    ours = {
        row["system"]: [row["scores"][m] * 100 for m in ("uar", "accuracy", "macro_f1")]
        for row in published(config, "emotions", "test")
    }
    assert ours.keys() == theirs.keys()
    for system, figures in theirs.items():
        assert ours[system] == pytest.approx(figures)


def test_published_means_are_the_means_of_what_is_keyed_by_name(run):
    config = run.config.model_copy(update={"evaluation": run.config.evaluation.model_copy(update={"published": "msp_podcast"})})
    for split in ("dev", "test"):
        for row in (row for row in published(config, "attributes", split) if "ccc.valence" in row["scores"]):
            assert row["scores"]["ccc.mean"] == pytest.approx(
                np.mean([row["scores"][f"ccc.{a}"] for a in ATTRIBUTES]), abs=1.1e-3
            )


def test_published_rows_stand_below_ours(tmp_path):
    run = made_up_run(tmp_path, clips=120, evaluation={"published": "emobank"})
    made = {table.title: table for table in tables(run, evaluate(run))}
    table = made["Attributes, test: Pearson's r"]
    assert table.rows[-1] == ["RoBERTa-Large, GoEmotions then EmoBank", "0.835", "0.573", "0.529"]
    assert "arXiv 1911.02499" in table.note


def test_tables_hold_what_the_rows_say(run, rows):
    made = {table.title: table for table in tables(run, rows)}
    fusion = next(row for row in made["Emotions, test"].rows if row[0] == "Fusion")
    row = find(rows, "fusion", "macro_f1", ("emotions", "test"))
    assert fusion[1] == f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    assert judge_table(run.config, rows).rows[0][0] == "test, threshold"
    data = data_table(list(read_jsonl(run.manifest_file(), Utterance)), run.config)
    shares = [float(row[1].rstrip("%")) for row in data.rows[:8]]
    assert sum(shares) == pytest.approx(100, abs=0.05)
    assert [row[0] for row in data.rows[8:]] == ["No label", "Total files", "Speakers"]


def test_a_run_folder_without_metrics_has_no_report(tmp_path):
    from emojudge.report import write

    with pytest.raises(DataError, match="metrics.json"):
        write(RunFolder.open(made_up_run(tmp_path, clips=60).root))

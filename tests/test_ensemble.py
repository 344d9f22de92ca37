"""Ensembles against scikit-learn and plain means, and what may not be mixed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from emojudge.ensemble import ensemble
from emojudge.errors import ConfigError, DataError, LeakageError, ModelError
from emojudge.runs import RunFolder
from emojudge.storage import read_json, write_json, write_jsonl
from emojudge.types import ATTRIBUTES, EMOTIONS
from tests.made_up_run import made_up_run
from tests.test_cli import call

OPTIONS = {"evaluation": {"resamples": 20}, "fusion": {"folds": 2, "steps": 3}}


def member(folder, seed, **options):
    """A made-up run whose fused predictions are its own, under noise."""
    run = made_up_run(folder, clips=160, speakers=12, **{"judge": False, **OPTIONS, **options})
    rng = np.random.default_rng(seed)
    for part in run.parts():
        for task in run.config.tasks:
            rows = []
            for p in part.read_predictions(task, "fusion").values():
                moved = {name: value * float(np.exp(rng.normal(0, 0.5))) for name, value in p.scores.items()}
                total = sum(moved.values()) if task == "emotions" else 1.0
                rows.append(replace(p, scores={name: value / total for name, value in moved.items()}))
            write_jsonl(part.predictions(task, "fusion"), rows)
    return run.root


def resplit(root, change):
    """Rewrite a run's manifest."""
    run = RunFolder.open(root)
    for part in run.parts():
        write_jsonl(part.manifest_file, [change(u) for u in part.manifest()])


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    return [member(folder / "one", 1), member(folder / "two", 2)]


def scores(root, system, split, names=EMOTIONS, task="emotions"):
    part = RunFolder.open(root).parts()[0]
    found = part.read_predictions(task, system)
    people = [u for u in part.manifest() if u.split == split and u.emotion and u.id in found]
    return people, np.array([[found[u.id].scores[name] for name in names] for u in people])


def test_weights_are_a_logistic_regression_on_dev(members, tmp_path):
    ensemble(tmp_path / "both", members)
    made = read_json(tmp_path / "both" / "emotions" / "fusion.json")
    assert made["systems"] == ["one/fusion", "two/fusion"]
    dev, *x = [scores(m, "fusion", "dev") for m in members]
    logs = np.log(np.hstack([dev[1], x[0][1]]))
    model = LogisticRegression(C=made["cost"][0], tol=1e-10, max_iter=10_000)
    model.fit((logs - logs.mean(0)) / logs.std(0), [u.emotion for u in dev[0]])
    tested, ours = scores(tmp_path / "both", "ensemble", "test")
    inputs = np.log(np.hstack([scores(m, "fusion", "test")[1] for m in members]))
    people = [u.emotion for u in RunFolder.open(members[0]).parts()[0].manifest() if u.split == "train"]
    prior = np.log([people.count(c) / sum(map(bool, people)) / np.mean([u.emotion == c for u in dev[0]]) for c in model.classes_])
    expected = np.exp(model.decision_function((inputs - logs.mean(0)) / logs.std(0)) + prior)
    expected /= expected.sum(1, keepdims=True)
    order = [EMOTIONS.index(c) for c in model.classes_]
    assert len(tested) == len(ours) > 20
    assert ours[:, order] == pytest.approx(expected, abs=1e-4)


def test_it_is_a_run_like_any_other(members, tmp_path, capsys):
    shown = call("ensemble", tmp_path / "both", *members)
    assert shown.exit_code == 0, shown.stderr
    assert "both and its members: emotions, test" in shown.stdout and "one" in shown.stdout
    rows = read_json(tmp_path / "both" / "metrics.json")["rows"]
    assert {row["system"].split("+")[0] for row in rows if row["metric"] in ("macro_f1", "ccc")} == {"ensemble"}
    assert "Ensemble" in (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    assert call("evaluate", tmp_path / "both").exit_code == 0 and call("report", tmp_path / "both").exit_code == 0
    lines = json.loads((tmp_path / "both" / "ensemble.json").read_text())["rows"]
    assert {line["name"] for line in lines} == {"both", "one", "two"}
    refused = call("run", tmp_path / "both")
    assert refused.exit_code == 2 and "is an ensemble" in refused.stderr
    before = (tmp_path / "both" / "emotions" / "predictions" / "ensemble.jsonl").stat().st_mtime_ns
    ensemble(tmp_path / "both", members)
    assert (tmp_path / "both" / "emotions" / "predictions" / "ensemble.jsonl").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="a run of its own"):
        ensemble(members[0], members)


def test_without_dev_it_is_the_plain_mean_of_runs_each_the_mean_of_its_seeds(tmp_path):
    roots = [member(tmp_path / "one", 1), member(tmp_path / "more", 2, seeds=(3, 4))]
    for root in roots:
        resplit(root, lambda u: replace(u, split="train") if u.split == "dev" else u)
    work, _, lines = ensemble(tmp_path / "mean", roots, ["evaluation.splits=['test']"])
    assert not (tmp_path / "mean" / "emotions" / "fusion.json").exists()
    parts = [part for root in roots for part in RunFolder.open(root).parts()]
    for task, names in (("emotions", EMOTIONS), ("attributes", ATTRIBUTES)):
        found = [part.read_predictions(task, "fusion") for part in parts]
        made = work.run.parts()[0].read_predictions(task, "ensemble")
        tested = {u.id for u in parts[0].manifest() if u.split != "train"} & found[0].keys()
        assert made.keys() == tested and len(found) == 3
        for id in tested:
            assert [made[id].scores[n] for n in names] == pytest.approx(
                [np.average([f[id].scores[n] for f in found], weights=[2, 1, 1]) for n in names]
            )
    assert {line.name for line in lines} == {"mean", "one", "more"}


def test_what_may_not_be_mixed(members, tmp_path):
    def refused(error, match, *, change=None, **options):
        other = member(tmp_path / match.split()[0], 3, **options)
        if change:
            resplit(other, change)
        with pytest.raises(error, match=match):
            ensemble(tmp_path / "into", [members[0], other])
        assert not (tmp_path / "into" / "run.json").exists()

    with pytest.raises(ConfigError, match="two runs"):
        ensemble(tmp_path / "into", members[:1])
    refused(DataError, "folds", folds=("1", "2"))
    refused(LeakageError, "trained on", change=lambda u: replace(u, split="train") if u.split == "test" else u)
    refused(DataError, "differ", change=lambda u: replace(u, emotion="Sad") if u.split == "test" else u)
    other = member(tmp_path / "labels", 3)
    about = read_json(other / "run.json")
    about["config"]["data"]["labels"] = ["Sad", "Happy"]
    write_json(other / "run.json", about)
    with pytest.raises(ModelError, match="other labels"):
        ensemble(tmp_path / "into", [members[0], other])

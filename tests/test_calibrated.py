"""The calibrated judge on made-up people: one that knows something helps, one that knows nothing cannot hurt."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from emojudge import fusion
from emojudge.calibrated import calibrate, opinion, weigh
from emojudge.config import load_config
from emojudge.consult import refine_part
from emojudge.errors import ConfigError, DataError
from emojudge.evaluation import evaluate, find
from emojudge.preflight import check_judge
from emojudge.refine import REASONS
from emojudge.report import render
from emojudge.settings import FusionSettings
from emojudge.storage import read_json, write_jsonl
from emojudge.tables import judge_table
from emojudge.types import Prediction, Utterance, Verdict
from tests.made_up_run import made_up_run

LABELS = ("Angry", "Happy", "Neutral", "Sad")
SEARCH = FusionSettings(steps=7)


def softmax(scores):
    return fusion.softmax(np.asarray(scores))


def made_up(seed, knows, clips=800, asked=0.8):
    """Shown predictions, verdicts and people; `knows` is how much of the truth is in the judge's probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, clips)
    people = [
        Utterance(str(n), speaker=f"s{n % 20}", split="dev" if n % 20 < 10 else "test", emotion=LABELS[k])
        for n, k in enumerate(truth)
    ]
    fused = softmax(rng.normal(0, 1, (clips, 4)) + 1.2 * np.eye(4)[truth])
    judged = softmax(1.5 * rng.normal(0, 1, (clips, 4)) + knows * np.eye(4)[truth])
    shown = {
        u.id: Prediction(u.id, "fusion", dict(zip(LABELS, row.tolist(), strict=True)))
        for u, row in zip(people, fused, strict=True)
    }
    verdicts = [
        Verdict(u.id, LABELS[row.argmax()], dict(zip(LABELS, row.tolist(), strict=True)), float(row.max()))
        for u, row in zip(people, judged, strict=True)
        if rng.random() < asked
    ]
    return shown, verdicts, people


def macro(rows, people, split="test"):
    gold = {u.id: u.emotion for u in people if u.split == split}
    rows = [p for p in rows if p.id in gold]
    return f1_score([gold[p.id] for p in rows], [p.label for p in rows], average="macro")


def judge_weight(found):
    """The largest weight that any of the judge's standardised inputs has."""
    return np.abs(np.array(found.fitted.weights)[:, 4:]).max()


def test_a_judge_that_knows_helps_as_much_as_scikit_learn_says_it_can():
    shown, verdicts, people = made_up(1, knows=2.5, asked=1.0)
    found = calibrate(shown, verdicts, people, LABELS, SEARCH)
    assert found.used
    gain = macro(found.predictions, people) - macro(shown.values(), people)
    both = np.log([[*shown[v.id].scores.values(), *v.probabilities.values()] for v in verdicts])
    gold, dev = np.array([u.emotion for u in people]), np.array([u.split == "dev" for u in people])
    theirs = LogisticRegression(C=1.0, max_iter=2000).fit(both[dev], gold[dev]).predict(both[~dev])
    reference = f1_score(gold[~dev], theirs, average="macro") - macro(shown.values(), people)
    assert gain > 0.08 and gain == pytest.approx(reference, abs=0.03)
    assert macro(found.predictions, people, "dev") > macro(shown.values(), people, "dev")


def test_a_judge_that_draws_lots_cannot_hurt():
    losses, weights = [], []
    for seed in range(5):
        shown, verdicts, people = made_up(seed, knows=0.0)
        found = calibrate(shown, verdicts, people, LABELS, SEARCH)
        losses.append(macro(shown.values(), people) - macro(found.predictions, people))
        weights.append(judge_weight(found) if found.used else 0.0)
    informed = calibrate(*made_up(0, knows=2.5), LABELS, SEARCH)
    assert np.mean(losses) < 0.002 and max(losses) < 0.01
    assert np.median(weights) < 0.1 * judge_weight(informed)


def test_who_was_not_asked_or_not_answered_keeps_everything():
    shown, verdicts, people = made_up(2, knows=2.5, asked=0.5)
    failed = [Verdict(v.id, None, outcome="invalid") if n % 7 == 0 else v for n, v in enumerate(verdicts)]
    found = calibrate(shown, failed, people, LABELS, SEARCH)
    ok = {v.id for v in failed if v.outcome == "ok"}
    assert [p.id for p in found.predictions] == list(shown)
    assert {p.note for p in found.predictions} <= set(REASONS)
    for p in found.predictions:
        assert p.id in ok or (p.scores == shown[p.id].scores and p.note in ("not_asked", "kept_invalid"))
        assert p.id not in ok or (p.note == "changed") == (p.label != shown[p.id].label)


def test_scores_end_at_the_target_prior():
    """Dev is half Sad, and mostly Sad clips were asked about: the shift is target over whole dev, as Bayes' rule has it."""
    shown, verdicts, people = made_up(3, knows=2.5)
    people = [u for n, u in enumerate(people) if u.emotion == "Sad" or n % 3 == 0]
    verdicts = [v for v in verdicts if v.label == "Sad" or int(v.id) % 2]
    shifts = []
    for target in ("uniform", dict.fromkeys(LABELS, 2.0), {"Angry": 1.0, "Happy": 1.0, "Neutral": 1.0, "Sad": 4.0}):
        fitted = calibrate(shown, verdicts, people, LABELS, FusionSettings(steps=3, target_prior=target)).fitted
        shifts.append(np.array(fitted.log_prior_shift) - fitted.log_prior_shift[0])
    dev = np.array([sum(u.emotion == name and u.split == "dev" for u in people) for name in LABELS])
    assert np.allclose(shifts[:2], np.log(dev[0] / dev))
    assert np.allclose(shifts[2] - shifts[0], [0, 0, 0, np.log(4)])


def test_too_few_answers_on_dev_are_a_sentence():
    shown, verdicts, people = made_up(4, knows=1.0, clips=60)
    on_test = [v for v in verdicts if people[int(v.id)].split == "test"]
    with pytest.raises(DataError, match="0 usable answers on dev.*judge.splits"):
        calibrate(shown, on_test, people, LABELS, SEARCH)


def test_an_opinion_without_probabilities_is_the_confidence_spread():
    assert opinion(Verdict("a", "Sad", {}, 1.0), LABELS).scores == {"Angry": 0.005, "Happy": 0.005, "Neutral": 0.005, "Sad": 1.0}


def test_both_policies_of_a_run_are_scored_side_by_side(tmp_path):
    run = made_up_run(tmp_path, tasks=("emotions",), clips=500)
    judged = run.config.judge.model_copy(update={"splits": ("dev", "test")})
    run = replace(run, config=run.config.model_copy(update={"judge": judged}))
    (part,) = run.parts()
    verdicts = [Verdict(u.id, u.emotion, confidence=0.7) for u in part.manifest() if u.emotion and u.split != "train"]
    write_jsonl(part.verdicts(), verdicts)
    refine_part(run, part, "fusion")
    found = {s: part.read_predictions("emotions", s) for s in ("judge", "calibrated")}
    assert {p.note for p in found["judge"].values()} == {"kept_agree", "kept_low_confidence"}
    assert {p.source for p in found["calibrated"].values()} == {"calibrated"}
    rows = evaluate(run)
    scores = {s: find(rows, s, "macro_f1", ("emotions", "test"))["value"] for s in ("fusion", "judge", "calibrated")}
    stored, shown = read_json(part.calibration()), part.read_predictions("emotions", "fusion")
    tested = next(v for v in verdicts if v.id not in stored["fitted_on"])
    assert weigh(shown[tested.id], tested, stored).scores == found["calibrated"][tested.id].scores
    assert scores["judge"] == scores["fusion"] < scores["calibrated"]
    counts = {s: [find(rows, s, c, ("emotions", "test"))["value"] for c in ("helped", "harmed")] for s in ("judge", "calibrated")}
    assert counts["judge"] == [0, 0] and counts["calibrated"][0] > counts["calibrated"][1]
    lines = [row[0] for row in judge_table(run.config, rows).rows]
    assert lines == ["dev, threshold", "dev, calibrated", "test, threshold", "test, calibrated"]
    assert find(rows, "judge-calibrated", "macro_f1_difference", ("emotions", "test"))
    assert find(rows, "calibrated", "ece", ("emotions", "test")) is None
    assert "Judged, calibrated" in render(run, rows)


def test_the_calibrated_policy_says_at_once_that_it_needs_dev():
    with pytest.raises(ConfigError, match=r'judge.splits = \["dev", "test"\]'):
        check_judge(
            load_config(changes=["judge.judge=openai:x", "judge.base_url=http://127.0.0.1:9/v1", "judge.policy=calibrated"])
        )

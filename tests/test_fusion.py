import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from emojudge import fusion, metrics
from emojudge.errors import DataError, ModelError
from emojudge.settings import FusionSettings
from emojudge.types import ATTRIBUTES, Prediction, Utterance
from tests.made_up import LABELS, utterances

EVEN = dict.fromkeys(LABELS, 1.0)


def outputs(rows, noise=1.0, seed=0):
    """Two systems that see the label under independent noise."""
    random = np.random.default_rng(seed)
    found = {}
    for system in ("audio", "text"):
        found[system] = {}
        for u in rows:
            scores = random.normal(size=3) * noise
            scores[LABELS.index(u.emotion)] += 1.5
            found[system][u.id] = Prediction(u.id, system, dict(zip(LABELS, fusion.softmax(scores).tolist(), strict=True)))
    return found


def test_fusion_beats_both_and_dev_is_out_of_fold():
    rows = utterances(400, speakers=10)
    found = outputs(rows)
    dev, test = ([u for u in rows if u.split == s] for s in ("train", "test"))
    fused, held_out = fusion.fit(found, dev, "emotions", LABELS, FusionSettings(), EVEN)

    def score(by_id):
        return metrics.macro_f1([u.emotion for u in test], [by_id[u.id].label for u in test], LABELS)

    both = {p.id: p for p in fused.predict(found, [u.id for u in test])}
    assert score(both) > max(score(found["audio"]), score(found["text"])) + 0.03
    assert {p.id for p in held_out} == set(fused.cross_fitted) == {u.id for u in dev}
    assert all(abs(sum(p.scores.values()) - 1) < 1e-9 for p in (*both.values(), *held_out))
    fresh = {p.id: p.scores for p in fused.predict(found, [u.id for u in dev])}
    assert any(abs(fresh[p.id]["Sad"] - p.scores["Sad"]) > 1e-6 for p in held_out)  # held out is not in-sample


def test_json_fusion_is_scikit_learns(tmp_path):
    rows = utterances(100)
    found, gold = outputs(rows), [LABELS.index(u.emotion) for u in rows]
    fused, _ = fusion.fit(found, rows, "emotions", LABELS, FusionSettings(), EVEN)
    fusion.save(fused, tmp_path / "fusion.json")
    again = fusion.load(tmp_path / "fusion.json")
    x = fusion.features(found, [u.id for u in rows], ("audio", "text"), LABELS, "emotions")
    theirs = LogisticRegression(C=fused.cost[0], max_iter=20000, tol=1e-10).fit((x - x.mean(0)) / x.std(0), gold)
    expected = theirs.predict_log_proba((x - x.mean(0)) / x.std(0)) + np.array(again.log_prior_shift)
    ours = np.array([[p.scores[label] for label in LABELS] for p in again.predict(found, [u.id for u in rows])])
    assert np.abs(ours - fusion.softmax(expected)).max() < 1e-4
    assert len(again.search["C"]) == 13 and (again.search["C"][0], again.search["C"][-1]) == (1e-3, 1e3)


def test_two_classes_are_the_sigmoid():
    # Two rows ±w/2 are penalised half as much as scikit-learn's one row w, hence its C is twice ours.
    rows = [Utterance(str(n), emotion="AB"[n % 2], speaker=str(n % 7)) for n in range(60)]
    random = np.random.default_rng(1)
    found = {"audio": {}}
    for u in rows:
        p = float(np.clip(random.normal(0.3 + 0.4 * (u.emotion == "A"), 0.2), 0.01, 0.99))
        found["audio"][u.id] = Prediction(u.id, "audio", {"A": p, "B": 1 - p})
    fused, _ = fusion.fit(found, rows, "emotions", ("A", "B"), FusionSettings(), {"A": 1, "B": 1})
    x = fusion.features(found, [u.id for u in rows], ("audio",), ("A", "B"), "emotions")
    z = (x - x.mean(0)) / x.std(0)
    model = LogisticRegression(C=2 * fused.cost[0], max_iter=20000, tol=1e-10).fit(z, [u.emotion for u in rows])
    theirs = model.predict_proba(z)[:, 0]
    ours = [p.scores["A"] for p in fused.predict(found, [u.id for u in rows])]
    assert np.abs(np.array(ours) - theirs).max() < 1e-4


def test_target_prior_moves_probabilities_as_bayes_says():
    rows = [u for u in utterances(300) if u.emotion != "Angry" or int(u.id) % 4 == 0]
    found = outputs(rows)
    natural, _ = fusion.fit(
        found, rows, "emotions", LABELS, FusionSettings(target_prior={"Sad": 1, "Happy": 1, "Angry": 0.25}), {}
    )
    uniform, _ = fusion.fit(found, rows, "emotions", LABELS, FusionSettings(target_prior="uniform"), {})
    ids = [u.id for u in rows]
    for before, after in zip(natural.predict(found, ids), uniform.predict(found, ids), strict=True):
        odds = [p.scores["Angry"] / p.scores["Sad"] for p in (before, after)]
        assert abs(odds[1] / odds[0] - 4.0) < 1e-6


def test_a_missing_modality_leaves_the_other():
    rows = utterances(60)
    found = outputs(rows)
    fused, _ = fusion.fit(found, rows, "emotions", LABELS, FusionSettings(), EVEN)
    text_only = {"audio": {}, "text": found["text"]}
    [alone] = fused.predict(text_only, ["0"])
    assert alone.scores == found["text"]["0"].scores and alone.note == "text alone"
    assert list(fused.predict({"audio": {}, "text": {}}, ["0"])) == []


def test_a_class_that_dev_lacks_never_wins():
    rows = [u for u in utterances(120) if u.emotion != "Angry"]
    fused, _ = fusion.fit(outputs(rows), rows, "emotions", LABELS, FusionSettings(), EVEN)
    assert all(p.scores["Angry"] < 1e-6 for p in fused.predict(outputs(rows), [u.id for u in rows]))


def test_ridge_for_attributes_by_name():
    rows = utterances(200)
    random = np.random.default_rng(0)
    found = {
        system: {
            u.id: Prediction(u.id, system, {n: u.attributes[n] / 2 + random.normal() * 0.3 for n in ATTRIBUTES}) for u in rows
        }
        for system in ("audio", "text")
    }
    dev, test = ([u for u in rows if u.split == s] for s in ("train", "test"))
    fused, held_out = fusion.fit(found, dev, "attributes", ATTRIBUTES, FusionSettings(), EVEN)
    both = {p.id: p.scores for p in fused.predict(found, [u.id for u in test])}
    for name in ATTRIBUTES:
        gold = [u.attributes[name] for u in test]
        assert (
            metrics.ccc(gold, [both[u.id][name] for u in test])
            > 0.8
            > metrics.ccc(gold, [found["audio"][u.id].scores[name] for u in test])
        )
    assert len(fused.cost) == 3 and len(held_out) == len(dev)


@pytest.mark.parametrize("task", ["emotions", "attributes"])
def test_the_penalty_pulls_to_the_plain_sum(task):
    rows = utterances(120)
    names = LABELS if task == "emotions" else ATTRIBUTES
    random = np.random.default_rng(3)
    found = (
        outputs(rows)
        if task == "emotions"
        else {
            s: {u.id: Prediction(u.id, s, {n: u.attributes[n] + random.normal() for n in names}) for u in rows}
            for s in ("audio", "text")
        }
    )
    tight = FusionSettings(shrink_to="sum", low=1e-9, high=1e-8, steps=2)
    fused, _ = fusion.fit(found, rows, task, names, tight, EVEN)
    x = fusion.features(found, [u.id for u in rows], ("audio", "text"), names, task)
    plain = x[:, :3] + x[:, 3:] if task == "emotions" else (x[:, :3] + x[:, 3:]) / 2
    ours = np.array([[p.scores[n] for n in names] for p in fused.predict(found, [u.id for u in rows])])
    if task == "emotions":
        difference = np.log(ours) - plain
        assert np.ptp(difference - difference.mean(1, keepdims=True), axis=0).max() < 1e-4  # but for a bias of each class
    else:
        assert np.ptp(ours - plain, axis=0).max() < 1e-4


def test_the_plain_sum_needs_less_dev_data():
    rows = utterances(600, speakers=30)

    def score(shrink_to, seed):
        found = outputs(rows, seed=seed)
        fused, _ = fusion.fit(found, rows[:18], "emotions", LABELS, FusionSettings(shrink_to=shrink_to), EVEN)
        labels = [p.label for p in fused.predict(found, [u.id for u in rows[100:]])]
        return metrics.macro_f1([u.emotion for u in rows[100:]], labels, LABELS)

    assert np.mean([score("sum", s) for s in range(5)]) > np.mean([score("zero", s) for s in range(5)]) + 0.005


def test_too_few_clips_and_other_labels_are_refused():
    rows = utterances(60)
    with pytest.raises(DataError, match="too few for 5 folds"):
        fusion.fit(outputs(rows), rows[:6], "emotions", LABELS, FusionSettings(), EVEN)
    with pytest.raises(ModelError, match="labels"):
        fusion.fit(outputs(rows), rows, "emotions", ("Sad", "Happy"), FusionSettings(), EVEN)

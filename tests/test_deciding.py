"""Decisions on a made-up run: fitted on dev, kept with their clips, honest on dev itself, and absent where there is no dev."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score

from emojudge.aligned import read_results
from emojudge.deciding import decide
from emojudge.decisions import log_softmax
from emojudge.details import decision_table, details
from emojudge.errors import LeakageError
from emojudge.evaluation import evaluate, find
from emojudge.storage import digest, read_json, read_jsonl, write_json, write_jsonl
from emojudge.types import EMOTIONS, Utterance
from tests.made_up_run import made_up_run

TEST = ("emotions", "test")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    options = {"resamples": 100, "splits": ["dev", "test", "dev+test"]}
    declared = {"Happy": 0.5, "Sad": 0.5}
    return made_up_run(
        tmp_path_factory.mktemp("run"), clips=600, speakers=24, evaluation=options, fusion={"target_prior": declared}
    )


@pytest.fixture(scope="module")
def rows(run):
    return evaluate(run)


def aligned(run, split, system="fusion"):
    return read_results(run, "emotions")[0].align(system, split)


def test_what_was_fitted_is_kept_with_its_clips_and_can_be_applied_by_hand(run, rows):
    [part] = run.parts()
    stored, test = read_json(part.decisions()), aligned(run, "test")
    dev = [u.id for u in part.manifest() if u.split == "dev" and u.emotion]
    assert stored["fitted_on"] == dev and set(stored["cross_fitted"]) == set(dev) and stored["digest"] == digest(dev)
    logs = np.log(np.clip(test.scores, 1e-12, None))
    gold = [EMOTIONS.index(name) for name in test.gold]
    scores = {
        "temperature": logs / stored["temperature"],
        "vector": logs * stored["scale"] + stored["bias"],
        "offsets": logs + stored["offsets"],
        "uniform": logs + stored["shifts"]["uniform"],
        "declared": logs + stored["shifts"]["declared"],
    }
    for kind, changed in scores.items():
        expected = f1_score(gold, changed.argmax(1), labels=range(8), average="macro", zero_division=0)
        assert find(rows, f"fusion+{kind}", "macro_f1", TEST)["value"] == pytest.approx(expected), kind
        loss = log_loss(gold, np.exp(log_softmax(changed)), labels=range(8))
        assert find(rows, f"fusion+{kind}", "nll", TEST)["value"] == pytest.approx(loss), kind
    assert find(rows, "fusion+declared", "recall", TEST, "Angry") is None, "the whole only"
    assert find(rows, "fusion+temperature", "macro_f1", TEST)["value"] == find(rows, "fusion", "macro_f1", TEST)["value"]


def test_sets_and_abstention_by_hand(run, rows):
    stored, test = read_json(run.parts()[0].decisions()), aligned(run, "test")
    gold = np.array([EMOTIONS.index(name) for name in test.gold])
    sets, answered = test.scores >= stored["threshold"], test.scores.max(1) >= stored["confidence"]
    right = test.scores.argmax(1) == gold
    expected = [sets[np.arange(len(gold)), gold].mean(), sets.sum(1).mean(), answered.mean(), right[answered].mean()]
    for metric, value in zip(("set_coverage", "set_size", "answered", "answered_accuracy"), expected, strict=True):
        row = find(rows, "fusion", metric, TEST)
        assert row["value"] == pytest.approx(value) and row["low"] < row["value"] < row["high"]
    assert find(rows, "fusion", "set_coverage", TEST)["value"] == pytest.approx(0.9, abs=0.06)
    half = np.argsort(-test.scores.max(1), kind="stable")[: len(gold) // 2]
    assert find(rows, "fusion", "risk", TEST, "50%")["value"] == pytest.approx(1 - right[half].mean(), abs=0.01)
    assert find(rows, "fusion", "risk", TEST, "100%")["value"] == pytest.approx(1 - right.mean())


def test_priors_start_from_what_the_probabilities_assume(run):
    [part] = run.parts()
    stored, people = read_json(part.decisions()), part.manifest()
    dev, train = (
        np.array([sum(u.emotion == name for u in people if u.split == s) for name in EMOTIONS]) for s in ("dev", "train")
    )
    assert stored["shifts"]["uniform"] == pytest.approx(np.log(1 / 8) - np.log(dev / dev.sum()))
    fitted = read_json(part.fusion("emotions"))
    moved = np.log(train / train.sum()) - np.log(dev / dev.sum())
    write_json(part.fusion("emotions"), fitted | {"log_prior_shift": moved.tolist()})
    again = decide(read_results(run, "emotions")[0], "fusion").whole.shifts
    write_json(part.fusion("emotions"), fitted)
    assert again["natural"] == pytest.approx(np.zeros(8), abs=1e-9), "it was moved there already"
    even = decide(read_results(run, "emotions")[0], "audio").whole.shifts
    assert even["uniform"] == pytest.approx(np.zeros(8)), "its loss weighs classes alike"


def test_a_clip_of_dev_is_decided_without_its_speaker(tmp_path):
    """Another truth for one speaker of dev changes what is fitted, but not how that speaker's clips are decided."""
    run = made_up_run(tmp_path, clips=400, tasks=("emotions",), judge=False)
    before = decide(read_results(run, "emotions")[0], "fusion")
    dev = aligned(run, "dev")
    speaker = dev.clusters[0].removeprefix("speaker ")
    own = [k for k, name in enumerate(dev.clusters) if name == dev.clusters[0]]
    people = [
        Utterance(**{name: getattr(u, name) for name in u.__slots__} | {"emotion": "Fear" if u.speaker == speaker else u.emotion})
        if u.emotion
        else u
        for u in read_jsonl(run.manifest_file(), Utterance)
    ]
    write_jsonl(run.manifest_file(), people)
    after = decide(read_results(run, "emotions")[0], "fusion")
    for kind in ("temperature", "vector", "offsets"):
        one, two = (made.apply(dev, kind).scores for made in (before, after))
        assert np.array_equal(one[own], two[own]) and not np.array_equal(one, two)
    assert before.whole != after.whole


def test_both_splits_as_one_are_both(run, rows):
    """The full Dev of decision 14: clips of dev by what was fitted without them, the others by the whole."""
    kind, decided = "vector", decide(read_results(run, "emotions")[0], "fusion")
    both, dev, test = (decided.apply(aligned(run, split), kind) for split in ("dev+test", "dev", "test"))
    known = dict(zip([*dev.ids, *test.ids], [*dev.predicted, *test.predicted], strict=True))
    assert dict(zip(both.ids, both.predicted, strict=True)) == known
    assert find(rows, "fusion+vector", "macro_f1", ("emotions", "dev+test"))["n"] == len(known)


def test_without_dev_nothing_is_decided_and_it_is_said(tmp_path, capsys):
    run = made_up_run(tmp_path, clips=200, tasks=("emotions",), judge=False, evaluation={"splits": ["test"], "resamples": 10})
    write_jsonl(
        run.manifest_file(),
        [
            Utterance(**{name: getattr(u, name) for name in u.__slots__} | {"split": "test" if u.split == "dev" else u.split})
            for u in read_jsonl(run.manifest_file(), Utterance)
        ],
    )
    write_json(run.parts()[0].fusion("emotions"), {})
    rows = evaluate(run)
    assert not any("+" in row["system"] for row in rows) and find(rows, "fusion", "set_size", TEST) is None
    assert "fitted on dev, which is too small or not there" in capsys.readouterr().err and not run.parts()[0].decisions().exists()
    assert decision_table(rows, "test").rows == []


def test_votes_and_probabilities_are_scored_by_clip(tmp_path):
    run = made_up_run(tmp_path, clips=300, tasks=("emotions",), judge=False, evaluation={"splits": ["test"], "resamples": 50})
    people = list(read_jsonl(run.manifest_file(), Utterance))
    votes = {u.id: {str(u.emotion): 3, "Fear": 1, "Other": 2} for u in people[::2] if u.emotion}
    write_jsonl(
        run.manifest_file(),
        [Utterance(**{n: getattr(u, n) for n in u.__slots__} | {"votes": votes.get(u.id, {})}) for u in people],
    )
    rows, test = evaluate(run), aligned(run, "test", "audio")
    truth = [np.array([votes[clip].get(name, 0) for name in EMOTIONS]) if clip in votes else None for clip in test.ids]
    far = [jensenshannon(v / v.sum(), p, base=2) for v, p in zip(truth, test.scores, strict=True) if v is not None]
    row = find(rows, "audio", "js_distance", TEST)
    assert row["value"] == pytest.approx(np.mean(far)) and row["low"] < row["value"] < row["high"]
    assert find(rows, "audio", "kl_to_votes", TEST)["value"] > 0
    top = top_k_accuracy_score(test.gold, test.scores[:, np.argsort(EMOTIONS)], k=2, labels=sorted(EMOTIONS))
    assert find(rows, "audio", "top2", TEST)["value"] == pytest.approx(top)
    assert any("JS distance to votes" in table.headers for table in details(run.config, rows))


def test_a_fusion_that_saw_dev_is_not_scored_there(tmp_path):
    run = made_up_run(tmp_path, clips=200, tasks=("emotions",), judge=False)
    path = run.parts()[0].fusion("emotions")
    write_json(path, read_json(path) | {"cross_fitted": []})
    with pytest.raises(LeakageError, match="clips of the dev split"):
        evaluate(run)

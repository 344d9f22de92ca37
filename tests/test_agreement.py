"""Agreement: by hand, against explicit raters, against the library, and on the corpora whose raters are known."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from emojudge import agreement, manifest
from emojudge.corpus_tables import agreement_table
from emojudge.evaluation import evaluate, find
from emojudge.metrics import ccc
from emojudge.settings import DataSettings
from emojudge.storage import read_jsonl, write_jsonl
from emojudge.tables import HUMAN, results_table
from emojudge.types import Utterance
from tests.made_up_run import made_up_run

LABELS = ("Sad", "Happy", "Angry")


def values(utterances, labels=LABELS):
    return {(row["metric"], row["class"]): row["value"] for row in agreement.rows(utterances, labels)}


def test_by_hand():
    """Sad is heard by two of three, then three agree; the third clip has one rater only and says nothing."""
    votes = [{"Sad": 2, "Happy": 1}, {"Happy": 3}, {"Sad": 1}]
    found = values([Utterance(str(n), votes=given) for n, given in enumerate(votes)], ("Sad", "Happy"))
    # First clip: who said Sad meets {Sad, Happy}, a tie: half a hit, half (truth Happy) a miss, twice; who said Happy meets Sad.
    # Table (truth, choice): Sad-Sad 1, Happy-Sad 1, Sad-Happy 1, Happy-Happy 3.
    assert found["macro_f1", ""] == pytest.approx((2 * 1 / 4 + 2 * 3 / 8) / 2)
    assert found["accuracy", ""] == pytest.approx(4 / 6)
    assert found["uar", ""] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert found["unanimous", ""] == 0.5
    assert found["raters", ""] == 3
    thirds = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    assert found["entropy", ""] == pytest.approx(thirds / 2)
    # Coincidences: Sad-Sad 1, Sad-Happy 1, Happy-Sad 1, Happy-Happy 3; n = 6, so alpha = 1 - 5 * 2 / (2 * 2 * 4).
    assert found["alpha", ""] == pytest.approx(1 - 5 * 2 / 16)
    assert ("macro_f1_to_label", "") not in found, "no clip has a label"


def test_alpha_of_krippendorffs_example():
    """Twelve units, four coders (Krippendorff 2011, https://repository.upenn.edu/asc_papers/43): .743 nominal, .849 interval."""
    coders = [[1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3]]
    coders += [[0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0]]
    counts = np.array([[sum(coder[unit] == value for coder in coders) for value in range(1, 6)] for unit in range(12)])
    assert agreement.alpha(counts, np.arange(1, 6), "nominal") == pytest.approx(0.743, abs=5e-4)
    assert agreement.alpha(counts, np.arange(1, 6), "interval") == pytest.approx(0.849, abs=5e-4)


@given(st.lists(st.lists(st.sampled_from([*LABELS, "Other"]), min_size=2, max_size=6), min_size=1, max_size=12))
def test_counts_give_what_rater_after_rater_gives(clips):
    """Without ties, leaving out each rater by name and asking scikit-learn is the same as the table from counts."""
    truth, choice = [], []
    for raters in clips:
        for number, own in enumerate(raters):
            others = raters[:number] + raters[number + 1 :]
            most = max(map(others.count, others))
            winners = {name for name in others if others.count(name) == most}
            # Ties are shared: over all ways to break them, each winner is met equally often (60 = lcm of 1 to 6).
            truth += [name for name in sorted(winners) for _ in range(60 // len(winners))]
            choice += [own] * 60
    kept = [(t, c) for t, c in zip(truth, choice, strict=True) if t in LABELS]
    found = values([Utterance(str(n), votes={name: raters.count(name) for name in raters}) for n, raters in enumerate(clips)])
    if kept:
        expected = f1_score(*zip(*kept, strict=True), labels=LABELS, average="macro", zero_division=0)
        assert found["macro_f1", ""] == pytest.approx(expected)
        assert found["accuracy", ""] == pytest.approx(np.mean([t == c for t, c in kept]))


def test_ratings_by_hand():
    ratings = [[1.0, 2.0, 3.0], [4.0, 5.0]]
    clips = [Utterance(str(n), attributes={"valence": 2.0 + n}, ratings={"valence": r}) for n, r in enumerate(ratings)]
    found = values([*clips, Utterance("alone", ratings={"valence": [9.0]})])
    assert found["ccc", "valence"] == pytest.approx(ccc([2.5, 2, 1.5, 5, 4], [1, 2, 3, 4, 5]))
    assert found["ccc", "mean"] == found["ccc", "valence"]
    assert found["ccc_to_label", "valence"] == pytest.approx(ccc([2, 2, 2, 3, 3], [1, 2, 3, 4, 5]))
    assert found["sd", "valence"] == pytest.approx((1 + 0.5**0.5) / 2)
    assert found["raters", "valence"] == 2.5


def test_shares_are_no_raters():
    assert agreement.rows([Utterance("a", votes={"Sad": 0.6, "Happy": 0.4}), Utterance("b")], LABELS) == []


def test_one_label_alone_has_no_alpha():
    assert values([Utterance("a", votes={"Sad": 3})])["alpha", ""] is None


def test_without_the_library_the_rest_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    monkeypatch.setattr(agreement, "find_spec", lambda name: None)
    rows = agreement.rows([Utterance("a", votes={"Sad": 2, "Happy": 1})], LABELS)
    table = agreement_table(rows)
    assert dict(table.rows)["Krippendorff's alpha"] == "–"
    assert "pip install 'emojudge[agreement]'" in table.note


def test_crema_d(shared):
    labels = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad")
    people = manifest.read(DataSettings(corpus="crema_d", root=shared / "crema_d_labels", labels=labels))
    rows = agreement.rows(people, labels)
    assert {row["n"] for row in rows} == {7442}
    found = {row["metric"]: row["value"] for row in rows}
    assert found["raters"] == pytest.approx(68568 / 7442)
    assert found["alpha"] == pytest.approx(0.281, abs=5e-4)
    assert found["macro_f1"] == pytest.approx(0.474, abs=5e-4)
    hits = sum(u.votes.get(u.emotion, 0) for u in people)
    assert found["accuracy_to_label"] == pytest.approx(hits / 68568), "listeners mostly miss what the actor meant"


def test_emobank(shared):
    people = manifest.read(DataSettings(corpus="emobank", root=shared / "emobank"))
    found = values(people)
    assert sum(len(u.ratings["valence"]) for u in people) == 50616
    assert found["ccc", "valence"] == pytest.approx(0.426, abs=5e-4)
    assert found["alpha", "dominance"] == pytest.approx(0.170, abs=5e-4)


def test_raters_stand_beside_systems(tmp_path):
    run = made_up_run(tmp_path, clips=300, judge=False, evaluation={"resamples": 20, "splits": ["test"]})
    plain = evaluate(run)
    assert find(plain, "human", "macro_f1", ("emotions", "test")) is None
    people = list(read_jsonl(run.manifest_file(), Utterance))
    for part in run.parts():
        rated = [
            Utterance(**{name: getattr(u, name) for name in u.__slots__} | {"votes": {"Neutral": 1, str(u.emotion): 2}})
            for u in people
        ]
        write_jsonl(part.manifest_file, rated)
    rows = evaluate(run)
    human = find(rows, "human", "macro_f1", ("emotions", "test"))
    assert human["n"] == sum(u.split == "test" and u.emotion is not None for u in people)
    assert all(row in rows for row in plain), "systems score as before"
    table = results_table(run.config, rows, "emotions", "test")
    assert [row[1:3] for row in table.rows if row[0] == HUMAN] == [[f"{human['value']:.3f}", table.rows[-1][2]]]

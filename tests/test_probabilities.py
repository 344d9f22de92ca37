"""Scores of probabilities against scikit-learn and SciPy, and by hand."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score

from emojudge.metrics import indices
from emojudge.probabilities import brier, classwise_ece, ece, js_distance, kl_to_votes, nll, top2, vote_shares

LABELS = ["a", "b", "c", "d"]


def drawn(seed, size=300):
    rng = np.random.default_rng(seed)
    return rng.choice(LABELS, size), rng.dirichlet(np.ones(4), size)


@pytest.mark.parametrize("seed", range(3))
def test_means_over_clips_agree_with_scikit_learn(seed):
    gold, probabilities = drawn(seed)
    truth = indices(gold, LABELS)
    assert nll(truth, probabilities).mean() == pytest.approx(log_loss(gold, probabilities, labels=LABELS))
    theirs = brier_score_loss(gold, probabilities, labels=LABELS, scale_by_half=False)
    assert brier(truth, probabilities).mean() == pytest.approx(theirs)
    assert top2(truth, probabilities).mean() == pytest.approx(top_k_accuracy_score(gold, probabilities, k=2, labels=LABELS))


def test_scores_by_hand():
    gold = ["a", "b", "a", "b"]
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    truth = indices(gold, ["a", "b"])
    assert brier(truth, probabilities).mean() == pytest.approx((0.02 + 1.62 + 0.32 + 0.32) / 4)
    assert nll(truth, probabilities).mean() == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.6]).mean())
    # two bins: sure ones .9 with half right, unsure ones .6 with all right
    assert ece(gold, probabilities, ["a", "b"], bins=2) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)
    # "a" is said with .9 .9 | .6 .4 and is so in 1/2 | 1/2: gaps .4 and 0; "b" is its mirror image
    assert classwise_ece(gold, probabilities, ["a", "b"], bins=2) == pytest.approx(0.5 * 0.4 + 0.5 * 0.0)
    assert np.isfinite(nll(np.array([1]), np.array([[1.0, 0.0]]))).all()


def test_calibration_errors_agree_with_scikit_learns_curve():
    gold, probabilities = drawn(4)  # 300 clips and 15 bins: each holds 20, so that bins weigh the same
    said, right = probabilities.max(1), probabilities.argmax(1) == indices(gold, LABELS)
    so, mean = calibration_curve(right, said, n_bins=15, strategy="quantile")
    assert ece(gold, probabilities, LABELS) == pytest.approx(np.abs(so - mean).mean())
    gaps = []
    for k, label in enumerate(LABELS):
        so, mean = calibration_curve(gold == label, probabilities[:, k], n_bins=15, strategy="quantile")
        gaps.append(np.abs(so - mean).mean())
    assert classwise_ece(gold, probabilities, LABELS) == pytest.approx(np.mean(gaps))


def test_calibration_does_not_depend_on_the_order_of_clips():
    gold, probabilities = drawn(3)
    probabilities, order = probabilities.round(2), np.random.default_rng(0).permutation(300)
    for score in (ece, classwise_ece):
        assert score(gold, probabilities, LABELS) == pytest.approx(score(gold[order], probabilities[order], LABELS))


def test_what_is_drawn_from_its_probabilities_is_calibrated():
    rng = np.random.default_rng(5)
    probabilities = rng.dirichlet(np.ones(4), 20_000)
    gold = np.array(LABELS)[(probabilities.cumsum(1) > rng.random((20_000, 1))).argmax(1)]
    sharper = probabilities**3 / (probabilities**3).sum(1, keepdims=True)
    for score in (ece, classwise_ece):
        assert score(gold, probabilities, LABELS) < 0.02 < 0.05 < score(gold, sharper, LABELS)


SHARES = st.floats(0.0, 1.0, allow_subnormal=False)
"""The half of 5e-324 is 0, by which SciPy then divides."""


@example([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1e-300, 1.0]])
@given(st.lists(st.lists(SHARES, min_size=4, max_size=4).filter(lambda row: sum(row) > 0.01), min_size=2, max_size=2))
def test_distances_to_votes_agree_with_scipy(rows):
    votes, probabilities = (np.array([row]) / sum(row) for row in rows)
    assert js_distance(votes, probabilities)[0] == pytest.approx(jensenshannon(votes[0], probabilities[0], base=2), abs=1e-7)
    probabilities = (probabilities + 0.01) / 1.04
    assert kl_to_votes(votes, probabilities)[0] == pytest.approx(entropy(votes[0], probabilities[0]), abs=1e-9)


def test_clips_without_votes_have_no_distance():
    votes = vote_shares([{"a": 2, "c": 2, "other": 1}, {}, {"other": 3}], LABELS)
    assert votes[0].tolist() == [0.5, 0, 0.5, 0] and np.isnan(votes[1:]).all()
    even = np.full((3, 4), 0.25)
    assert np.isnan(js_distance(votes, even)[1:]).all() and np.isnan(kl_to_votes(votes, even)[1:]).all()
    assert kl_to_votes(votes, even)[0] == pytest.approx(np.log(2))  # half of the mass, twice as likely
    assert js_distance(votes[:1], votes[:1])[0] == 0.0

import re

import numpy as np
import pytest

from emojudge.probabilities import ece
from emojudge.reliability import bins, diagram

LABELS = ("a", "b", "c")


@pytest.fixture
def drawn():
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet([1, 1, 1], 500)
    return [LABELS[k] for k in rng.integers(0, 3, 500)], probabilities


def test_the_mean_gap_is_the_calibration_error(drawn):
    gold, probabilities = drawn
    for count in (1, 4, 15):
        found = bins(gold, probabilities, LABELS, count)
        gap = sum(b.n * abs(b.sure - b.right.value) for b in found) / 500
        assert gap == pytest.approx(ece(gold, probabilities, LABELS, count), abs=1e-12)


def test_bins_hold_equally_many_and_every_clip(drawn):
    gold, probabilities = drawn
    sizes = [b.n for b in bins(gold, probabilities, LABELS, 10)]
    assert len(sizes) == 10 and sum(sizes) == 500 and max(sizes) - min(sizes) <= 1


def test_a_bin_is_the_mean_of_its_clips():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.8, 0.1, 0.1]])
    low, high = bins(["a", "b", "a", "a"], probabilities, LABELS, 2)
    assert (low.n, low.sure, low.right.value) == (2, pytest.approx(0.55), 0.5)
    assert (high.n, high.sure, high.right.value) == (2, pytest.approx(0.85), 1.0)
    assert low.right.low < 0.5 < low.right.high


def test_equal_probabilities_share_a_bin_whatever_their_order():
    probabilities = np.tile([0.5, 0.3, 0.2], (40, 1))
    assert [b.n for b in bins(["a"] * 20 + ["b"] * 20, probabilities, LABELS)] == [40]


def test_the_diagram_says_in_words_which_way_a_system_errs():
    sure = np.tile([0.9, 0.05, 0.05], (10, 1))
    about = re.search(r'aria-label="([^"]*)"', diagram({"Audio": ("audio", bins(["a", "b"] * 5, sure, LABELS))}))[1]
    assert "Audio: on average 40 points surer than right" in about

import re

import numpy as np
import pytest

from emojudge.aligned import Aligned
from emojudge.plane import places, plane

RNG = np.random.default_rng(0)


def aligned(values, scores, names=("valence", "arousal", "dominance")):
    ids = tuple(map(str, range(len(values))))
    return Aligned(names=names, ids=ids, clusters=ids, scores=scores, values=values)


def test_places_are_the_means_of_each_emotion_by_name():
    values, scores = RNG.uniform(1, 7, (30, 3)), RNG.uniform(1, 7, (30, 3))
    emotions = ["Sad"] * 10 + ["Happy"] * 18 + ["Fear"] * 2
    found = {place.name: place for place in places(aligned(values, scores, ("dominance", "arousal", "valence")), emotions)}
    assert found.keys() == {"Sad", "Happy"}, "two clips of Fear are too few"
    assert found["Sad"].n == 10
    assert found["Sad"].true == pytest.approx((values[:10, 2].mean(), values[:10, 1].mean()))
    assert found["Sad"].predicted == pytest.approx((scores[:10, 2].mean(), scores[:10, 1].mean()))


def test_without_emotions_the_plane_is_parted_in_ninths():
    values = RNG.uniform(1, 5, (900, 3))
    found = places(aligned(values, values / 2), [None] * 900)
    assert len(found) == 9 and sum(place.n for place in found) == 900
    low = next(place for place in found if place.name == "low / low")
    assert max(low.true) < np.quantile(values, 0.34) and low.predicted == pytest.approx(np.array(low.true) / 2)


def test_there_is_no_plane_without_both_axes():
    values = RNG.uniform(1, 5, (20, 1))
    assert places(aligned(values, values, ("arousal",)), [None] * 20) == []


def test_the_figure_says_how_far_predictions_shrink():
    values = RNG.uniform(1, 5, (900, 3))
    drawn = plane(places(aligned(values, values / 2), [None] * 900), "text")
    assert "50% of the true range of valence and 50% of that of arousal" in re.search(r'aria-label="([^"]*)"', drawn)[1]
    assert "low / high" in drawn

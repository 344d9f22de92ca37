import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emojudge.timeline import Segment, settle, smooth

times = st.lists(st.floats(0.01, 50), min_size=1, max_size=12).map(np.cumsum)


@given(times, st.floats(0.1, 20), st.randoms(use_true_random=False))
def test_two_passes_are_the_weighted_mean_over_all_pairs(at, seconds, random):
    rng = np.random.default_rng(random.randrange(2**32))
    weights, values = rng.uniform(0.3, 20, len(at)), rng.dirichlet(np.ones(4), len(at))
    pairs = np.exp(-np.abs(at[:, None] - at) / seconds) * weights
    expected = pairs @ values / pairs.sum(1, keepdims=True)
    found = smooth(at, weights, values, seconds)
    assert np.allclose(found, expected, atol=1e-9) and np.allclose(found.sum(1), 1)


def test_a_lone_outlier_gives_way_and_what_it_said_is_kept():
    segments = [Segment(2.0 * i, 2.0 * i + (1.9 if i != 2 else 0.4)) for i in range(5)]
    for i, one in enumerate(segments):
        sad = 0.45 if i == 2 else 0.8
        one.alone = {"emotions": {"Sad": sad, "Happy": 1 - sad}}
    settle(segments, 3.0)
    assert [one.emotion for one in segments] == ["Sad"] * 5
    assert segments[2].alone["emotions"]["Happy"] == 0.55
    assert max(one.confidence for one in segments) <= 0.8
    settle(segments, 0.0)
    assert segments[2].emotion == "Happy"


def test_people_are_smoothed_apart():
    segments = [Segment(i, i + 1, speaker="AB"[i % 2], alone={"emotions": {"Sad": i % 2, "Happy": 1 - i % 2}}) for i in range(6)]
    settle(segments, 5.0)
    assert [one.confidence for one in segments] == [1.0] * 6

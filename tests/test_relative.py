import numpy as np
import pytest

from emojudge.errors import DataError
from emojudge.relative import EVEN, LEAST, relative


def softmax(logits):
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def clips(count=40, seed=0):
    """Pooled vectors of two speakers, whose voices differ, and a probe."""
    rng = np.random.default_rng(seed)
    names = np.array(["a", "b"])[np.arange(count) % 2]
    return rng.normal(size=(count, 5)) + 3 * (names == "b")[:, None] * rng.normal(size=5), names, rng.normal(size=(5, 3))


def test_it_is_centring_the_vectors_that_a_linear_probe_sees():
    vectors, names, probe = clips()
    centred = vectors.copy()
    for name in "ab":
        own = names == name
        centred[own] -= vectors[own].sum(0) / (own.sum() + EVEN)
    np.testing.assert_allclose(relative(softmax(vectors @ probe), list(names)), softmax(centred @ probe), atol=1e-9)


def test_what_a_voice_always_is_goes_and_the_order_of_its_clips_stays():
    vectors, names, probe = clips(4000)
    found = relative(softmax(vectors @ probe), list(names))
    for name in "ab":
        logs = np.log(found[names == name])
        assert np.abs((logs - logs.mean(1, keepdims=True)).mean(0)).max() < 0.05
    np.testing.assert_allclose(found.sum(1), 1)
    alone = np.log(softmax(vectors @ probe))[names == "a"]
    own = np.log(found)[names == "a"]
    contrasts = [values[:, 0] - values[:, 1] for values in (alone, own)]
    assert np.ptp(contrasts[1] - contrasts[0]) < 1e-9, "every clip of a voice is moved alike"


def test_where_there_is_one_mood_it_is_taken_away():
    angry = softmax(np.random.default_rng(0).normal([2, 0, 0], 0.1, size=(200, 3)))
    assert (angry.argmax(1) == 0).all() and (relative(angry, "a").argmax(1) == 0).mean() < 0.7


def test_certainty_does_not_break_it():
    sure = np.eye(2)[[0, 1] * LEAST]
    found = relative(sure, "a")
    assert np.isfinite(found).all() and (found.argmax(1) == sure.argmax(1)).all()


def test_too_few_clips_and_lost_names_are_one_sentence():
    rows = np.full((LEAST, 2), 0.5)
    with pytest.raises(DataError, match=f"Ben speaks in 1 clips, and emotions relative to a speaker need {LEAST}"):
        relative(np.full((LEAST + 1, 2), 0.5), ["Anna"] * LEAST + ["Ben"])
    with pytest.raises(DataError, match=f"{LEAST} clips have 2 speakers"):
        relative(rows, ["Anna", "Ben"])

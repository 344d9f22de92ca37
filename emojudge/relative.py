"""Emotions of one speaker's clips relative to each other: what a voice always sounds like is taken off.

A voice that is always tense looks angry in every clip. Where many clips of it are at hand, in several moods, the mean of their
log probabilities is that bias, and what is left without it is the mood. A linear probe's log probabilities are linear in a clip's
pooled vector (but for a number that all emotions share), so this is the same as centring those vectors by speaker, with the same
weights. Nothing but the clips' probabilities is needed, hence it works for every run and bundle.

It is transductive: what one clip gets depends on the others, so its results are reported apart. It assumes that a speaker shows
each emotion about as often, and ruins the result where a speaker shows only one, since that one is what is taken away.
"""

from collections.abc import Sequence

import numpy as np

from emojudge.errors import DataError

LEAST = 8
"""Clips of a speaker; of fewer the mean says more about their moods than about the voice (docs/bundle.md)."""
EVEN = 4
"""So many clips more, as probable in every emotion, count into a speaker's mean: where clips are few they hold it back (ours)."""


def relative(probabilities: np.ndarray, speaker: str | Sequence[str], least: int = LEAST) -> np.ndarray:
    """Probabilities (N, K) of N clips without what is common to all clips of their speaker.

    Args:
        probabilities: each clip by itself.
        speaker: who speaks, one name for each clip, or one for all.
        least: clips that each speaker must have.

    Raises:
        DataError: there is not one name for each clip, or a speaker has fewer than `least` clips.

    >>> leaning = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4)
    >>> relative(leaning, "Anna").argmax(1).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """
    names = np.array([speaker] * len(probabilities) if isinstance(speaker, str) else list(speaker), dtype=str)
    if len(names) != len(probabilities):
        raise DataError(f"{len(probabilities)} clips have {len(names)} speakers; name one for each clip, or one for all.")
    logs = np.log(np.maximum(probabilities, 1e-12))
    logs = logs - logs.mean(1, keepdims=True)
    for name in dict.fromkeys(names.tolist()):
        own = names == name
        if (count := int(own.sum())) < least:
            raise DataError(
                f"{name} speaks in {count} clips, and emotions relative to a speaker need {least}, in several moods; "
                "give more of them, or hear each clip by itself."
            )
        logs[own] -= logs[own].sum(0) / (count + EVEN)
    odds = np.exp(logs - logs.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)

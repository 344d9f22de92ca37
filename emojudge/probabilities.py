"""Scores of probabilities: against the true label, against the raters' votes, and whether they mean what they say.

What is a mean over clips comes clip by clip, so that `emojudge.compare` can resample speakers. Probabilities are (N, K), in
the order of the labels; `gold` is (N,) class numbers (`emojudge.metrics.indices`); votes are (N, K) shares that add up to 1,
or NaN where a clip has none.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from emojudge.metrics import indices

LEAST = 1e-12
"""No probability counts as less where a logarithm is taken."""


def top2(gold: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(N,): 1 where the true label is one of the two likeliest; of equal probabilities the first labels count.

    >>> top2(np.array([2, 2]), np.array([[0.5, 0.1, 0.4], [0.5, 0.3, 0.2]])).tolist()
    [1.0, 0.0]
    """
    best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :2]
    return (best == gold[:, None]).any(-1).astype(float)


def brier(gold: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(N,): squared distance from the truth (Brier 1950); 0 is perfect, 2 is surely wrong."""
    return ((probabilities - np.eye(probabilities.shape[-1])[gold]) ** 2).sum(-1)


def nll(gold: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(N,): negative log-probability of the true label, in nats."""
    return -np.log(np.clip(probabilities[np.arange(len(gold)), gold], LEAST, 1))


def js_distance(votes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(N,): Jensen–Shannon distance, the root of the divergence in bits: 0 is the same, 1 is nothing in common.

    >>> js_distance(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).tolist()
    [1.0]
    """
    middle = (votes + probabilities) / 2
    bits = (_relative(votes, middle) + _relative(probabilities, middle)) / (2 * np.log(2))
    return np.sqrt(np.clip(bits, 0, None))


def kl_to_votes(votes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(N,): Kullback–Leibler divergence of the votes from the probabilities, Σ v ln(v / p), in nats."""
    return _relative(votes, np.clip(probabilities, LEAST, 1))


def _relative(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Σ a ln(a / b), where 0 ln 0 is 0; NaN stays NaN."""
    ratio = np.divide(first, second, out=np.ones_like(first), where=(first > 0) & (second != 0))
    return (first * np.log(ratio)).sum(-1)


def vote_shares(votes: Sequence[Mapping[str, float]], labels: Sequence[str]) -> np.ndarray:
    """(N, K) shares of the votes for `labels`; NaN where a clip has no such vote. Votes for other names are left out.

    >>> vote_shares([{"a": 3, "b": 1, "other": 4}, {}], ["a", "b"]).tolist()
    [[0.75, 0.25], [nan, nan]]
    """
    counts = np.array([[row.get(name, 0.0) for name in labels] for row in votes], dtype=float).reshape(-1, len(labels))
    total = counts.sum(-1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def ece(gold: Sequence[str], probabilities: np.ndarray, labels: Sequence[str], bins: int = 15) -> float:
    """Expected calibration error of the likeliest label, over bins that hold equally many clips (Nixon 2019, arXiv 1904.01685).

    Equal probabilities always share a bin, so that the order of the clips does not matter.

    >>> ece(["a", "b"], np.array([[1.0, 0.0], [1.0, 0.0]]), labels=["a", "b"])
    0.5
    """
    return _gap(probabilities.max(-1), probabilities.argmax(-1) == indices(gold, labels), bins)


def classwise_ece(gold: Sequence[str], probabilities: np.ndarray, labels: Sequence[str], bins: int = 15) -> float:
    """The same error of each label's own probability, averaged over `labels` (Kull 2019, arXiv 1910.12656).

    >>> classwise_ece(["a", "b"], np.array([[1.0, 0.0], [1.0, 0.0]]), labels=["a", "b"])
    0.5
    """
    truth = indices(gold, labels)
    return float(np.mean([_gap(probabilities[:, k], truth == k, bins) for k in range(len(labels))]))


def _gap(said: np.ndarray, so: np.ndarray, bins: int) -> float:
    """Mean distance between what is `said` (N,) and how often it is `so` (N,), over bins of equally many clips."""
    bin_of = np.searchsorted(np.quantile(said, np.arange(1, bins) / bins), said)
    return float(np.abs(np.bincount(bin_of, weights=said - so, minlength=bins)).sum() / len(said))


CLIP_SCORES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"top2": top2, "brier": brier, "nll": nll}
"""Means over clips, of class numbers and probabilities."""

VOTE_SCORES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "js_distance": js_distance,
    "kl_to_votes": kl_to_votes,
}
"""Means over the clips that have votes, of votes and probabilities."""

CALIBRATION_SCORES: Mapping[str, Callable[[Sequence[str], np.ndarray, Sequence[str]], float]] = {
    "ece": ece,
    "classwise_ece": classwise_ece,
}
"""Of all clips at once: bins do not add up over resamples, so these have no interval."""

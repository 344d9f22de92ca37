"""How sure a score is, and whether two systems differ (PAPER decision 24).

Clips of one speaker resemble each other, so speakers are resampled, not clips. Each system is first
added up per speaker (`Tally`); a resample then is a weighted sum of tallies, which makes a thousand of
them cheap. Systems that are compared share their resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.metrics import indices, sums

Score = Callable[[np.ndarray], np.ndarray]
"""From counts or sums with any leading dimensions to a number for each, as in `emojudge.metrics`."""


@dataclass(frozen=True)
class Tally:
    """One system on one part of a run, added up per cluster.

    `totals` is (C, K, K) confusion matrices, (C, A, 6) sums or (C, M, 2) sums and numbers of clips, C being `len(clusters)`.
    """

    clusters: tuple[str, ...]
    totals: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A value and its percentile interval; `low` and `high` are None where there can be none."""

    value: float | None
    low: float | None = None
    high: float | None = None


def tally_labels(gold: Sequence[str], predicted: Sequence[str], clusters: Sequence[str], labels: Sequence[str]) -> Tally:
    """One confusion matrix a cluster.

    >>> tally_labels("aab", "abb", ["s1", "s2", "s2"], labels="ab").totals.tolist()
    [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]
    """
    names, owner = np.unique(np.asarray(clusters), return_inverse=True)
    size = len(labels)
    cells = (owner * size + indices(gold, labels)) * size + indices(predicted, labels)
    totals = np.bincount(cells, minlength=len(names) * size * size).reshape(len(names), size, size)
    return Tally(tuple(names.tolist()), totals.astype(float))


def tally_values(gold: np.ndarray, predicted: np.ndarray, clusters: Sequence[str]) -> Tally:
    """Six sums per cluster and attribute, from (N, A) values; both are shifted by the mean of `gold`."""
    names, owner = np.unique(np.asarray(clusters), return_inverse=True)
    gold = np.asarray(gold, dtype=float)
    totals = np.zeros((len(names), gold.shape[1], 6))
    np.add.at(totals, owner, sums(gold - gold.mean(0), np.asarray(predicted, dtype=float) - gold.mean(0)))
    return Tally(tuple(names.tolist()), totals)


def tally_means(values: np.ndarray, clusters: Sequence[str]) -> Tally:
    """Sums and numbers of (N, M) values by cluster, for `means_from`; NaN is no value and does not count.

    >>> tally_means(np.array([[1.0], [np.nan], [3.0]]), ["s1", "s1", "s2"]).totals.tolist()
    [[[1.0, 1.0]], [[3.0, 1.0]]]
    """
    names, owner = np.unique(np.asarray(clusters), return_inverse=True)
    totals = np.zeros((len(names), values.shape[1], 2))
    np.add.at(totals, owner, np.stack([np.nan_to_num(values), ~np.isnan(values)], axis=-1))
    return Tally(tuple(names.tolist()), totals)


def means_from(totals: np.ndarray) -> np.ndarray:
    """(..., M): the means of what `tally_means` added up; NaN where nothing did."""
    total, count = np.moveaxis(totals, -1, 0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def replicates(tallies: Sequence[Tally], resamples: int, seed: int) -> list[np.ndarray]:
    """Each part's totals, (1 + resamples, ...): first as they are, then resampled.

    Clusters are drawn with replacement within each part. Parts that hold the same clusters (the seeds of
    one fold) share their draws: they are one sample of people, looked at several times. Where a part has
    fewer than two clusters nothing can be resampled, and only the first row is returned.
    """
    if min(len(tally.clusters) for tally in tallies) < 2:
        resamples = 0
    rank = {clusters: n for n, clusters in enumerate(dict.fromkeys(tally.clusters for tally in tallies))}
    return [_resampled(tally.totals, resamples, np.random.default_rng([seed, rank[tally.clusters]])) for tally in tallies]


def _resampled(totals: np.ndarray, resamples: int, rng: np.random.Generator, block: int = 200) -> np.ndarray:
    """Weighted sums of `totals` over clusters; in blocks, so that 25,000 clusters fit in memory.

    Where every cluster is one clip in one cell, what was drawn is counted by cell: the same sums, three times as fast.
    """
    count = len(totals)
    flat = totals.reshape(count, -1)
    rows = [flat.sum(0, keepdims=True)]
    if (flat.max(1, initial=0) == 1).all() and rows[0].sum() == count and flat.min(initial=0) == 0:
        cells = flat.argmax(1)
        rows += [np.bincount(cells[rng.integers(0, count, count)], minlength=flat.shape[1])[None] for _ in range(resamples)]
        return np.concatenate(rows).reshape(-1, *totals.shape[1:])
    weights = np.empty((min(block, resamples), count))
    for start in range(0, resamples, block):
        some = weights[: resamples - start]
        for row in some:  # one draw at a time stays in the processor's cache
            row[:] = np.bincount(rng.integers(0, count, count), minlength=count)
        rows.append(some @ flat)
    return np.concatenate(rows).reshape(-1, *totals.shape[1:])


def statistic(parts: Sequence[np.ndarray], score: Score) -> np.ndarray:
    """The score's mean over parts for each row of their `replicates`."""
    return np.mean([score(part) for part in parts], axis=0)


def interval(values: np.ndarray, confidence: float = 0.95) -> Estimate:
    """The first of `values` with the percentile interval of the others.

    >>> interval(np.array([0.5, 0.0, 0.25, 0.5, 0.75, 1.0]), confidence=0.5)
    Estimate(value=0.5, low=0.25, high=0.75)
    """
    value = None if np.isnan(values[0]) else float(values[0])
    rest = values[1:][~np.isnan(values[1:])]
    if value is None or not len(rest):
        return Estimate(value)
    low, high = np.quantile(rest, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


def estimate(
    tallies: Sequence[Tally], score: Score, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """A score's mean over parts, with its interval.

    >>> from emojudge.metrics import accuracy_from
    >>> estimate([tally_labels("aab", "abb", "xyz", labels="ab")], accuracy_from, resamples=0).value
    0.6666666666666666
    """
    return interval(statistic(replicates(tallies, resamples, seed), score), confidence)


def paired(
    first: Sequence[Tally],
    second: Sequence[Tally],
    score: Score,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """`first` minus `second`, as `differences`, with its interval."""
    return interval(differences(first, second, score, resamples=resamples, seed=seed), confidence)


def differences(
    first: Sequence[Tally], second: Sequence[Tally], score: Score, *, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """`first` minus `second`, then the same in every resample (1 + resamples,): both scored on the same clips.

    Raises:
        ValueError: the systems were not tallied over the same clusters.
    """
    if [tally.clusters for tally in first] != [tally.clusters for tally in second]:
        raise ValueError("both systems must be tallied over the same clips")
    values = [statistic(replicates(tallies, resamples, seed), score) for tallies in (first, second)]
    return values[0] - values[1]


def bootstrap_p(values: np.ndarray) -> float | None:
    """Two-sided p of no difference, from `differences`: the confidence at which their percentile interval reaches 0.

    Twice the smaller share of resamples on one side of 0, counting one more (Davison & Hinkley 1997, 4.2.4), so never below
    2 / (resamples + 1). None without resamples.

    >>> bootstrap_p(np.array([0.5, -0.1, 0.2, 0.4, 0.6]))
    0.8
    """
    rest = values[1:][~np.isnan(values[1:])]
    if not len(rest):
        return None
    return min(1.0, 2 * (1 + min(int((rest <= 0).sum()), int((rest >= 0).sum()))) / (len(rest) + 1))


def detectable(values: np.ndarray, clusters: int, *, power: float = 0.8, level: float = 0.05) -> float | None:
    """The smallest true difference that a set like this one would show: found at `level`, two-sided, in `power` of such sets.

    (t(1 - level / 2) + t(power)) · s, with Student's t of `clusters` - 1 degrees of freedom (Bloom 1995, Minimum Detectable
    Effects, Evaluation Review 19:5) and s the standard deviation of the resamples in `values`, from `differences`. None where
    they do not vary: two systems that never differ say nothing about what a difference would look like.
    """
    from scipy.stats import t

    rest = values[1:][~np.isnan(values[1:])]
    if clusters < 2 or len(rest) < 2 or rest.std() < 1e-12:
        return None
    return float((t.ppf(1 - level / 2, clusters - 1) + t.ppf(power, clusters - 1)) * rest.std(ddof=1))


def holm(found: Sequence[float]) -> list[float]:
    """The p values of several comparisons, adjusted so that all may be read at one level (Holm 1979), in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(found, kind="stable")
    adjusted = np.empty(len(found))
    adjusted[order] = np.maximum.accumulate(np.asarray(found, dtype=float)[order] * np.arange(len(found), 0, -1))
    return np.minimum(adjusted, 1.0).tolist()


def proportion(count: int, n: int, confidence: float = 0.95) -> Estimate:
    """A share with Wilson's interval, which takes the `n` as independent.

    >>> [round(value, 3) for value in (lambda e: (e.value, e.low, e.high))(proportion(2, 10))]
    [0.2, 0.057, 0.51]
    """
    from scipy.stats import binomtest

    if not n:
        return Estimate(None)
    found = binomtest(count, n).proportion_ci(confidence, method="wilson")
    return Estimate(count / n, float(found.low), float(found.high))


def mcnemar(gold: Sequence[str], first: Sequence[str], second: Sequence[str]) -> float:
    """Exact two-sided McNemar p: how likely chance alone parts the clips only one got right so unevenly.

    It takes clips as independent, which clips of one speaker are not; read it beside the interval.

    >>> mcnemar("aaaaaa", "aaaaaa", "bbbbbb")
    0.03125
    """
    from scipy.stats import binomtest

    truth, one, two = (np.asarray(list(names)) for names in (gold, first, second))
    only_first = int(np.sum((one == truth) & (two != truth)))
    only_second = int(np.sum((one != truth) & (two == truth)))
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0


def changes(gold: Sequence[str], before: Sequence[str], after: Sequence[str]) -> dict[str, int]:
    """What changing labels did: helped (wrong → right), harmed (right → wrong), moved (wrong → other wrong).

    >>> changes(gold="aaab", before="abbb", after="bacb")
    {'helped': 1, 'harmed': 1, 'moved': 1, 'kept': 1}
    """
    count = {"helped": 0, "harmed": 0, "moved": 0, "kept": 0}
    for truth, old, new in zip(gold, before, after, strict=True):
        count[change(truth, old, new)] += 1
    return count


def change(gold: str, before: str, after: str) -> str:
    """Which of the four `changes` one clip is."""
    if before == after:
        return "kept"
    if after == gold:
        return "helped"
    return "harmed" if before == gold else "moved"

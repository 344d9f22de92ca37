"""What to make of a system's probabilities: calibrated, for another prior, for macro-F1, as sets of labels, or not at all.

Everything is fitted on dev and applied elsewhere (`emojudge.deciding`). Log-probabilities `logs` are (N, K), `gold` is (N,)
class numbers. All of it is ours; the paper calibrates nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emojudge.metrics import macro_f1_from

KINDS = ("temperature", "vector", "natural", "uniform", "declared", "offsets")
"""Each way to other scores: calibrated by one number, or by two a label; for the priors of train, of none, or that of
`fusion.target_prior`; with a constant added to each label for macro-F1."""


@dataclass(frozen=True)
class Decisions:
    """What was fitted for K labels.

    `temperature` divides the log-probabilities. `scale` and `bias` (K,) make them `scale · log p + bias`. `shifts` (K,) by
    kind are added to log p for another prior, `offsets` (K,) for macro-F1. `threshold` is the least probability of a label in
    a set, `confidence` the least probability of the likeliest label that is answered with.
    """

    temperature: float
    scale: list[float]
    bias: list[float]
    offsets: list[float]
    threshold: float
    confidence: float
    shifts: dict[str, list[float]] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of `KINDS` that there are."""
        return tuple(kind for kind in KINDS if kind in ("temperature", "vector", "offsets", *self.shifts))

    def apply(self, kind: str, logs: np.ndarray) -> np.ndarray:
        """Probabilities (N, K) by one of `kinds`; those of "offsets" only say which label is the highest."""
        if kind == "temperature":
            scores = logs / self.temperature
        elif kind == "vector":
            scores = logs * self.scale + self.bias
        else:
            scores = logs + np.array(self.offsets if kind == "offsets" else self.shifts[kind])
        return np.exp(log_softmax(scores))

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """(N, K): whether a label is in the clip's set. A set may be empty where nothing is likely."""
        return probabilities >= self.threshold

    def answered(self, probabilities: np.ndarray) -> np.ndarray:
        """(N,): whether the likeliest label is likely enough to be answered with."""
        return probabilities.max(-1) >= self.confidence


def fit(
    logs: np.ndarray, gold: np.ndarray, shifts: Mapping[str, Sequence[float]], *, coverage: float = 0.9, abstain: float = 0.2
) -> Decisions:
    """Fit everything on one set of clips.

    Args:
        logs: log-probabilities.
        gold: class numbers.
        shifts: as `prior_shift` gives them, by kind.
        coverage: share of the clips whose set should hold the true label.
        abstain: share of the clips that should not be answered.
    """
    scale, bias = fit_vector(logs, gold)
    probabilities = np.exp(log_softmax(logs))
    return Decisions(
        temperature=fit_temperature(logs, gold),
        scale=scale.tolist(),
        bias=bias.tolist(),
        offsets=fit_offsets(logs, gold).tolist(),
        threshold=conformal_threshold(probabilities, gold, coverage),
        confidence=float(np.quantile(probabilities.max(-1), abstain)),
        shifts={kind: list(shift) for kind, shift in shifts.items()},
    )


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def fit_temperature(logs: np.ndarray, gold: np.ndarray) -> float:
    """The T from 0.05 to 20 with the lowest NLL of softmax(log p / T) (Guo 2017, arXiv 1706.04599); it changes no label."""
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(gold))
    found = minimize_scalar(
        lambda log_t: -log_softmax(logs / np.exp(log_t))[rows, gold].mean(), bounds=np.log([0.05, 20]), method="bounded"
    )
    return float(np.exp(found.x))


def fit_vector(logs: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias (K,) with the lowest NLL of softmax(scale · log p + bias): vector scaling (Guo 2017).

    A penalty of ½‖scale - 1‖² + ½‖bias‖² on the summed NLL (ours) keeps few clips, and labels without any, near what was.
    """
    from scipy.optimize import minimize

    size, wanted = logs.shape[1], np.eye(logs.shape[1])[gold]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        scale, bias = flat.reshape(2, size)
        log_p = log_softmax(logs * scale + bias)
        error = np.exp(log_p) - wanted
        slope = np.stack([(error * logs).sum(0) + scale - 1, error.sum(0) + bias])
        return -(log_p * wanted).sum() + 0.5 * (np.square(scale - 1).sum() + np.square(bias).sum()), slope.ravel()

    found = minimize(loss, np.repeat([1.0, 0.0], size), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    scale, bias = found.x.reshape(2, size)
    return scale, bias


def prior_shift(source: Sequence[float], target: Sequence[float]) -> list[float]:
    """By Bayes' rule to other class frequencies (Saerens 2002): log target - log source, (K,), and 0 where `source` is 0.

    Neither need add up to 1.

    >>> np.exp(prior_shift([30, 10], [1, 1])).round(3).tolist()
    [0.667, 2.0]
    """
    here, there = (np.asarray(part, dtype=float) / np.sum(part) for part in (source, target))
    return np.where(here > 0, np.log(np.clip(there, 1e-6, None)) - np.log(np.clip(here, 1e-6, None)), 0.0).tolist()


def fit_offsets(logs: np.ndarray, gold: np.ndarray, rounds: int = 10) -> np.ndarray:
    """Constants (K,) that make arg max(log p + offset) have the highest macro-F1, one label at a time until none gains.

    For one label, with the others as they are, every offset that decides differently is tried, so each step is exact.
    """
    offsets = np.zeros(logs.shape[1])
    best = float(macro_f1_from(_counts(logs, gold)))
    for _ in range(rounds):
        before = best
        for k in range(len(offsets)):
            value, score = _best_offset(logs + offsets, gold, k)
            if score > best + 1e-12:
                best, offsets[k] = score, offsets[k] + value
        if best <= before:
            break
    return offsets - offsets.mean()


def _counts(scores: np.ndarray, gold: np.ndarray) -> np.ndarray:
    size = scores.shape[1]
    return np.bincount(gold * size + scores.argmax(-1), minlength=size * size).reshape(size, size)


def _best_offset(scores: np.ndarray, gold: np.ndarray, k: int) -> tuple[float, float]:
    """What to add to label `k`, and the macro-F1 then; of equals the one nearest to 0.

    Clip i becomes `k` once more than `need`[i] is added; in that order clips leave their second label for `k`.
    """
    others = scores.copy()
    others[:, k] = -np.inf
    second, need = others.argmax(-1), others.max(-1) - scores[:, k]
    order = np.argsort(need, kind="stable")
    size, need, gold, second = scores.shape[1], need[order], gold[order], second[order]
    names = np.arange(size)
    leaves = second[:, None] == names
    given = np.concatenate([np.zeros((1, size)), np.cumsum((names == k) - leaves.astype(float), axis=0)]) + leaves.sum(0)
    right = (gold == second)[:, None] & leaves
    gains = np.where(names == k, (gold == k)[:, None], 0.0) - right
    hits = np.concatenate([np.zeros((1, size)), np.cumsum(gains, axis=0)]) + right.sum(0)
    below = given + np.bincount(gold, minlength=size)
    f1 = np.divide(2 * hits, below, out=np.zeros_like(hits), where=below > 0).mean(-1)
    edges = np.concatenate([[need[0] - 1], (need[1:] + need[:-1]) / 2, [need[-1] + 1]])
    apart = np.concatenate([[True], need[1:] - need[:-1] > 1e-9, [True]])  # equal needs change together
    places = np.flatnonzero(apart & (f1 >= f1[apart].max() - 1e-12))
    place = places[np.abs(edges[places]).argmin()]
    return float(edges[place]), float(f1[place])


def conformal_threshold(probabilities: np.ndarray, gold: np.ndarray, coverage: float) -> float:
    """The least probability of labels in a set, so that sets hold the true label in `coverage` of exchangeable clips.

    Split conformal with the score 1 - p(true) (LAC: Sadinle 2019, arXiv 1609.00451), which gives the smallest sets on average:
    its ⌈(n + 1) coverage⌉-th smallest value is what is allowed. With too few clips for that every label is in every set.

    >>> conformal_threshold(np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]]), np.array([0, 0, 0, 1]), 0.75)
    0.3
    """
    own = np.sort(probabilities[np.arange(len(gold)), gold])[::-1]
    rank = int(np.ceil((len(gold) + 1) * coverage - 1e-9))
    return float(own[rank - 1]) if rank <= len(own) else 0.0

"""What chance does: models that treat every group alike, simulated on the clips at hand.

Derington et al. take the largest difference of 1,000 simulations of a random model as the threshold. Ours is the 95 %
quantile, and the random model makes the mistakes of the tested one: its answers are drawn from the tested model's own
confusion matrix (or its values are the same linear function of the truth, with its errors dealt out anew), in every
group alike, on the same number of clips of each emotion in each group. So a difference that such a fair model shows by
luck once in twenty times passes. Clips are drawn independently: where a few speakers make up a group, luck does more than
this, and the interval over speakers beside the value tells it.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from emojudge.batteries.subjects import SEED
from emojudge.metrics import sums

SIMULATIONS = 1000
"""As Derington et al."""
QUANTILE = 0.95
"""A fair model passes a test this often (ours)."""
BLOCK = 50
"""Simulations held in memory at once."""

Statistic = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""From totals with a leading dimension to named numbers, one for each."""


def fair_labels(counts: np.ndarray, simulations: int = SIMULATIONS, seed: int = SEED) -> Iterator[np.ndarray]:
    """Blocks (B, G, K, K) of confusion matrices of a model that answers alike in every group.

    Args:
        counts: (G, K, K), the tested model's own, by group.
        simulations: how many.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    whole = counts.sum(0)
    answers = np.divide(whole, whole.sum(-1, keepdims=True), out=np.zeros(whole.shape), where=whole.sum(-1, keepdims=True) > 0)
    gold = counts.sum(-1).round().astype(int)
    for start in range(0, simulations, BLOCK):
        size = min(BLOCK, simulations - start)
        block = np.zeros((size, *counts.shape))
        for k in np.flatnonzero(whole.sum(-1)):
            block[:, :, k] = rng.multinomial(gold[:, k], answers[k], size=(size, len(gold)))
        yield block


def fair_values(
    gold: np.ndarray, predicted: np.ndarray, owner: np.ndarray, simulations: int = SIMULATIONS, seed: int = SEED
) -> Iterator[np.ndarray]:
    """Blocks (B, G, A, 6) of sums of a model whose errors are dealt out over all clips, whatever their group.

    Args:
        gold, predicted: (N, A) values.
        owner: (N,) groups, 0 to G - 1, each of which has clips.
        simulations: how many.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(owner.max() + 1))
    x = gold[order] - gold.mean(0)
    slope = (x * predicted[order]).mean(0) / np.maximum((x * x).mean(0), 1e-12)
    line = predicted.mean(0) - gold.mean(0) + slope * x
    error = predicted[order] - gold.mean(0) - line
    for start in range(0, simulations, BLOCK):
        drawn = (line + error[rng.integers(len(x), size=len(x))] for _ in range(min(BLOCK, simulations - start)))
        yield np.stack([np.add.reduceat(sums(x, y), starts, axis=0) for y in drawn])


def quantiles(blocks: Iterator[np.ndarray], statistic: Statistic, quantile: float = QUANTILE) -> dict[str, float]:
    """The quantile over simulations of each number that `statistic` gives."""
    found: dict[str, list[np.ndarray]] = {}
    for block in blocks:
        for name, values in statistic(block).items():
            found.setdefault(name, []).append(values)
    return {name: float(np.nanquantile(np.concatenate(values), quantile)) for name, values in found.items()}

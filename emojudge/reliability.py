"""Whether a system's probabilities can be taken at their word: bins of equally many clips, and their diagram."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emojudge.compare import Estimate, proportion
from emojudge.figures import STAND_IN, svg
from emojudge.metrics import indices

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Bin:
    """`n` clips of like probability: how sure the system was on average, and the share it got right."""

    n: int
    sure: float
    right: Estimate


def bins(
    gold: Sequence[str], probabilities: np.ndarray, labels: Sequence[str], count: int = 15, confidence: float = 0.95
) -> list[Bin]:
    """Clips by the probability of their top label, in `count` bins of equal mass; (N, K) in the order of `labels`.

    The bins are those of `emojudge.metrics.ece`, which is the mean gap between `sure` and `right`, weighted by `n`;
    equal probabilities share a bin. The interval of `right` is Wilson's and takes clips as independent.

    >>> [(b.n, b.sure, b.right.value) for b in bins(["a", "b"], np.array([[0.9, 0.1], [0.9, 0.1]]), ["a", "b"])]
    [(2, 0.9, 0.5)]
    """
    top, right = probabilities.max(-1), probabilities.argmax(-1) == indices(gold, labels)
    owner = np.searchsorted(np.quantile(top, np.arange(1, count) / count), top)
    groups = [owner == k for k in np.unique(owner)]
    return [Bin(int(g.sum()), float(top[g].mean()), proportion(int(right[g].sum()), int(g.sum()), confidence)) for g in groups]


def diagram(series: Mapping[str, tuple[str, Sequence[Bin]]]) -> str:
    """One panel a series: its title, and the system whose colour it has with its bins, by name."""

    def draw(axes: Sequence["Axes"]) -> None:
        for axis, (title, (system, found)) in zip(axes, series.items(), strict=True):
            _panel(axis, title, STAND_IN[system], found)
        axes[0].set_ylabel("share that is right")

    told = "; ".join(f"{title}: {_in_words(found)}" for title, (_, found) in series.items())
    return svg("reliability", draw, columns=len(series), height=3.1, about=f"Share of right labels by how sure. {told}.")


def _panel(axis: "Axes", title: str, colour: str, found: Sequence[Bin]) -> None:
    x, y = [b.sure for b in found], [b.right.value or 0.0 for b in found]
    ends = [[v - (b.right.low or 0.0) for b, v in zip(found, y, strict=True)]]
    ends.append([(b.right.high or 0.0) - v for b, v in zip(found, y, strict=True)])
    axis.plot([0, 1], [0, 1], color=STAND_IN["muted"], lw=1, ls=(0, (4, 3)))
    axis.errorbar(x, y, yerr=np.clip(ends, 0, None), fmt="none", ecolor=colour, elinewidth=1, alpha=0.45)
    axis.plot(x, y, "-o", color=colour, ms=4, lw=1.2)
    axis.set(title=title, xlabel="probability of the answer", xlim=(0, 1), ylim=(0, 1))


def _in_words(found: Sequence[Bin]) -> str:
    gap = sum(b.n * (b.sure - (b.right.value or 0.0)) for b in found) / sum(b.n for b in found)
    return f"on average {abs(gap) * 100:.0f} points {'surer than right' if gap > 0 else 'less sure than right'}"

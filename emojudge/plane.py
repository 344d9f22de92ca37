"""The valence–arousal plane: where groups of clips truly lie, and where a system puts them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emojudge.aligned import Aligned
from emojudge.figures import STAND_IN, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = ("valence", "arousal")

LEAST = 5
"""Clips that a group must have to be shown."""


@dataclass(frozen=True)
class Place:
    """`n` clips of one emotion, or of one ninth of the plane: the means of true and predicted valence and arousal."""

    name: str
    n: int
    true: tuple[float, float]
    predicted: tuple[float, float]


def places(aligned: Aligned, emotions: Sequence[str | None]) -> list[Place]:
    """Groups of the N clips by emotion (one each, where it is known), else by thirds of both true values.

    Empty where valence or arousal is missing.
    """
    if aligned.values is None or not set(AXES) <= set(aligned.names):
        return []
    columns = [aligned.names.index(name) for name in AXES]
    true, predicted = aligned.values[:, columns], aligned.scores[:, columns]
    names = list(map(str, emotions)) if all(emotions) else _ninths(true)
    found = []
    for name in dict.fromkeys(sorted(names)):
        own = np.array([other == name for other in names])
        if own.sum() >= LEAST:
            x, y = true[own].mean(0), predicted[own].mean(0)
            found.append(Place(name, int(own.sum()), (float(x[0]), float(x[1])), (float(y[0]), float(y[1]))))
    return found


def _ninths(true: np.ndarray) -> list[str]:
    """Low, middle or high in valence and in arousal, by thirds of the clips."""
    words = np.array(["low", "middle", "high"])
    thirds = [words[np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)] for values in true.T]
    return [f"{v} / {a}" for v, a in zip(*thirds, strict=True)]


def plane(found: Sequence[Place], system: str) -> str:
    """A line for each group from its true mean (ring) to what was predicted (dot)."""

    def draw(axes: Sequence["Axes"]) -> None:
        axis = axes[0]
        for place in found:
            (x, y), (u, v) = place.true, place.predicted
            axis.plot([x, u], [y, v], color=STAND_IN["muted"], lw=1.1)
            axis.plot(x, y, "o", ms=6, mfc=STAND_IN["surface"], mec=STAND_IN["ink"], mew=1.2)
            axis.plot(u, v, "o", ms=6, mew=0, color=STAND_IN[system])
            left = u >= x  # the name goes to the side that the line does not take
            side, at = ("right", -7) if left else ("left", 7)
            axis.annotate(
                place.name,
                (x, y),
                xytext=(at, _nudge(place, found)),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=8.5,
            )
        axis.margins(0.25, 0.08)
        axis.set(xlabel="valence", ylabel="arousal")

    shrunk = np.ptp([p.predicted for p in found], axis=0) / np.ptp([p.true for p in found], axis=0)
    about = f"Mean true and predicted valence and arousal of {len(found)} groups of clips; the predictions span "
    about += f"{shrunk[0]:.0%} of the true range of valence and {shrunk[1]:.0%} of that of arousal."
    return svg("plane", draw, height=4.2, about=about)


def track(points: Sequence[tuple[float, float, str]], cloud: Sequence[tuple[float, float]], name: str) -> str:
    """Segments of one recording, numbered and joined in their order, before the grey cloud of other clips.

    Args:
        points: valence, arousal and colour (one of `emojudge.figures.VARIABLES`) of each segment.
        cloud: valence and arousal of other clips, as the same system tells them: where it puts anything at all.
        name: of the figure, unlike that of any other on the page.
    """

    def draw(axes: Sequence["Axes"]) -> None:
        axis = axes[0]
        if cloud:
            axis.plot(*zip(*cloud, strict=True), "o", ms=3, mew=0, alpha=0.35, color=STAND_IN["rest"])
        axis.plot([x for x, _, _ in points], [y for _, y, _ in points], color=STAND_IN["muted"], lw=1)
        for number, (x, y, colour) in enumerate(points, 1):
            axis.plot(x, y, "o", ms=13, mec=STAND_IN["surface"], mew=1.2, color=STAND_IN[colour])
            axis.text(x, y, str(number), ha="center", va="center_baseline", fontsize=7.5, color=STAND_IN["surface"])
        axis.margins(0.08)
        axis.set(xlabel="valence", ylabel="arousal")

    about = f"Valence and arousal of {len(points)} segments in their order, before {len(cloud)} clips not trained on."
    return svg(name, draw, height=3.4, about=about)


def _nudge(place: Place, found: Sequence[Place]) -> float:
    """Points by which a name makes way for that of a close neighbour: up for the higher one, down for the lower."""
    wide, high = np.ptp([other.true for other in found], axis=0)
    for other in found:
        dx, dy = place.true[0] - other.true[0], place.true[1] - other.true[1]
        if other is not place and abs(dx) < 0.4 * wide and abs(dy) < 0.05 * high:
            return 6.0 if (dy, place.name) > (0, other.name) else -6.0
    return 0.0

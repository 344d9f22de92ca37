"""A picture of the timeline (PNG, extra `report`): emotions as bands, how sure each is, attributes as steps, speakers below."""

from pathlib import Path
from typing import Any

import numpy as np

from emojudge.errors import MissingExtra
from emojudge.storage import atomic
from emojudge.timeline import Timeline

SUFFIX = ".png"
WIDTH = 13.0
"""Inches."""


def write(timeline: Timeline, path: Path) -> None:
    """A row for each emotion, darker where it is more probable; the most probable one is framed.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise MissingExtra("The picture of a timeline", "report") from None
    names, people = timeline.emotions, list(dict.fromkeys(one.speaker for one in timeline.segments if one.speaker))
    attributes = list(timeline.segments[0].attributes) if timeline.segments else []
    heights = [0.28 * max(len(names), 2), *([1.3] if attributes else []), *([0.24 * max(len(people), 2)] if people else [])]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.55 * len(heights) + 0.5), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)))
    _emotions(axes[0], timeline, names)
    if attributes:
        _attributes(axes[1], timeline, attributes)
    if people:
        _bands(axes[-1], people, [(people.index(one.speaker), one.start, one.end) for one in timeline.segments if one.speaker])
    axes[0].set_title(timeline.name, loc="left", weight="bold", parse_math=False)
    axes[-1].set_xlim(0, max(timeline.seconds, 1.0))
    axes[-1].xaxis.set_major_locator(MaxNLocator(12, steps=[1, 1.5, 2, 3, 6, 10], integer=True))
    axes[-1].xaxis.set_major_formatter(lambda value, _: f"{int(value) // 60}:{int(value) % 60:02}")
    axes[-1].set_xlabel("\n".join(filter(None, ("minutes : seconds", timeline.notice))))
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _emotions(axes: Any, timeline: Timeline, names: list[str]) -> None:
    for one in timeline.segments:
        for row, (name, share) in enumerate(one.scores.get("emotions", {}).items()):
            chosen = name == one.emotion
            place = [(one.start, one.end - one.start)]
            axes.broken_barh(place, (row - 0.4, 0.8), color="#2b5c8a", alpha=min(1.0, 0.06 + share), linewidth=0)
            if chosen:
                axes.broken_barh(place, (row - 0.4, 0.8), facecolor="none", edgecolor="#c4461f", linewidth=1.2)
    _rows(axes, names or ["speech"])


def _attributes(axes: Any, timeline: Timeline, names: list[str]) -> None:
    for name, colour in zip(names, ("#c4461f", "#2b5c8a", "#4a8f4a", "#7a5195"), strict=False):
        for number, one in enumerate(timeline.segments):
            value, error = one.attributes[name], timeline.errors.get(name, 0.0)
            axes.plot([one.start, one.end], [value, value], color=colour, linewidth=2, label=None if number else name)
            axes.fill_between([one.start, one.end], value - error, value + error, color=colour, alpha=0.12, linewidth=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _bands(axes: Any, names: list[str], bands: list[tuple[int, float, float]]) -> None:
    for row, start, end in bands:
        axes.broken_barh([(start, end - start)], (row - 0.4, 0.8), color=f"C{row % 10}", linewidth=0)
    _rows(axes, names)


def _rows(axes: Any, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)

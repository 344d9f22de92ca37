"""A corpus in one picture: labels by split, durations or words, attributes, and how far raters agree (extra `report`)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emojudge import agreement, inspection
from emojudge.checks import look
from emojudge.errors import ConfigError, MissingExtra
from emojudge.inspection import Recording
from emojudge.settings import Config
from emojudge.statistics import by_split
from emojudge.types import ATTRIBUTES, Utterance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCORES = {"macro_f1": "macro-F1", "ccc": "CCC"}
KINDS = (".png", ".svg", ".pdf")

INK, MUTED, RULE = "#22262b", "#5c6670", "#e3e6ea"
SPLIT_COLOURS = ("#33658a", "#f2a541", "#b23a48", "#758e4f", "#8d6a9f", "#999999")
ATTRIBUTE_COLOURS = dict(zip(ATTRIBUTES, ("#33658a", "#b23a48", "#758e4f"), strict=True))

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}

Panel = Callable[["Axes"], None]


def save(path: Path, utterances: Sequence[Utterance], config: Config, files: Mapping[str, Recording] | None = None) -> None:
    """Draw the corpus into a PNG, SVG or PDF file; what it does not have gets no panel.

    Args:
        path: the file, whose ending says the kind.
        utterances: the corpus.
        config: for its labels and name.
        files: the recordings by path, if somebody has looked at them.

    Raises:
        ConfigError: another ending.
        MissingExtra: matplotlib is not installed.
    """
    if path.suffix.lower() not in KINDS:
        raise ConfigError(f"--picture {path} ends in none of {', '.join(KINDS)}; give it one of these.")
    if find_spec("matplotlib") is None:
        raise MissingExtra("The picture of a corpus", "report")
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    files = look(utterances) if files is None else files
    lengths = {u.id: length for u in utterances if (length := inspection.length(u, files))}
    panels = _panels(utterances, config.data.labels, lengths)
    rows = -(-len(panels) // 2)
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 0.9 + 3.7 * rows), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12), facecolor="white")
        figure.suptitle(_headline(utterances, config, lengths), x=0.012, ha="left", fontsize=13, color=INK)
        grid = figure.add_gridspec(rows, 2)
        for number, panel in enumerate(panels):
            alone = number == len(panels) - 1 and number % 2 == 0
            panel(figure.add_subplot(grid[number // 2, :] if alone else grid[number // 2, number % 2]))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=140)


def _headline(utterances: Sequence[Utterance], config: Config, lengths: Mapping[str, float]) -> str:
    speakers = len({u.speaker for u in utterances if u.speaker})
    facts = [f"{len(utterances):,} {'clips' if any(u.audio for u in utterances) else 'texts'}"]
    facts += [f"{speakers:,} speakers"] if speakers else []
    facts += [f"{sum(lengths.values()) / 3600:.2f} h"] if lengths else []
    return "   ·   ".join([config.data.corpus.partition(":")[0], *facts])


def _panels(utterances: Sequence[Utterance], labels: Sequence[str], lengths: Mapping[str, float]) -> list[Panel]:
    """What there is to draw."""
    splits = {name: members for name, members in by_split(utterances).items() if "+" not in name}
    rows = {(row["metric"], row["class"]): row["value"] for row in agreement.rows(utterances, labels)}
    panels: list[Panel] = []
    if any(u.emotion in labels for u in utterances):
        panels.append(partial(_labels, splits=splits, labels=labels))
    if lengths:
        seconds = {name: [lengths[u.id] for u in members if u.id in lengths] for name, members in splits.items()}
        panels.append(partial(_spread, values=seconds, title="How long clips are", unit="seconds"))
    if any(u.text for u in utterances):
        words = {name: [float(len(u.text.split())) for u in members if u.text] for name, members in splits.items()}
        panels.append(partial(_spread, values=words, title="How many words are said", unit="words"))
    if any(u.speaker for u in utterances):
        panels.append(partial(_speakers, splits=splits))
    if any(u.attributes for u in utterances):
        panels.append(partial(_attributes, utterances=utterances))
    if ("alpha", "") in rows:
        panels.append(partial(_votes, utterances=utterances, labels=labels, rows=rows))
    if any(name in ATTRIBUTES for _, name in rows):
        panels.append(partial(_raters, utterances=utterances, rows=rows))
    return panels


def _labels(axis: "Axes", splits: Mapping[str, Sequence[Utterance]], labels: Sequence[str]) -> None:
    """Shares of the labels in each split, as bars with their counts."""
    shown = {name: members for name, members in splits.items() if any(u.emotion in labels for u in members)}
    height = 0.8 / len(shown)
    for number, (name, members) in enumerate(shown.items()):
        counts = np.array([sum(u.emotion == label for u in members) for label in labels])
        places = np.arange(len(labels)) + (number - (len(shown) - 1) / 2) * height
        shares = 100 * counts / counts.sum()
        axis.barh(places, shares, height * 0.92, color=_colour(number), label=f"{name} ({counts.sum():,})")
        for place, share, count in zip(places, shares, counts, strict=True):
            axis.text(share, place, f" {count:,}" if count else "", va="center", fontsize=6.5, color=MUTED)
    axis.set(title="Labels by split", xlabel="% of the labelled clips; numbers are clips", yticks=range(len(labels)))
    axis.set_yticklabels(labels, color=INK)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.margins(x=0.08)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=len(shown), fontsize=8)


def _spread(axis: "Axes", values: Mapping[str, Sequence[float]], title: str, unit: str) -> None:
    """Histograms of one quantity, a split upon the other; the longest 1 % share the last bar."""
    everything = np.concatenate([np.asarray(part, dtype=float) for part in values.values()])
    top = float(np.quantile(everything, 0.99))
    first = float(everything.min())
    words = np.arange(0.5, top + 1.5, max(1, round(top / 40)))
    edges = words if unit == "words" else np.linspace(first, max(top, first + 0.1), 31)
    parts = [np.clip(part, edges[0], np.nextafter(edges[-1], 0)) for part in values.values()]
    axis.hist(parts, edges.tolist(), stacked=True, color=[_colour(n) for n in range(len(parts))], label=list(values), rwidth=0.9)
    axis.axvline(float(np.median(everything)), color=INK, lw=1, ls=(0, (4, 3)))
    told = f"median {np.median(everything):.3g}, longest {everything.max():.4g} {unit}"
    axis.set(title=title, xlabel=f"{unit}   ({told})", ylabel="clips")
    axis.grid(visible=False, axis="x")
    _legend(axis)


def _speakers(axis: "Axes", splits: Mapping[str, Sequence[Utterance]]) -> None:
    """Clips of each speaker, the most frequent first, in each split."""
    begin = 0
    for number, (name, members) in enumerate(splits.items()):
        counts = sorted(Counter(u.speaker for u in members if u.speaker).values(), reverse=True)
        if counts:
            label = f"{name} ({len(counts):,})"
            axis.bar(np.arange(begin, begin + len(counts)), counts, 0.9, color=_colour(number), label=label)
        begin += len(counts)
    axis.set(title="How many clips each speaker has", xlabel="speakers", ylabel="clips", xticks=[])
    axis.grid(visible=False, axis="x")
    _legend(axis)


def _attributes(axis: "Axes", utterances: Sequence[Utterance]) -> None:
    """The attributes' distributions, on one scale."""
    values = {name: [u.attributes[name] for u in utterances if name in u.attributes] for name in ATTRIBUTES}
    values = {name: found for name, found in values.items() if found}
    everything = np.concatenate([*values.values()])
    edges = np.linspace(everything.min() - 0.05, everything.max() + 0.05, 41)
    for name, found in values.items():
        label = f"{name}: {np.mean(found):.2f} ± {np.std(found):.2f}"
        axis.hist(found, edges.tolist(), histtype="step", lw=1.8, color=ATTRIBUTE_COLOURS[name], label=label)
    axis.set(title="Attributes", xlabel="the corpus's own scale (mean ± standard deviation in the legend)", ylabel="clips")
    axis.grid(visible=False, axis="x")
    _legend(axis)


def _votes(
    axis: "Axes", utterances: Sequence[Utterance], labels: Sequence[str], rows: Mapping[tuple[str, str], float | None]
) -> None:
    """What raters chose, by the corpus's label; where it has none, by what most of them chose."""
    voted = [(u.emotion or max(u.votes, key=u.votes.__getitem__), u.votes) for u in utterances if u.votes]
    names = [label for label in labels if any(truth == label for truth, _ in voted)]
    chosen = list(dict.fromkeys([*names, *(name for _, votes in voted for name in votes)]))
    table = np.array([[sum(v.get(name, 0.0) for truth, v in voted if truth == label) for name in chosen] for label in names])
    shares = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for i, j in np.ndindex(shares.shape):
        dark = shares[i, j] > 55
        axis.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", fontsize=8, color="white" if dark else INK)
    axis.set(title="What raters chose, in % of each label", xticks=range(len(chosen)), xlabel=_told(rows, "macro_f1", "").strip())
    axis.set(yticks=range(len(names)), ylabel="label")
    axis.set_xticklabels(chosen, rotation=30 if len(chosen) > 6 else 0, color=INK)
    axis.set_yticklabels(names, color=INK)
    axis.grid(visible=False)


def _raters(axis: "Axes", utterances: Sequence[Utterance], rows: Mapping[tuple[str, str], float | None]) -> None:
    """How far raters of one clip are from each other."""
    spreads = {
        name: [float(np.std(u.ratings[name], ddof=1)) for u in utterances if len(u.ratings.get(name, ())) > 1]
        for name in ATTRIBUTES
    }
    edges = np.linspace(0, max(map(max, filter(None, spreads.values()))) + 0.05, 41).tolist()
    for name, spread in spreads.items():
        if spread:
            label = f"{name}{_told(rows, 'ccc', name)}"
            axis.hist(spread, edges, histtype="step", lw=1.8, color=ATTRIBUTE_COLOURS[name], label=label)
    axis.set(title="How far raters of one clip are apart", xlabel="standard deviation among raters", ylabel="clips")
    axis.grid(visible=False, axis="x")
    _legend(axis)


def _legend(axis: "Axes") -> None:
    """A legend above the bars, not upon them."""
    axis.set_ylim(top=1.3 * axis.get_ylim()[1])
    axis.legend(fontsize=8, loc="best")


def _told(rows: Mapping[tuple[str, str], float | None], score: str, name: str) -> str:
    """Alpha and the human ceiling, as far as they are known."""
    told = {"α": rows.get(("alpha", name)), f"one rater by the others, {SCORES[score]}": rows.get((score, name))}
    parts = [f"{what} {value:.2f}" for what, value in told.items() if value is not None]
    return f"  ({'; '.join(parts)})" if parts else ""


def _colour(number: int) -> str:
    return SPLIT_COLOURS[min(number, len(SPLIT_COLOURS) - 1)]

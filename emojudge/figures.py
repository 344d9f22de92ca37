"""Plots as inline SVG that takes the page's colours, so that they follow light and dark mode.

Matplotlib draws with stand-in colours; each is replaced by a CSS variable of the report's template.
"""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from emojudge.selective import RiskCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VARIABLES = ("ink", "muted", "rule", "surface", "audio", "text", "early", "fusion", "ensemble", "judge", "harm", "rest")
"""CSS variables of the template; the systems' names are among them."""

STAND_IN = {name: f"#0102{number:02x}" for number, name in enumerate(VARIABLES, 16)}
"""The colour that stands for each variable while drawing."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": STAND_IN["rule"],
    "axes.labelcolor": STAND_IN["muted"],
    "axes.titlecolor": STAND_IN["ink"],
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": STAND_IN["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": STAND_IN["muted"],
    "ytick.color": STAND_IN["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": STAND_IN["ink"],
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def training_curves(logs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], score: str, name: str = "training") -> str:
    """Loss and dev score by step; `logs` holds, by modality, the log rows of every part.

    >>> "<svg" in training_curves({"audio": [[{"step": 1, "loss": 2.0, "score": 0.1}]]}, "macro-F1")
    True
    """

    def draw(axes: Sequence["Axes"]) -> None:
        for axis, key, title in zip(axes, ("loss", "score"), ("Training loss", f"Dev {score}"), strict=True):
            for modality, parts in logs.items():
                for number, rows in enumerate(parts):
                    points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
                    label = modality.capitalize() if number == 0 else None
                    alpha = 1 if len(parts) == 1 else 0.45
                    marker = "o" if len(points) == 1 else None
                    axis.plot(
                        *zip(*points, strict=True), color=STAND_IN[modality], lw=1.6, alpha=alpha, label=label, marker=marker
                    )
            axis.set(title=title, xlabel="step")
        axes[0].legend()

    about = f"Training loss and dev {score} by optimiser step, one line for each training of {' and '.join(logs)}."
    return svg(f"curves-{name}", draw, columns=2, about=about)


def scatter(gold: np.ndarray, predicted: np.ndarray, names: Sequence[str], system: str, most: int = 700) -> str:
    """Predicted by true value of each attribute, (N, A) each; at most `most` points, evenly taken."""
    keep = np.linspace(0, len(gold) - 1, min(most, len(gold))).astype(int)

    def draw(axes: Sequence["Axes"]) -> None:
        low, high = float(min(gold.min(), predicted.min())), float(max(gold.max(), predicted.max()))
        low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
        for k, (axis, name) in enumerate(zip(axes, names, strict=True)):
            axis.plot([low, high], [low, high], color=STAND_IN["muted"], lw=1, ls=(0, (4, 3)))
            axis.plot(gold[keep, k], predicted[keep, k], "o", ms=3, mew=0, alpha=0.45, color=STAND_IN[system])
            axis.set(title=name.capitalize(), xlabel="true", aspect="equal", xlim=(low, high), ylim=(low, high))
        axes[0].set_ylabel("predicted")

    about = f"Predicted by true {', '.join(names)} of {len(keep)} clips, by {system}; the dashed line is where both agree."
    return svg("scatter", draw, columns=len(names), height=3.0, about=about)


def confidence_histogram(confidences: Sequence[float], right: Sequence[bool], threshold: float) -> str:
    """How sure the judge said it was, parted by whether its label was the true one."""

    def draw(axes: Sequence["Axes"]) -> None:
        values, good = np.asarray(confidences, dtype=float), np.asarray(right, dtype=bool)
        series, colours = [values[good], values[~good]], [STAND_IN["judge"], STAND_IN["rest"]]
        axes[0].hist(
            series,
            np.linspace(0, 1, 21).tolist(),
            stacked=True,
            color=colours,
            label=["label is right", "label is wrong"],
            rwidth=0.86,
        )
        _mark(axes[0], threshold)
        axes[0].set(title="How sure the judge was", xlabel="confidence", ylabel="clips", xlim=(0, 1))
        axes[0].grid(visible=False, axis="x")
        axes[0].legend(loc="best")  # a small judge is unsure, a large one sure

    good = sum(map(bool, right))
    about = f"Histogram of the judge's confidence in {len(right)} answers, of which {good} name the true label."
    return svg("confidence", draw, about=about)


def threshold_sweep(points: Sequence[tuple[float, float]], threshold: float) -> str:
    """Macro-F1 by threshold; dashed, without the judge."""

    def draw(axes: Sequence["Axes"]) -> None:
        x, y = zip(*points, strict=True)
        axes[0].axhline(y[-1], color=STAND_IN["fusion"], lw=1.4, ls=(0, (4, 3)), label="not judged")
        axes[0].plot(x, y, color=STAND_IN["judge"], lw=1.8, drawstyle="steps-post", label="judged")
        _mark(axes[0], threshold)
        axes[0].set(
            title="Had the threshold been another", xlabel="change labels above this confidence", ylabel="macro-F1", xlim=(0, 1)
        )
        axes[0].legend(loc="best")

    best, score = max(points, key=lambda point: point[1])
    about = f"Macro-F1 by the judge's threshold: {points[-1][1]:.3f} where it changes nothing, at most {score:.3f}, at {best:g}."
    return svg("sweep", draw, about=about)


def risk_coverage(curves: Mapping[str, RiskCurve]) -> str:
    """Share of wrong labels among the surest, by how many are taken; `curves` by system."""

    def draw(axes: Sequence["Axes"]) -> None:
        for system, curve in curves.items():
            label = f"{'judge' if system == 'judge' else 'shown'}, AUGRC {curve.augrc:.3f}"
            axes[0].plot(curve.coverage, curve.risk, color=STAND_IN[system], lw=1.6, label=label)
        axes[0].set(title="How wrong the surest are", xlabel="share of the judged clips", ylabel="wrong labels", xlim=(0, 1))
        axes[0].set_ylim(bottom=0)
        axes[0].legend(loc="best")

    areas = " and ".join(f"{curve.augrc:.3f} for {system}" for system, curve in curves.items())
    return svg("risk", draw, about=f"Share of wrong labels by the share of clips taken, the surest first; AUGRC {areas}.")


def _mark(axis: "Axes", threshold: float) -> None:
    """A line at the threshold in force."""
    axis.axvline(threshold, color=STAND_IN["ink"], lw=1)
    axis.annotate(
        f"{threshold:g}",
        (threshold, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, -8),
        textcoords="offset points",
        fontsize=8,
    )


def svg(name: str, draw: Any, columns: int = 1, height: float = 2.7, about: str = "") -> str:
    """Let `draw` fill axes side by side; return an `<svg>` element whose ids begin with `name`.

    `about` is what the figure shows, in a sentence, for those who cannot see it.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.6 if columns == 1 else 9.4, height), layout="constrained")
        draw(list(figure.subplots(1, columns, squeeze=False)[0]))
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _themed(out.getvalue(), name, about or name)


def _themed(text: str, name: str, about: str) -> str:
    """Only the element, scalable, with the page's colours and font, and ids that no other figure has."""
    text = text[text.index("<svg") :]
    for unwanted in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"font-family: [^;\"]*(; )?"):
        text = re.sub(unwanted, "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(about, quote=True)}"', 1)
    for variable, colour in STAND_IN.items():
        text = text.replace(colour, f"var(--{variable})")
    return text

"""What the report shows of one task: the ladder of systems, differences, classes, confusions, the judge.

Everything is plain data with positions in percent; the template only places it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emojudge.aligned import PartResults, pool
from emojudge.evaluation import PAIRS, Row, find, shown_to_judge
from emojudge.figures import confidence_histogram, risk_coverage, threshold_sweep
from emojudge.groups import Group, listed
from emojudge.judged import Judged, by_label, examples, judged_clips, risk_curves, sweep
from emojudge.metrics import confusion
from emojudge.reliability import Bin, bins, diagram
from emojudge.runs import JUDGED
from emojudge.settings import Config
from emojudge.tables import METRICS, SHORT, number, p_value, published, system_name, systems
from emojudge.types import ATTRIBUTES, Cues

HEADLINE = {"emotions": ("macro_f1", ""), "attributes": ("ccc", "mean")}
"""The score each task is ranked by: metric and class."""


FULL = 20
"""Clips that a bin of a reliability diagram has at least, so that few clips make few bins; there are 15 at most."""


@dataclass(frozen=True)
class Scale:
    """A horizontal axis from `low` to `high` with a few round ticks."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Sequence[float]) -> "Scale":
        """An axis of a few ticks that holds all `values`.

        >>> Scale.around([0.43, 0.71]).ticks
        [0.4, 0.5, 0.6, 0.7, 0.8]
        >>> Scale.around([0.0, 0.0]).ticks
        [0.0, 0.01]
        """
        span = max(max(values) - min(values), 0.02)
        step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, math.inf) if span / step <= 5)
        first = math.floor(min(values) / step)
        return cls(first * step, max(math.ceil(max(values) / step), first + 1) * step, step)

    @property
    def ticks(self) -> list[float]:
        """Where the lines go."""
        return [round(self.low + k * self.step, 6) for k in range(round((self.high - self.low) / self.step) + 1)]

    def at(self, value: float | None) -> float | None:
        """Percent from the left."""
        return None if value is None else round(100 * (value - self.low) / (self.high - self.low), 2)

    def marks(self, row: Row) -> dict[str, Any]:
        """Where a row's value and interval lie."""
        return {"at": self.at(row["value"]), "from": self.at(row["low"]), "to": self.at(row["high"])}

    def axis(self) -> list[dict[str, Any]]:
        """Ticks with their places."""
        digits = 1 if self.step >= 0.1 else 2
        return [{"at": self.at(tick), "text": f"{tick:.{digits}f}".replace("-", "−")} for tick in self.ticks]


def ladder(config: Config, rows: Sequence[Row], task: str, split: str) -> dict[str, Any]:
    """Every system with its interval on one axis, published ones below."""
    metric, name = HEADLINE[task]
    key = f"{metric}.{name}" if name else metric
    ours = [(system, row) for system in systems(rows, task, split) if (row := find(rows, system, metric, (task, split), name))]
    others = [row for row in published(config, task, split) if key in row["scores"]]
    ends = [value for _, row in ours for value in (row["low"], row["value"], row["high"]) if value is not None]
    scale = Scale.around(ends + [row["scores"][key] for row in others])
    columns = (
        ["uar", "accuracy"] if task == "emotions" else [n for n in ATTRIBUTES if find(rows, ours[0][0], "ccc", (task, split), n)]
    )
    lines = []
    for system, row in ours:
        where = [(c, "") if task == "emotions" else ("ccc", c) for c in columns]
        cells = [number(find(rows, system, m, (task, split), c)) for m, c in where]
        detail = system_name(config, system).removeprefix(SHORT[system]).strip(" ()")
        about = {"system": system, "name": SHORT[system], "detail": detail, "value": number(row), "cells": cells}
        lines.append(about | scale.marks(row) | {"span": span(row)})
    for row in others:
        prefix = "" if task == "emotions" else "ccc."
        cells = [f"{row['scores'][prefix + c]:.3f}" if prefix + c in row["scores"] else "–" for c in columns]
        value = row["scores"][key]
        lines.append(
            {
                "system": "",
                "name": row["system"],
                "detail": "",
                "value": f"{value:.3f}",
                "cells": cells,
                "at": scale.at(value),
                "span": "",
            }
        )
    headers = ["Macro-F1" if task == "emotions" else "Mean CCC", *(METRICS.get(c, c.capitalize()) for c in columns)]
    sources = list(dict.fromkeys(row["source"] for row in others))
    return {"axis": scale.axis(), "rows": lines, "headers": headers, "sources": sources, "n": ours[0][1]["n"]}


def left_out(rows: Sequence[Row], task: str, split: str) -> list[str]:
    """Clips that are missing from the scores, in words."""
    unlabelled = find(rows, "", "unlabelled", (task, split))
    words = [f"{unlabelled['value']:g} more have no known answer"] if unlabelled and unlabelled["value"] else []
    for system in systems(rows, task, split):
        row = find(rows, system, "unpredicted", (task, split))
        if row and row["value"]:
            words.append(f"{SHORT[system].lower()} did not predict {row['value']:g}")
    return words


def span(row: Row) -> str:
    """The interval as printed."""
    return "" if row["low"] is None else f"{row['low']:.3f} – {row['high']:.3f}"


def forest(config: Config, rows: Sequence[Row], task: str, split: str) -> dict[str, Any] | None:
    """Paired differences around zero."""
    metric, name = ("macro_f1_difference", "") if task == "emotions" else ("ccc_difference", "mean")
    found = [row for a, b in PAIRS if (row := find(rows, f"{a}-{b}", metric, (task, split), name))]
    if not found:
        return None
    scale = Scale.around([0.0, *(v for row in found for v in (row["low"], row["value"], row["high"]) if v is not None)])
    lines = []
    for row in found:
        p = find(rows, row["system"], "mcnemar_p", (task, split))
        lines.append({"system": row["system"].split("-")[0], "row": row, "p": p_value(p) if p else ""} | scale.marks(row))
    return {"axis": scale.axis(), "zero": scale.at(0.0), "rows": lines}


def class_bars(config: Config, rows: Sequence[Row], split: str) -> dict[str, Any]:
    """F1 of each label by each system."""
    where = ("emotions", split)
    present = systems(rows, *where)
    lines = []
    for label in config.data.labels:
        cells = [{"system": s, "row": find(rows, s, "f1", where, label)} for s in present]
        lines.append({"label": label, "cells": cells})
    return {"systems": [(s, SHORT[s]) for s in present], "rows": lines}


def confusions(results: Sequence[PartResults], split: str, present: Sequence[str]) -> list[dict[str, Any]]:
    """One matrix a system, with counts and shares of the true label; folds are pooled, of the first seed."""
    made = []
    for system in present:
        pooled = pool(results, system, split)
        counts = confusion(pooled.gold, pooled.predicted, pooled.names)
        shares = counts / counts.sum(-1, keepdims=True).clip(1)
        cells = [
            [{"n": int(n), "share": float(s)} for n, s in zip(*pair, strict=True)] for pair in zip(counts, shares, strict=True)
        ]
        made.append({"system": system, "name": SHORT[system], "labels": pooled.names, "rows": cells})
    return made


def calibration(
    config: Config, rows: Sequence[Row], results: Sequence[PartResults], split: str, present: Sequence[str]
) -> dict[str, Any] | None:
    """Reliability diagrams of the unjudged systems with their scores; None where every system is judged."""
    where, shown = ("emotions", split), [system for system in present if system not in JUDGED]
    series: dict[str, tuple[str, list[Bin]]] = {}
    for system in shown:
        pooled = pool(results, system, split)
        count = min(15, max(3, len(pooled.ids) // FULL))
        found = bins(pooled.gold, pooled.scores, pooled.names, count, config.evaluation.confidence)
        series[SHORT[system]] = (system, found)
    if not series:
        return None
    names = {s + suffix: SHORT[s] + said for s in shown for suffix, said in (("", ""), ("+temperature", ", temperature-scaled"))}
    scores = [
        (name, key.split("+")[0], [number(find(rows, key, metric, where)) for metric in ("ece", "brier", "nll")])
        for key, name in names.items()
        if find(rows, key, "ece", where)
    ]
    return {"figure": diagram(series), "scores": scores, "series": series}


def group_forest(found: Sequence[Group], row: Row | None) -> dict[str, Any] | None:
    """Groups on one axis, by kind, with a line where `row`, the score of all clips, lies; None where there is none."""
    if not found:
        return None
    shown = listed(found)
    scored = [(group, {"value": group.score.value, "low": group.score.low, "high": group.score.high}) for group in shown]
    whole = [row["value"]] if row else []
    scale = Scale.around([v for _, score in scored for v in score.values() if v is not None] + whole)
    kinds: dict[str, list[dict[str, Any]]] = {}
    for group, score in scored:
        line = {"name": group.name, "n": group.n, "value": number(score), "span": span(score)} | scale.marks(score)
        kinds.setdefault(group.kind, []).append(line)
    zero = scale.at(row["value"]) if row else None
    return {"axis": scale.axis(), "zero": zero, "kinds": kinds, "left_out": len(found) - len(shown)}


def judge_exhibit(
    config: Config, rows: Sequence[Row], results: Sequence[PartResults], split: str, cues: Mapping[str, Cues]
) -> dict[str, Any]:
    """Counts, plots and examples of what the judge did on `split`."""
    clips = judged_clips(results, split)
    counts = {
        name: row["value"]
        for name in ("asked", "helped", "harmed", "moved")
        if (row := find(rows, "judge", name, ("emotions", split)))
    }
    coverage = find(rows, "judge", "coverage", ("emotions", split))
    answered = [clip for clip in clips if clip.verdict.outcome == "ok"]
    figures = []
    if answered:
        right = [clip.verdict.label == clip.utterance.emotion for clip in answered]
        figures.append(confidence_histogram([clip.verdict.confidence for clip in answered], right, config.judge.threshold))
        figures.append(threshold_sweep(sweep(results, split), config.judge.threshold))
        figures.append(risk_coverage(risk_curves(clips, shown_to_judge(list(results[0].predictions)))))
    return {
        "counts": counts,
        "changed": sum(counts.values()) - counts.get("asked", 0),
        "coverage": coverage["value"] if coverage else 0,
        "n": coverage["n"] if coverage else 0,
        "figures": figures,
        "differences": [
            row for row in rows if row["split"] == split and row["metric"] == "macro_f1_difference" and "judge-" in row["system"]
        ],
        "flips": find(rows, "judge", "order_flips", ("emotions", split)),
        "by_label": by_label(clips, config.data.labels) if answered else [],
        "unusable": len(clips) - len(answered),
        "examples": [_example(clip, cues.get(clip.utterance.id)) for clip in examples(clips)],
    }


_VOICE = {
    "loudness_lufs": "loudness",
    "rms_dbfs": "amplitude",
    "f0_median_hz": "pitch",
    "f0_range_semitones": "pitch range",
    "rate": "speaking rate",
}
"""Measures of the voice that are told in words."""


def _example(clip: Judged, cues: Cues | None) -> dict[str, Any]:
    """One clip as a card."""
    words = [(name, cues.words[key]) for key, name in _VOICE.items() if cues and key in cues.words]
    gold, answer = str(clip.utterance.emotion), clip.verdict.label
    steps: list[tuple[str, str | None, bool]] = [
        (name.capitalize(), label, label == gold) for name, label in clip.opinions.items()
    ]
    steps += [("Shown", clip.shown, clip.shown == gold), ("Judge", answer, answer == gold)]
    return {"clip": clip, "words": words, "seconds": cues.seconds if cues else None, "steps": steps, "gold": gold}

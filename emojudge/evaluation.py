"""Score a run: `metrics.json`, a flat list of rows that any tool can read (paper 3.2, decisions 20–24).

A row is `{system, task, split, metric, class, value, low, high, n, part}`. `part` is "" for the whole run:
the mean over its folds and seeds; with several seeds such a row also has `sd`, over seeds. `system` is
"fusion-audio" for the difference of two systems on the same clips, and "" for facts about the split.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from emojudge import agreement
from emojudge.aligned import Aligned, PartResults, check_unfitted, read_results
from emojudge.compare import (
    Estimate,
    Score,
    Tally,
    changes,
    interval,
    mcnemar,
    paired,
    proportion,
    replicates,
    tally_labels,
    tally_values,
)
from emojudge.errors import DataError
from emojudge.metrics import ATTRIBUTE_SCORES, CLASS_SCORES, LABEL_SCORES, brier, ccc_from, ece, macro_f1_from, nll, rmse
from emojudge.runs import JUDGED, SYSTEMS, RunFolder
from emojudge.storage import read_json, read_jsonl, write_json
from emojudge.types import Verdict

Row = dict[str, Any]

PAIRS = (
    ("judge", "fusion"),
    ("judge", "early"),
    ("judge", "threshold"),
    ("judge", "calibrated"),
    ("threshold", "fusion"),
    ("calibrated", "fusion"),
    ("fusion", "audio"),
    ("fusion", "text"),
    ("fusion", "early"),
    ("early", "audio"),
    ("early", "text"),
)
"""Which systems are compared, where a run has both: each with what it was made from."""

HEADLINES = ("macro_f1", "uar", "accuracy", "ccc")
"""Metrics that are also printed for each part."""


def evaluate(run: RunFolder, allow_fitted: bool = False) -> list[Row]:
    """Score every system, task and split of `run`, and write `metrics.json`.

    Args:
        run: a run folder with predictions.
        allow_fitted: also score clips that a system was fitted on.

    Raises:
        LeakageError: a split holds clips that the fusion was fitted on, or is the training split.
        ModelError: the systems do not share one label set.
        DataError: a file is missing or damaged, or some parts have not been predicted.
    """
    rows: list[Row] = []
    for task in run.config.tasks:
        results = read_results(run, task)
        for split in run.config.evaluation.splits:
            rows += _split_rows(results, split, allow_fitted)
    notice = read_json(run.file("run.json")).get("notice", "")
    write_json(run.file("metrics.json"), {"rows": rows, "notice": notice})
    return rows


def _split_rows(results: Sequence[PartResults], split: str, allow_fitted: bool) -> list[Row]:
    """All rows of one task and split."""
    sheet = _Sheet(results, split)
    rows = [sheet.row("", "unlabelled", Estimate(len({u.id for r in results for u in r.unlabelled(split)})))]
    present = [s for s in SYSTEMS if any(s in r.predictions and r.align(s, split).ids for r in results)]
    for system in present:
        if not allow_fitted:
            for result in results:
                check_unfitted(result, system, split)
        rows += sheet.system(system)
    for first, second in PAIRS:
        if first in present and second in present:
            rows += sheet.pair(first, second)
    for system in (system for system in JUDGED if system in present):
        rows += sheet.judge(shown_to_judge(present), system)
    rows += human_rows(sheet)
    return [*rows, *sheet.flips()] if "judge" in present else rows


def shown_to_judge(systems: Sequence[str]) -> str:
    """Whose label the judge was shown: the most joint system there is.

    >>> shown_to_judge(["audio", "text", "fusion", "judge"])
    'fusion'
    """
    return next(system for system in ("fusion", "early", "audio", "text", "judge") if system in systems)


def find(rows: Sequence[Row], system: str, metric: str, where: tuple[str, str], name: str = "") -> Row | None:
    """The whole run's row for a system, metric, (task, split) and class, if it has a value.

    >>> about = {"system": "audio", "metric": "uar", "task": "emotions", "split": "test", "class": "", "part": ""}
    >>> find([about | {"value": 0.5}], "audio", "uar", ("emotions", "test"))["value"]
    0.5
    """
    about = {"system": system, "metric": metric, "task": where[0], "split": where[1], "class": name, "part": ""}
    return next((row for row in rows if row["value"] is not None and about.items() <= row.items()), None)


class _Sheet:
    """Makes the rows of one task and split, over all parts."""

    def __init__(self, results: Sequence[PartResults], split: str) -> None:
        self.results, self.split = [r for r in results if r.labelled(split)], split
        self.task, self.options = results[0].task, results[0].config.evaluation
        self.seeds = len(results[0].config.seeds)

    def row(self, system: str, metric: str, estimate: Estimate, n: int = 0, *, name: str = "", part: str = "") -> Row:
        about = {"system": system, "task": self.task, "split": self.split, "metric": metric, "class": name}
        return {**about, "value": estimate.value, "low": estimate.low, "high": estimate.high, "n": n, "part": part}

    def align(self, system: str, only: Sequence[set[str]] | None = None) -> list[Aligned]:
        """`system` on every part, or on the clips in `only`, one set a part."""
        sets: Sequence[set[str] | None] = only or [None] * len(self.results)
        aligned = [result.align(system, self.split, ids) for result, ids in zip(self.results, sets, strict=True)]
        for result, part in zip(self.results, aligned, strict=True):
            if not part.ids:
                raise DataError(
                    f"{result.part.name} has no {system} predictions on {self.split}, though other parts have; "
                    "finish the run with: emojudge run"
                )
        return aligned

    def system(self, system: str) -> list[Row]:
        """Every score of one system."""
        aligned = self.align(system)
        parts = replicates([_tally(a) for a in aligned], self.options.resamples, self.options.seed)
        n = _clips(aligned)
        rows = []
        for metric, name, score in _scores(self.task, aligned[0].names):
            values = [score(part) for part in parts]
            rows.append(self._whole(system, metric, name, values, n))
            if metric in HEADLINES and len(parts) > 1:
                for value, a, r in zip(values, aligned, self.results, strict=True):
                    rows.append(
                        self.row(
                            system, metric, interval(value, self.options.confidence), len(a.ids), name=name, part=r.part.name
                        )
                    )
        for metric, name, values in _point_scores(self.task, system, aligned):
            rows.append(self._whole(system, metric, name, values, n))
        lost = {
            u.id for r, a in zip(self.results, aligned, strict=True) for u in r.labelled(self.split) if u.id not in set(a.ids)
        }
        return [*rows, self.row(system, "unpredicted", Estimate(len(lost)), n)]

    def _whole(self, system: str, metric: str, name: str, values: Sequence[np.ndarray], n: int) -> Row:
        """Mean over parts, with the spread over seeds where there are several."""
        row = self.row(system, metric, interval(np.mean(values, axis=0), self.options.confidence), n, name=name)
        if self.seeds > 1:
            by_seed: dict[int, list[float]] = {}
            for result, value in zip(self.results, values, strict=True):
                by_seed.setdefault(result.part.seed, []).append(float(value[0]))
            row["sd"] = _finite(np.std([np.mean(v) for v in by_seed.values()], ddof=1))
        return row

    def pair(self, first: str, second: str) -> list[Row]:
        """`first` minus `second` on the clips that both predicted."""
        both = [r.predictions[first].keys() & r.predictions[second].keys() for r in self.results]
        one, two = self.align(first, both), self.align(second, both)
        metric, name, score = _PAIRED[self.task]
        estimate = paired(
            [_tally(a) for a in one],
            [_tally(a) for a in two],
            score,
            resamples=self.options.resamples,
            confidence=self.options.confidence,
            seed=self.options.seed,
        )
        rows = [self.row(f"{first}-{second}", f"{metric}_difference", estimate, _clips(one), name=name)]
        if self.task == "emotions" and self.seeds == 1:
            gold, after, before = (
                [*chain(*names)] for names in ((a.gold for a in one), (a.predicted for a in one), (a.predicted for a in two))
            )
            rows.append(self.row(f"{first}-{second}", "mcnemar_p", Estimate(mcnemar(gold, after, before)), _clips(one)))
        return rows

    def judge(self, shown: str, system: str) -> list[Row]:
        """How many clips were asked about, and what that did by one policy; summed over folds, the mean over seeds."""
        both = [r.predictions[system].keys() & r.predictions[shown].keys() for r in self.results]
        count = {"asked": 0, "helped": 0, "harmed": 0, "moved": 0, "kept": 0}
        for result, before, after in zip(self.results, self.align(shown, both), self.align(system, both), strict=True):
            count["asked"] += len({verdict.id for verdict in read_verdicts(result)} & set(after.ids))
            for name, number in changes(after.gold, before.predicted, after.predicted).items():
                count[name] += number
        n = sum(count.values()) - count["asked"]
        rows = [self.row(system, name, Estimate(number / self.seeds), n // self.seeds) for name, number in count.items()]
        return [*rows, self.row(system, "coverage", Estimate(count["asked"] / n), n // self.seeds)]

    def flips(self) -> Iterator[Row]:
        """How often the judge's label was another with the labels in another order; nothing where it was not asked."""
        pairs = []
        for result in self.results:
            of_split = {u.id for u in result.labelled(self.split)}
            usual = {verdict.id: verdict.label for verdict in read_verdicts(result)}
            path = result.part.flips()
            turned = read_jsonl(path, Verdict) if path.exists() else ()
            pairs += [(usual[v.id], v.label) for v in turned if v.id in of_split and v.label and usual.get(v.id)]
        if pairs:
            flipped = proportion(sum(a != b for a, b in pairs), len(pairs), self.options.confidence)
            yield self.row("judge", "order_flips", flipped, len(pairs))


def human_rows(sheet: _Sheet) -> Iterator[Row]:
    """What one rater scores by the others, as the system "human"; nothing where nobody was asked twice."""
    everyone = {u.id: u for result in sheet.results for u in result.labelled(sheet.split)}
    labels = sheet.results[0].config.data.labels if everyone else ()
    for row in agreement.rows(list(everyone.values()), labels):
        if row["task"] == sheet.task:
            yield sheet.row("human", row["metric"], Estimate(row["value"]), row["n"], name=row["class"])


def read_verdicts(result: PartResults) -> list[Verdict]:
    """The judge's answers of one part; none where it was not asked."""
    path = result.part.verdicts(result.task)
    return list(read_jsonl(path, Verdict)) if path.exists() else []


def _tally(aligned: Aligned) -> Tally:
    if aligned.values is None:
        return tally_labels(aligned.gold, aligned.predicted, aligned.clusters, aligned.names)
    return tally_values(aligned.values, aligned.scores, aligned.clusters)


def _clips(aligned: Sequence[Aligned]) -> int:
    return len({clip for part in aligned for clip in part.ids})


def _finite(value: float) -> float | None:
    """NaN is no JSON."""
    return float(value) if np.isfinite(value) else None


def _at(score: Score, k: int) -> Score:
    """The score of class or attribute `k` alone."""
    return lambda totals: score(totals)[..., k]


def _mean(score: Score) -> Score:
    """The score's mean over attributes."""
    return lambda totals: score(totals).mean(-1)


_PAIRED: dict[str, tuple[str, str, Score]] = {
    "emotions": ("macro_f1", "", macro_f1_from),
    "attributes": ("ccc", "mean", _mean(ccc_from)),
}
"""What two systems are compared by: metric, class, score."""


def _scores(task: str, names: Sequence[str]) -> Iterator[tuple[str, str, Score]]:
    """Metric, class and score of everything that gets an interval."""
    if task == "emotions":
        yield from ((metric, "", score) for metric, score in LABEL_SCORES.items())
    for metric, score in (CLASS_SCORES if task == "emotions" else ATTRIBUTE_SCORES).items():
        yield from ((metric, name, _at(score, k)) for k, name in enumerate(names))
        if task == "attributes":
            yield metric, "mean", _mean(score)


def _point_scores(task: str, system: str, aligned: Sequence[Aligned]) -> Iterator[tuple[str, str, list[np.ndarray]]]:
    """Metric, class and one value a part, of what gets no interval."""
    if task == "emotions" and system not in JUDGED:
        for metric, score in (("ece", ece), ("brier", brier), ("nll", nll)):
            yield metric, "", [np.array([score(a.gold, a.scores, a.names)]) for a in aligned]
    elif task == "attributes":
        for k, name in enumerate(aligned[0].names):
            yield "rmse", name, [np.array([rmse(a.values[:, k], a.scores[:, k])]) for a in aligned if a.values is not None]

"""The rows of one task and split: every score of every system over all folds and seeds, and differences on the same clips."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from emojudge.aligned import Aligned, PartResults
from emojudge.compare import (
    Estimate,
    Tally,
    bootstrap_p,
    detectable,
    differences,
    holm,
    interval,
    mcnemar,
    means_from,
    replicates,
    tally_means,
)
from emojudge.deciding import OUTCOMES, Decided
from emojudge.errors import DataError
from emojudge.metrics import confusion
from emojudge.runs import JUDGED
from emojudge.scorecard import PAIRED, Scored, at, clip_scores, clip_tally, risk, scores, tally, whole_scores

Row = dict[str, Any]

HEADLINES = ("macro_f1", "uar", "accuracy", "ccc")
"""Metrics that are also printed for each part."""

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of clips answered, the surest first, at which the risk is told."""


class Sheet:
    """Makes the rows of one task and split, over all parts."""

    def __init__(self, results: Sequence[PartResults], split: str) -> None:
        self.results, self.split = [r for r in results if r.labelled(split)], split
        self.task, self.options = results[0].task, results[0].config.evaluation
        self.seeds = len(results[0].config.seeds)

    def row(self, system: str, metric: str, estimate: Estimate, n: int = 0, *, name: str = "", part: str = "") -> Row:
        """One row, as `emojudge.evaluation` describes it."""
        about = {"system": system, "task": self.task, "split": self.split, "metric": metric, "class": name}
        return {**about, "value": estimate.value, "low": estimate.low, "high": estimate.high, "n": n, "part": part}

    def align(self, system: str, only: Sequence[set[str]] | None = None) -> list[Aligned]:
        """`system` on every part, or on the clips in `only`, one set a part.

        Raises:
            DataError: a part has no predictions of it.
        """
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
        """Every score of one system, its confusions, and how many clips it did not predict."""
        aligned = self.align(system)
        n = _clips(aligned)
        rows = self.scores(system, aligned)
        if self.task == "emotions":
            rows += self._confusions(system, aligned, n)
        lost = {
            u.id for r, a in zip(self.results, aligned, strict=True) for u in r.labelled(self.split) if u.id not in set(a.ids)
        }
        return [*rows, self.row(system, "unpredicted", Estimate(len(lost)), n)]

    def scores(self, system: str, aligned: Sequence[Aligned], classes: bool = True) -> list[Row]:
        """Every score of `aligned`, one a part; without `classes` only those of the whole."""
        rows = self._resampled(system, aligned, tally, scores(self.task, aligned[0].names, classes), by_part=classes)
        if self.task == "emotions" and system not in JUDGED:
            fewest = min(aligned, key=lambda part: part.votes is not None)  # votes count where every part has them
            rows += self._resampled(system, aligned, clip_tally, clip_scores(fewest))
            whole = [whole_scores(part) for part in aligned]
            rows += [self._whole(system, m, "", [np.array([part[m]]) for part in whole], _clips(aligned)) for m in whole[0]]
        return rows

    def _resampled(
        self, system: str, aligned: Sequence[Aligned], make: Callable[[Aligned], Tally], named: Scored, by_part: bool = False
    ) -> list[Row]:
        """Scores with intervals; the headlines also part by part."""
        parts = replicates([make(a) for a in aligned], self.options.resamples, self.options.seed)
        rows = []
        for metric, name, score in named:
            values = [score(part) for part in parts]
            rows.append(self._whole(system, metric, name, values, _clips(aligned)))
            if by_part and metric in HEADLINES and len(parts) > 1:
                for value, a, r in zip(values, aligned, self.results, strict=True):
                    found = interval(value, self.options.confidence)
                    rows.append(self.row(system, metric, found, len(a.ids), name=name, part=r.part.name))
        return rows

    def _whole(self, system: str, metric: str, name: str, values: Sequence[np.ndarray], n: int) -> Row:
        """Mean over parts, with the spread over seeds where there are several."""
        row = self.row(system, metric, interval(np.mean(values, axis=0), self.options.confidence), n, name=name)
        if self.seeds > 1:
            by_seed: dict[int, list[float]] = {}
            for result, value in zip(self.results, values, strict=True):
                by_seed.setdefault(result.part.seed, []).append(float(value[0]))
            row["sd"] = _finite(np.std([np.mean(v) for v in by_seed.values()], ddof=1))
        return row

    def _confusions(self, system: str, aligned: Sequence[Aligned], n: int) -> list[Row]:
        """Clips by true and given label, summed over folds, the mean over seeds; pairs that never happen have no row."""
        names = aligned[0].names
        counts = np.sum([confusion(a.gold, a.predicted, a.names) for a in aligned], axis=0) / self.seeds
        cells = [(f"{gold} > {given}", counts[i, j]) for i, gold in enumerate(names) for j, given in enumerate(names)]
        return [self.row(system, "confusion", Estimate(float(count)), n, name=name) for name, count in cells if count]

    def pair(self, first: str, second: str) -> list[Row]:
        """`first` minus `second` on the clips that both predicted."""
        both = [r.predictions[first].keys() & r.predictions[second].keys() for r in self.results]
        return self.difference(first, second, self.align(first, both), self.align(second, both))

    def difference(self, first: str, second: str, one: Sequence[Aligned], two: Sequence[Aligned]) -> list[Row]:
        """The difference with its interval, how likely it is by chance, and the smallest that could be shown."""
        metric, name, score = PAIRED[self.task]
        tallies, options, system = [tally(a) for a in one], self.options, f"{first}-{second}"
        values = differences(tallies, [tally(a) for a in two], score, resamples=options.resamples, seed=options.seed)
        clusters = len({name for made in tallies for name in made.clusters})
        found = {
            f"{metric}_difference": interval(values, options.confidence),
            "bootstrap_p": Estimate(bootstrap_p(values)),
            "detectable": Estimate(detectable(values, clusters, power=options.power, level=1 - options.confidence)),
        }
        rows = [self.row(system, key, made, _clips(one), name=name) for key, made in found.items()]
        if self.task == "emotions" and self.seeds == 1:
            gold, after, before = (
                [*chain(*names)] for names in ((a.gold for a in one), (a.predicted for a in one), (a.predicted for a in two))
            )
            rows.append(self.row(system, "mcnemar_p", Estimate(mcnemar(gold, after, before)), _clips(one)))
        return rows

    def holm(self, rows: Sequence[Row]) -> list[Row]:
        """`bootstrap_p` of several differences, adjusted for their number."""
        family = [row for row in rows if row["metric"] == "bootstrap_p" and row["value"] is not None]
        adjusted = holm([row["value"] for row in family])
        return [{**row, "metric": "holm_p", "value": value} for row, value in zip(family, adjusted, strict=True)]

    def decided(self, system: str, decided: Mapping[str, Decided]) -> list[Row]:
        """What `system` is worth with its probabilities changed, as sets of labels, and with clips left out."""
        aligned = self.align(system)
        fits = [decided[result.part.name] for result in self.results]
        rows, pairs = list[Row](), list[Row]()
        for kind in fits[0].whole.kinds:
            changed = [fit.apply(part, kind) for fit, part in zip(fits, aligned, strict=True)]
            rows += self.scores(f"{system}+{kind}", changed, classes=False)
            if kind != "temperature":  # which changes no label
                pairs += self.difference(f"{system}+{kind}", system, changed, aligned)
        outcomes = iter([fit.outcomes(part) for fit, part in zip(fits, aligned, strict=True)])
        means = ((metric, "", at(means_from, k)) for k, metric in enumerate(OUTCOMES))
        rows += self._resampled(system, aligned, lambda part: tally_means(next(outcomes), part.clusters), means)
        curves = [risk(part) for part in aligned]
        for share in COVERAGES:
            risks = [np.array([np.interp(share, curve.coverage, curve.risk)]) for curve in curves]
            rows.append(self._whole(system, "risk", f"{share:.0%}", risks, _clips(aligned)))
        return [*rows, *pairs, *self.holm(pairs)]


def _clips(aligned: Sequence[Aligned]) -> int:
    return len({clip for part in aligned for clip in part.ids})


def _finite(value: float) -> float | None:
    """NaN is no JSON."""
    return float(value) if np.isfinite(value) else None

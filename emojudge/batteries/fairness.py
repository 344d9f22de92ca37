"""Fairness: does a system serve every group alike? Differences that a fair model would show by luck pass (see `chance`).

For emotions: UAR of each group against that of all clips; the largest distance between two groups in recall, in precision,
and in equalised odds (the larger of the distances in true and false positive rate, over all emotions); the worst group.
For attributes: CCC against that of all clips, and the mean shift of the values.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from emojudge.aligned import Aligned
from emojudge.batteries.chance import fair_labels, fair_values, quantiles
from emojudge.batteries.groups import Groups, groupings
from emojudge.batteries.subjects import Row, Subject
from emojudge.compare import Estimate, Tally
from emojudge.metrics import ccc_from, indices, precision_from, recall_from, sums, uar_from
from emojudge.runs import RunFolder

CELL = 5
"""Clips that a share within a group must be of, to be compared (ours)."""
FEW = 10
"""Groups up to which recall and precision are told for each."""
SHOWN = 100
"""Groups that get rows of their own; of more, the worst."""


def test(run: RunFolder, subject: Subject) -> list[Row]:
    """Every row of one system."""
    clips = [subject.utterances[id] for id in subject.first.ids]
    rows: list[Row] = []
    for name, groups in groupings(run, clips).items():
        sheet = Sheet(subject, name, groups)
        rows += sheet.emotions() if subject.task == "emotions" else sheet.attributes()
    return rows


class Sheet:
    """The rows of one grouping."""

    def __init__(self, subject: Subject, grouping: str, groups: Groups) -> None:
        self.subject, self.grouping, self.of = subject, grouping, groups
        self.groups = sorted(set(groups.values()))
        self.keep = np.array([id in groups for id in subject.first.ids])
        self.owner = np.array([self.groups.index(groups[id]) for id in subject.first.ids if id in groups])
        self.sizes = np.bincount(self.owner, minlength=len(self.groups))

    def emotions(self) -> list[Row]:
        """Labels."""
        tallies = [self._tally(self._cells(a)) for a in self.subject.seeds]
        counts = np.mean([t.totals.sum(0) for t in tallies], axis=0)
        limits = quantiles(fair_labels(counts), label_gaps)
        score = self._estimates(tallies, uar_from)
        away = self._estimates(tallies, lambda totals: uar_from(totals) - uar_from(totals.sum(-3))[..., None])
        rows = self._groups("uar", score, away, limits["uar_difference"])
        worst = min(range(len(self.groups)), key=lambda g: _or(score[g].value, 2.0))
        rows.append(self._row("worst_group", score[worst], worst, threshold=-limits["worst_group"], sense="least"))
        for metric in ("recall", "precision"):
            rows += self._each(metric, tallies, counts)
            spread = self._estimates(tallies, lambda totals, m=metric: _spread(*_shares(totals)[m]))
            for label, estimate in zip(self.subject.first.names, spread, strict=True):
                rows.append(self._gap(f"{metric}_gap", estimate, limits, name=label))
        [odds] = self._estimates(tallies, lambda totals: equalised_odds(totals)[..., None])
        return [*rows, self._gap("equalised_odds_gap", odds, limits)]

    def attributes(self) -> list[Row]:
        """Values."""
        tallies = [self._tally(self._sums(a)) for a in self.subject.seeds]
        first, names, rows = self.subject.first, self.subject.first.names, []
        gold = np.asarray(first.values)[self.keep]
        limits = quantiles(fair_values(gold, first.scores[self.keep], self.owner), lambda block: value_gaps(block, names))
        for k, name in enumerate(names):
            score = self._estimates(tallies, lambda totals, k=k: ccc_from(totals[..., k, :]))
            away = self._estimates(
                tallies, lambda totals, k=k: ccc_from(totals[..., k, :]) - ccc_from(totals[..., k, :].sum(-2))[..., None]
            )
            rows += self._groups("ccc", score, away, limits[f"ccc_difference {name}"], name)
            moved = self._estimates(tallies, lambda totals, k=k: shift(totals[..., k, :]) / self.subject.width)
            limit = limits[f"mean_shift {name}"] / self.subject.width
            for g in self._shown(moved, worst_first=lambda e: -abs(_or(e.value, 0.0))):
                rows.append(self._row("mean_shift", moved[g], g, name=name, threshold=limit, sense="within"))
        return rows

    def _cells(self, a: Aligned) -> np.ndarray:
        """(N, K, K): a one where a clip belongs."""
        one = np.eye(len(a.names))
        gold, predicted = one[indices(a.gold, a.names)], one[indices(a.predicted, a.names)]
        return (gold[:, :, None] * predicted[:, None])[self.keep]

    def _sums(self, a: Aligned) -> np.ndarray:
        """(N, A, 6)."""
        gold = np.asarray(a.values)[self.keep]
        return sums(gold - gold.mean(0), a.scores[self.keep] - gold.mean(0))

    def _tally(self, values: np.ndarray) -> Tally:
        """(N, ...) values as (C, G, ...) by speaker; where speakers are the groups nobody is left to draw anew: no interval."""
        clusters = [c for c, keep in zip(self.subject.first.clusters, self.keep, strict=True) if keep]
        people = ["everyone"] * len(clusters) if self.grouping == "speaker" else clusters
        names, person = np.unique(people, return_inverse=True)
        totals = np.zeros((len(names), len(self.groups), *values.shape[1:]))
        np.add.at(totals, (person, self.owner), values)
        return Tally(tuple(names.tolist()), totals)

    def _estimates(self, tallies: Sequence[Tally], score: Any) -> list[Estimate]:
        return self.subject.estimates(tallies, score)

    def _groups(self, test: str, score: Sequence[Estimate], away: Sequence[Estimate], limit: float, name: str = "") -> list[Row]:
        """Each group's score, and how far it is from that of all."""
        rows = []
        for g in self._shown(score, worst_first=lambda e: _or(e.value, 2.0)):
            rows.append(self._row(test, score[g], g, name=name))
            rows.append(self._row(f"{test}_difference", away[g], g, name=name, threshold=limit, sense="within"))
        return rows

    def _shown(self, estimates: Sequence[Estimate], worst_first: Any) -> Sequence[int]:
        everyone = range(len(self.groups))
        return everyone if len(everyone) <= SHOWN else sorted(everyone, key=lambda g: worst_first(estimates[g]))[:SHOWN]

    def _each(self, metric: str, tallies: Sequence[Tally], counts: np.ndarray) -> list[Row]:
        """A share of each group and emotion, told beside the largest distance of them; of few groups only."""
        if len(self.groups) > FEW:
            return []
        found, of = self._estimates(tallies, lambda totals: _shares(totals)[metric][0]), _shares(counts)[metric][1]
        names = self.subject.first.names
        cells = [(g, k) for g in range(len(self.groups)) for k in range(len(names))]
        return [
            self.subject.row(
                "fairness", metric, one, group=f"{self.grouping}: {self.groups[g]}", name=names[k], n=round(of[g, k])
            )
            for (g, k), one in zip(cells, found, strict=True)
            if of[g, k]
        ]

    def _gap(self, test: str, estimate: Estimate, limits: Mapping[str, float], **about: Any) -> Row:
        """A largest distance; without interval, since drawing anew can only widen it."""
        return self._row(test, Estimate(estimate.value), threshold=limits[test], sense="most", **about)

    def _row(self, test: str, estimate: Estimate, g: int | None = None, **about: Any) -> Row:
        group = self.grouping if g is None else f"{self.grouping}: {self.groups[g]}"
        n = int(self.sizes.sum() if g is None else self.sizes[g])
        return self.subject.row("fairness", test, estimate, group=group, n=n, **about)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def label_gaps(totals: np.ndarray) -> Mapping[str, np.ndarray]:
    """From (B, G, K, K), B numbers each: the largest differences that `Sheet.emotions` tests."""
    score, shares = uar_from(totals), _shares(totals)
    return {
        "uar_difference": np.nanmax(np.abs(score - uar_from(totals.sum(-3))[..., None]), -1),
        "worst_group": -np.nanmin(score, -1),
        "recall_gap": _spread(*shares["recall"]).max(-1),
        "precision_gap": _spread(*shares["precision"]).max(-1),
        "equalised_odds_gap": equalised_odds(totals),
    }


def equalised_odds(totals: np.ndarray) -> np.ndarray:
    """(..., G, K, K) → (...): the largest distance between groups in any emotion's true or false positive rate."""
    shares = _shares(totals)
    return np.maximum(_spread(*shares["recall"]).max(-1), _spread(*shares["false_positive_rate"]).max(-1))


def _shares(totals: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each share (..., G, K), and of how many clips it is."""
    gold, predicted, clips = totals.sum(-1), totals.sum(-2), totals.sum((-1, -2))[..., None]
    wrong = predicted - np.diagonal(totals, axis1=-2, axis2=-1)
    others = clips - gold
    return {
        "recall": (recall_from(totals), gold),
        "precision": (precision_from(totals), predicted),
        "false_positive_rate": (wrong / np.maximum(others, 1), others),
    }


def _spread(shares: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(..., G, K) → (..., K): highest less lowest of the groups where the share is of enough clips; 0 where of one."""
    enough = n >= CELL
    high, low = np.where(enough, shares, -np.inf).max(-2), np.where(enough, shares, np.inf).min(-2)
    return np.where(enough.sum(-2) > 1, high - low, 0.0)


def shift(totals: np.ndarray) -> np.ndarray:
    """(..., G, 6) → (..., G): a group's mean error less that of all clips; how much too high it comes out beside the others."""
    n, x, y = totals[..., 0], totals[..., 1], totals[..., 2]
    whole = (y.sum(-1) - x.sum(-1)) / n.sum(-1)
    return np.divide(y - x, n, out=np.full(n.shape, np.nan), where=n > 0) - whole[..., None]


def value_gaps(totals: np.ndarray, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """From (B, G, A, 6), B numbers each: the largest differences that `Sheet.attributes` tests."""

    def both() -> Iterator[tuple[str, np.ndarray]]:
        for k, name in enumerate(names):
            own = totals[..., k, :]
            yield f"ccc_difference {name}", np.nanmax(np.abs(ccc_from(own) - ccc_from(own.sum(-2))[..., None]), -1)
            yield f"mean_shift {name}", np.nanmax(np.abs(shift(own)), -1)

    return dict(both())

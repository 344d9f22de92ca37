"""Who is right when: clips by which systems got them right, some of each kind to look at; and the values furthest off."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emojudge.aligned import PartResults, pool
from emojudge.types import Prediction, Utterance

EACH = 3
"""Clips shown of each emotion in each pattern."""


@dataclass(frozen=True)
class Case:
    """One clip and what every system said of it."""

    utterance: Utterance
    said: Mapping[str, Prediction]


@dataclass
class Pattern:
    """The clips that exactly these systems got `right`; `counts` by true emotion, a few `cases` of each."""

    right: tuple[bool, ...]
    counts: Counter[str] = field(default_factory=Counter)
    cases: list[Case] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Clips of every emotion."""
        return self.counts.total()


def patterns(results: Sequence[PartResults], systems: Sequence[str], split: str) -> list[Pattern]:
    """Every pattern that occurs, the commonest first; folds of the first seed, clips that all `systems` predicted.

    Of each emotion those clips are cases where the last system was the surest: there is most to learn from a sure mistake.
    """
    found: dict[tuple[bool, ...], Pattern] = {}
    for case in sorted(_cases(results, systems, split), key=lambda case: (-_sure(case, systems), case.utterance.id)):
        truth = str(case.utterance.emotion)
        right = tuple(case.said[system].label == truth for system in systems)
        pattern = found.setdefault(right, Pattern(right))
        pattern.counts[truth] += 1
        if pattern.counts[truth] <= EACH:
            pattern.cases.append(case)
    for pattern in found.values():
        pattern.cases.sort(key=lambda case: results[0].names.index(str(case.utterance.emotion)))
    return sorted(found.values(), key=lambda pattern: (-pattern.total, pattern.right))


def _cases(results: Sequence[PartResults], systems: Sequence[str], split: str) -> list[Case]:
    return [
        Case(u, {system: result.predictions[system][u.id] for system in systems})
        for result in results
        if result.part.seed == results[0].part.seed
        for u in result.labelled(split)
        if all(u.id in result.predictions[system] for system in systems)
    ]


def _sure(case: Case, systems: Sequence[str]) -> float:
    last = case.said[systems[-1]]
    return last.scores[last.label]


@dataclass(frozen=True)
class Miss:
    """One clip's true and predicted values, by attribute."""

    utterance: Utterance
    true: Mapping[str, float]
    predicted: Mapping[str, float]


def furthest(results: Sequence[PartResults], system: str, split: str, most: int = 8) -> list[Miss]:
    """The clips whose predicted attributes are furthest off, in deviations of each attribute's true values."""
    pooled = pool(results, system, split)
    if pooled.values is None or not pooled.ids:
        return []
    people = {u.id: u for result in results for u in result.labelled(split)}
    spread = pooled.values.std(0)
    off = (((pooled.scores - pooled.values) / np.where(spread > 0, spread, 1.0)) ** 2).mean(-1)
    rows = np.argsort(-off, kind="stable")[:most]
    return [
        Miss(
            people[pooled.ids[k]],
            dict(zip(pooled.names, pooled.values[k].tolist(), strict=True)),
            dict(zip(pooled.names, pooled.scores[k].tolist(), strict=True)),
        )
        for k in rows
    ]

"""`emojudge.decisions` for one part of a run: fitted on dev, applied to what is scored, and kept in decisions.json.

A clip of dev is decided by what was fitted without its speaker, so that dev may be scored too. What was fitted names its clips.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from emojudge import decisions
from emojudge.aligned import Aligned, PartResults
from emojudge.decisions import Decisions
from emojudge.errors import DataError
from emojudge.fusion import grouped_folds
from emojudge.metrics import indices
from emojudge.storage import digest, read_json, write_json


@dataclass(frozen=True)
class Decided:
    """What was fitted on all of dev, and for each clip of dev what was fitted without its speaker."""

    system: str
    whole: Decisions
    without: Mapping[str, Decisions]

    def apply(self, aligned: Aligned, kind: str) -> Aligned:
        """The system's clips with the scores and labels of one kind."""
        scores = np.empty_like(aligned.scores)
        for fitted, rows in self._groups(aligned):
            scores[rows] = fitted.apply(kind, _logs(aligned.scores[rows]))
        return replace(aligned, scores=scores, predicted=tuple(aligned.names[k] for k in scores.argmax(-1)))

    def outcomes(self, aligned: Aligned) -> np.ndarray:
        """(N, 4): whether the set of labels holds the true one; how many it holds; whether the clip is answered; and, where it
        is, whether rightly (NaN elsewhere).
        """
        gold = indices(aligned.gold, aligned.names)
        found = np.empty((len(gold), 4))
        for fitted, rows in self._groups(aligned):
            own = aligned.scores[rows]
            sets, answered = fitted.sets(own), fitted.answered(own)
            right = np.where(answered, own.argmax(-1) == gold[rows], np.nan)
            found[rows] = np.stack([sets[np.arange(len(own)), gold[rows]], sets.sum(-1), answered, right], axis=-1)
        return found

    def _groups(self, aligned: Aligned) -> Iterator[tuple[Decisions, np.ndarray]]:
        """Which rows each fit decides."""
        own = [self.without.get(clip, self.whole) for clip in aligned.ids]
        for fitted in {id(one): one for one in own}.values():
            yield fitted, np.array([k for k, one in enumerate(own) if one is fitted])


OUTCOMES = ("set_coverage", "set_size", "answered", "answered_accuracy")
"""Metrics of the columns of `Decided.outcomes`, each a mean over clips."""


def decide(result: PartResults, system: str) -> Decided | None:
    """Fit on dev and write decisions.json; None, and no file, where dev is not there or too small to leave speakers out.

    Speakers are left out in `fusion.folds` parts.
    """
    path, parted = result.part.decisions(), result.config.fusion.folds
    path.unlink(missing_ok=True)
    dev = result.align(system, "dev")
    logs, gold = _logs(dev.scores), indices(dev.gold, dev.names)
    people = [result.utterances[clip] for clip in dev.ids]
    if len(people) < 2 * parted:
        return None
    try:
        folds = list(grouped_folds(people, parted, "attributes"))  # by speaker alone: rare emotions need not be in every fold
    except DataError:
        return None
    shifts, options = _shifts(result, system), result.config.evaluation
    whole, *parts = (
        decisions.fit(logs[rows], gold[rows], shifts, coverage=options.coverage, abstain=options.abstain)
        for rows in (np.arange(len(gold)), *(fit_on for fit_on, _ in folds))
    )
    without = {dev.ids[k]: fitted for fitted, (_, held_out) in zip(parts, folds, strict=True) for k in held_out}
    about = {"system": system, "outputs": dev.names, **asdict(whole), "coverage": options.coverage, "abstain": options.abstain}
    write_json(path, about | {"digest": digest(dev.ids), "fitted_on": dev.ids, "cross_fitted": list(without)})
    return Decided(system, whole, without)


def _shifts(result: PartResults, system: str) -> dict[str, list[float]]:
    """From the class frequencies that the system's probabilities assume to others: train's, all the same, those declared."""
    train = _counts(result, "train")
    targets = {"natural": train, "uniform": [1.0] * len(train)}
    if isinstance(declared := result.config.fusion.target_prior, dict):
        targets["declared"] = [declared.get(name, 0.0) for name in result.names]
    source = _assumed(result, system, train)
    return {kind: decisions.prior_shift(source, target) for kind, target in targets.items() if any(target) and any(source)}


def _assumed(result: PartResults, system: str, train: list[float]) -> list[float]:
    """A fusion learnt dev's frequencies and was moved from them; a model train's, or none where its loss weighs classes alike."""
    path = result.part.fusion("emotions")
    if system in ("fusion", "ensemble") and path.exists():
        moved = read_json(path).get("log_prior_shift") or [0.0] * len(train)
        return [count * float(np.exp(shift)) for count, shift in zip(_counts(result, "dev"), moved, strict=True)]
    settings = result.config.text if system == "text" else result.config.audio
    even = settings.class_weights == "inverse" or settings.sampling != "shuffled" or settings.balanced_epochs
    return [1.0] * len(train) if even else [math.sqrt(n) for n in train] if settings.class_weights == "sqrt" else train


def _counts(result: PartResults, split: str) -> list[float]:
    found = [u.emotion for u in result.utterances.values() if u.split == split]
    return [float(found.count(name)) for name in result.names]


def _logs(scores: np.ndarray) -> np.ndarray:
    return np.log(np.clip(scores, 1e-12, None))

"""What is scored of a system: its tallies by speaker, and the scores that are taken of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from emojudge.aligned import Aligned
from emojudge.compare import Score, Tally, means_from, tally_labels, tally_means, tally_values
from emojudge.metrics import ATTRIBUTE_SCORES, CLASS_SCORES, LABEL_SCORES, ccc_from, indices, macro_f1_from
from emojudge.probabilities import CALIBRATION_SCORES, CLIP_SCORES, VOTE_SCORES
from emojudge.selective import RiskCurve, risk_curve

Scored = Iterator[tuple[str, str, Score]]
"""Metric, class (or "") and score, of everything that gets an interval."""

PAIRED: dict[str, tuple[str, str, Score]] = {
    "emotions": ("macro_f1", "", macro_f1_from),
    "attributes": ("ccc", "mean", lambda totals: ccc_from(totals).mean(-1)),
}
"""What two systems are compared by: metric, class, score."""


def tally(aligned: Aligned) -> Tally:
    """Confusions or sums by cluster."""
    if aligned.values is None:
        return tally_labels(aligned.gold, aligned.predicted, aligned.clusters, aligned.names)
    return tally_values(aligned.values, aligned.scores, aligned.clusters)


def scores(task: str, names: Sequence[str], classes: bool = True) -> Scored:
    """Of a `tally`; without `classes` only what is one number."""
    if task == "emotions":
        yield from ((metric, "", score) for metric, score in LABEL_SCORES.items())
        if classes:
            yield from ((metric, name, at(score, k)) for metric, score in CLASS_SCORES.items() for k, name in enumerate(names))
        return
    for metric, score in ATTRIBUTE_SCORES.items():
        yield from ((metric, name, at(score, k)) for k, name in enumerate(names))
        yield metric, "mean", _mean(score)


def at(score: Score, k: int) -> Score:
    """The score of class or attribute `k` alone."""
    return lambda totals: score(totals)[..., k]


def _mean(score: Score) -> Score:
    return lambda totals: score(totals).mean(-1)


def clip_tally(aligned: Aligned) -> Tally:
    """Sums by cluster of every score that is a mean over clips, in the order of `clip_scores`."""
    gold = indices(aligned.gold, aligned.names)
    columns = [score(gold, aligned.scores) for score in CLIP_SCORES.values()]
    if aligned.votes is not None:
        columns += [score(aligned.votes, aligned.scores) for score in VOTE_SCORES.values()]
    return tally_means(np.stack(columns, axis=-1), aligned.clusters)


def clip_scores(aligned: Aligned) -> Scored:
    """Of a `clip_tally`."""
    names = [*CLIP_SCORES, *(VOTE_SCORES if aligned.votes is not None else ())]
    yield from ((metric, "", at(means_from, k)) for k, metric in enumerate(names))


def whole_scores(aligned: Aligned) -> dict[str, float]:
    """What all clips have together, and no resample: calibration errors, and AUGRC."""
    errors = {metric: score(aligned.gold, aligned.scores, aligned.names) for metric, score in CALIBRATION_SCORES.items()}
    return {**errors, "augrc": risk(aligned).augrc}


def risk(aligned: Aligned) -> RiskCurve:
    """How often the likeliest label is wrong, by how likely it is."""
    right = np.array(aligned.gold) == np.array(aligned.predicted)
    return risk_curve(right.tolist(), aligned.scores.max(-1).tolist())

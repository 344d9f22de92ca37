"""Correctness: each class, the proportions, each speaker, and whether attributes and emotions agree.

Thresholds are those of Derington et al. where they have one (recall, precision and UAR .5, CCC and Pearson's r .5, mean
absolute error .1 of the scale, class shares within .15, mean value within .03, Jensen–Shannon distance .2, shares of a
speaker within .1, rank correlation of speakers .7, three quarters of the clips in the range expected of their emotion).
Those from chance are ours: `better_than_chance` and, for classes, `js_distance`.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from emojudge.batteries.chance import QUANTILE, SIMULATIONS, fair_labels, quantiles
from emojudge.batteries.groups import LEAST
from emojudge.batteries.subjects import SEED, Row, Subject, ratio, tally
from emojudge.compare import Estimate, tally_labels, tally_values
from emojudge.metrics import ccc, ccc_from, indices, pearson_from, precision_from, recall_from, uar_from

SPEAKERS = 5
"""Speakers below which nothing is said of their order (ours)."""

LOW, NEUTRAL, HIGH = (-np.inf, 0.45), (0.3, 0.6), (0.55, np.inf)
"""Parts of an attribute's scale, from 0 to 1 (Derington et al.)."""

EXPECTED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "valence": {"Angry": LOW, "Disgust": LOW, "Fear": LOW, "Sad": LOW, "Neutral": NEUTRAL, "Happy": HIGH},
    "arousal": {"Sad": LOW, "Neutral": NEUTRAL, "Angry": HIGH, "Fear": HIGH, "Surprise": HIGH},
    "dominance": {"Fear": LOW, "Sad": LOW, "Happy": NEUTRAL, "Neutral": NEUTRAL, "Surprise": NEUTRAL, "Angry": HIGH},
}
"""Where an emotion's attributes are expected: Derington et al., after Fontaine et al. 2007
(https://doi.org/10.1111/j.1467-9280.2007.02024.x), Hoffmann et al. 2012, Gillioz et al. 2016 and Verma & Tiwary 2017."""

NAMES = {LOW: "low", NEUTRAL: "neutral", HIGH: "high"}


def test(subject: Subject, emotions: Subject | None = None) -> list[Row]:
    """Every row of one system; `emotions` is the system that says the emotions of the same run, where there is one."""
    if subject.task == "emotions":
        return [*classes(subject), *shares(subject), *speaker_shares(subject), *consistency(subject)]
    return [*values(subject), *speaker_means(subject), *consistency(subject, emotions)]


def classes(subject: Subject) -> Iterator[Row]:
    """UAR against a fixed threshold and against guessing; recall and precision of each class."""
    tallies = [tally_labels(a.gold, a.predicted, a.clusters, a.names) for a in subject.seeds]
    [uar] = subject.estimates(tallies, lambda counts: uar_from(counts)[..., None])
    yield subject.row("correctness", "uar", uar, threshold=0.5, sense="least")
    yield subject.row("correctness", "better_than_chance", uar, threshold=guessing(subject), sense="least")
    for metric, score in (("recall", recall_from), ("precision", precision_from)):
        for name, estimate, n in zip(subject.first.names, subject.estimates(tallies, score), _counts(subject), strict=True):
            if n:
                yield subject.row("correctness", metric, estimate, name=name, threshold=0.5, sense="least", n=n)


def guessing(subject: Subject) -> float:
    """The UAR that a model which draws its answers from the true class distribution reaches once in twenty times."""
    counts = np.array(_counts(subject), dtype=float)
    guesses = fair_labels(np.outer(counts, counts / counts.sum())[None])
    return quantiles(guesses, lambda block: {"uar": uar_from(block[:, 0])})["uar"]


def _counts(subject: Subject) -> list[int]:
    """True clips of each class."""
    return np.bincount(indices(subject.first.gold, subject.first.names), minlength=len(subject.first.names)).tolist()


def shares(subject: Subject) -> Iterator[Row]:
    """Predicted less true share of each class, and the distance of the two distributions."""
    size = len(subject.first.names)
    away = [np.eye(size)[indices(a.predicted, a.names)] - np.eye(size)[indices(a.gold, a.names)] for a in subject.seeds]
    for k, name in enumerate(subject.first.names):
        estimate = subject.mean([rows[:, k] for rows in away])
        yield subject.row("correctness", "share_difference", estimate, name=name, threshold=0.15, sense="within")
    truth, n = np.array(_counts(subject), dtype=float), len(subject.first.ids)
    said = [np.bincount(indices(a.predicted, a.names), minlength=size) for a in subject.seeds]
    distance = float(np.mean([js_distance(truth, one) for one in said]))
    drawn = np.random.default_rng(SEED).multinomial(n, truth / n, size=SIMULATIONS)
    chance = float(np.quantile(js_distance(truth, drawn), QUANTILE))
    yield subject.row("correctness", "js_distance", Estimate(distance), threshold=chance, sense="most")


def js_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jensen–Shannon distance of counts along the last axis: 0 for the same distribution, 1 for ones apart.

    >>> float(js_distance(np.array([1, 1]), np.array([3, 3]))), float(js_distance(np.array([1, 0]), np.array([0, 1])))
    (0.0, 1.0)
    """
    from scipy.spatial.distance import jensenshannon

    return jensenshannon(np.broadcast_to(first, second.shape), second, base=2, axis=-1)


def speaker_shares(subject: Subject) -> Iterator[Row]:
    """How far each class's share of a speaker's clips is off, over speakers; and whether speakers keep their order."""
    people = _speakers(subject)
    if len(people) < SPEAKERS:
        return
    size = len(subject.first.names)
    true = np.eye(size)[indices(subject.first.gold, subject.first.names)]
    said = np.mean([np.eye(size)[indices(a.predicted, a.names)] for a in subject.seeds], axis=0)
    for k, name in enumerate(subject.first.names):
        yield from _by_speaker(subject, people, true[:, k], said[:, k], name)


def values(subject: Subject) -> Iterator[Row]:
    """CCC, correlation, error, mean and distribution of each attribute."""
    tallies = [tally_values(np.asarray(a.values), a.scores, a.clusters) for a in subject.seeds]
    found = {metric: subject.estimates(tallies, score) for metric, score in (("ccc", ccc_from), ("pearson", pearson_from))}
    for k, name in enumerate(subject.first.names):
        for metric, estimates in found.items():
            yield subject.row("correctness", metric, estimates[k], name=name, threshold=0.5, sense="least")
        away = [(a.scores[:, k] - np.asarray(a.values)[:, k]) / subject.width for a in subject.seeds]
        error, mean = subject.mean([np.abs(rows) for rows in away]), subject.mean(away)
        yield subject.row("correctness", "absolute_error", error, name=name, threshold=0.1, sense="most")
        yield subject.row("correctness", "mean_difference", mean, name=name, threshold=0.03, sense="within")
        bins = np.linspace(*subject.scale, 11)
        told = [np.histogram(a.scores[:, k].clip(*subject.scale), bins)[0] for a in subject.seeds]
        truth = np.histogram(np.asarray(subject.first.values)[:, k], bins)[0]
        distance = float(np.mean([js_distance(truth, one) for one in told]))
        yield subject.row("correctness", "js_distance", Estimate(distance), name=name, threshold=0.2, sense="most")


def speaker_means(subject: Subject) -> Iterator[Row]:
    """How far a speaker's mean value is off, over speakers; and whether speakers keep their order."""
    people = _speakers(subject)
    if len(people) < SPEAKERS:
        return
    said = np.mean([a.scores for a in subject.seeds], axis=0)
    for k, name in enumerate(subject.first.names):
        true = (np.asarray(subject.first.values)[:, k] - subject.scale[0]) / subject.width
        yield from _by_speaker(subject, people, true, (said[:, k] - subject.scale[0]) / subject.width, name)


def _by_speaker(subject: Subject, people: Sequence[np.ndarray], true: np.ndarray, said: np.ndarray, name: str) -> Iterator[Row]:
    """Error, order and concordance of the means over each speaker's clips; nothing of the last two where the truth is one."""
    from scipy.stats import spearmanr

    x, y = (np.array([series[rows].mean() for rows in people]) for series in (true, said))
    n = int(sum(map(len, people)))
    error = Estimate(float(np.abs(x - y).mean()))
    yield subject.row("correctness", "speaker_error", error, name=name, threshold=0.1, sense="most", n=n)
    if np.ptp(x) > 1e-9 and np.ptp(y) > 1e-9:
        rank = Estimate(float(spearmanr(x, y).statistic))
        yield subject.row("correctness", "speaker_ranking", rank, name=name, threshold=0.7, sense="least", n=n)
        yield subject.row("correctness", "speaker_ccc", Estimate(ccc(x, y)), name=name, n=n)


def _speakers(subject: Subject) -> list[np.ndarray]:
    """The clips of each speaker who has enough."""
    names = np.array([subject.utterances[id].speaker or "" for id in subject.first.ids])
    found = [np.flatnonzero(names == name) for name in sorted(set(names.tolist()) - {""})]
    return [rows for rows in found if len(rows) >= LEAST]


def consistency(subject: Subject, emotions: Subject | None = None) -> Iterator[Row]:
    """Attributes against the ranges and the order that the literature expects of emotions.

    Predicted attributes stand beside the emotions that people named, and beside those that the run's other system says.
    Where no attribute is predicted, those that people gave stand beside the predicted emotions.
    """
    people = [subject.utterances[id] for id in subject.first.ids]
    if subject.task == "attributes":
        scores = np.mean([a.scores for a in subject.seeds], axis=0)
        columns = dict(zip(subject.first.names, scores.T, strict=True))
        yield from _against(subject, columns, [u.emotion for u in people], "known emotion")
        if emotions:
            said = dict(zip(emotions.first.ids, emotions.first.predicted, strict=True))
            yield from _against(subject, columns, [said.get(u.id) for u in people], "predicted emotion")
    else:
        names = [name for name in EXPECTED if any(name in u.attributes for u in people)]
        columns = {name: np.array([u.attributes.get(name, np.nan) for u in people]) for name in names}
        yield from _against(subject, columns, list(subject.first.predicted), "predicted emotion")


def _against(subject: Subject, columns: Mapping[str, np.ndarray], labels: Sequence[str | None], group: str) -> Iterator[Row]:
    """Clips within the expected range, by emotion; and the mean of the higher emotions less that of the lower."""
    emotion = np.array([label or "" for label in labels])
    for name, values_ in columns.items():
        parts = {label: (emotion == label) & ~np.isnan(values_) for label in EXPECTED[name]}
        unit = (values_ - subject.scale[0]) / subject.width
        for label, mask in parts.items():
            if mask.sum() >= LEAST:
                low, high = EXPECTED[name][label]
                inside = _mean(subject, (unit >= low) & (unit <= high), mask)
                where = f"{group}: {label}, {NAMES[low, high]}"
                n = int(mask.sum())
                yield subject.row("correctness", "in_range", inside, group=where, name=name, threshold=0.75, sense="least", n=n)
        yield from _order(subject, name, unit, parts, group)


def _order(subject: Subject, name: str, unit: np.ndarray, parts: Mapping[str, np.ndarray], group: str) -> Iterator[Row]:
    """Emotions expected high above the neutral, and the neutral above those expected low."""
    levels = {level: [p for p in parts if EXPECTED[name][p] == level and parts[p].sum() >= LEAST] for level in NAMES}
    for above, below in ((HIGH, NEUTRAL), (NEUTRAL, LOW)):
        if levels[above] and levels[below]:
            masks = [np.any([parts[p] for p in levels[level]], axis=0) for level in (above, below)]
            terms = [part for mask in masks for part in (np.where(mask, unit, 0.0), mask)]
            sums = tally(np.stack(terms, 1).astype(float), subject.first.clusters)
            [gap] = subject.estimates([sums], lambda t: (ratio(t[..., :2]) - ratio(t[..., 2:]))[..., None])
            who = f"{group}: {_and(levels[above])} above {_and(levels[below])}"
            n = int(np.sum(masks))
            yield subject.row("correctness", "order", gap, group=who, name=name, threshold=0.0, sense="least", n=n)


def _and(names: Sequence[str]) -> str:
    return "/".join(names)


def _mean(subject: Subject, inside: np.ndarray, mask: np.ndarray) -> Estimate:
    """Share of the masked clips that are inside."""
    sums = tally(np.stack([inside & mask, mask], 1).astype(float), subject.first.clusters)
    return subject.estimates([sums], lambda total: ratio(total)[..., None])[0]

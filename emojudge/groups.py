"""How well a system does for groups of clips: by the speaker's gender, by length, by speaker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emojudge import audio
from emojudge.aligned import Aligned, PartResults, pool
from emojudge.compare import Estimate, interval, replicates, tally_labels, tally_values
from emojudge.errors import AudioError
from emojudge.metrics import ccc_from, uar_from
from emojudge.settings.stages import EvaluationSettings
from emojudge.types import Cues, Utterance

LEAST = 10
"""Clips that a group must have to be scored."""

SPEAKERS = 24
"""At most so many speakers are listed: the lowest and the highest half."""


@dataclass(frozen=True)
class Group:
    """The score of the `n` clips of one group: UAR of emotions, mean CCC of attributes."""

    kind: str
    name: str
    n: int
    score: Estimate


def group_scores(results: Sequence[PartResults], system: str, split: str, cues: Mapping[str, Cues]) -> list[Group]:
    """Every group of each kind that parts the clips in two or more; folds are pooled, of the first seed.

    UAR, unlike macro-F1, does not fall because a group lacks a label. Intervals resample speakers, within one speaker clips.
    """
    pooled, options = pool(results, system, split), results[0].config.evaluation
    people = {u.id: u for result in results for u in result.labelled(split)}
    clips = [people[id] for id in pooled.ids]
    found: list[Group] = []
    for kind, names in (("Gender", _genders(clips)), ("Length", _lengths(clips, cues)), ("Speaker", [u.speaker for u in clips])):
        own = [_group(pooled, kind, name, names, options) for name in dict.fromkeys(_sorted(names))]
        scored = [group for group in own if group.n >= LEAST and group.score.value is not None]
        if len(scored) > 1:
            found += _extremes(scored) if kind == "Speaker" else scored
    return found


def _sorted(names: Sequence[str | None]) -> list[str]:
    return sorted((name for name in names if name), key=lambda name: (_ORDER.get(name.split(",")[0], 0), name))


_ORDER = {"short": 1, "middling": 2, "long": 3}


def _group(pooled: Aligned, kind: str, name: str, names: Sequence[str | None], options: EvaluationSettings) -> Group:
    keep = [k for k, other in enumerate(names) if other == name]
    if len(keep) < LEAST:
        return Group(kind, name, len(keep), Estimate(None))
    clusters = [(pooled.ids if kind == "Speaker" else pooled.clusters)[k] for k in keep]
    score: Callable[[np.ndarray], np.ndarray]
    if pooled.values is None:
        tally = tally_labels([pooled.gold[k] for k in keep], [pooled.predicted[k] for k in keep], clusters, pooled.names)
        score = uar_from
    else:
        tally = tally_values(pooled.values[keep], pooled.scores[keep], clusters)
        score = _mean_ccc
    [totals] = replicates([tally], options.resamples, options.seed)
    return Group(kind, name, len(keep), interval(score(totals), options.confidence))


def _mean_ccc(totals: np.ndarray) -> np.ndarray:
    return ccc_from(totals).mean(-1)


def _extremes(scored: Sequence[Group]) -> list[Group]:
    """Speakers from the lowest score to the highest; of many, both ends."""
    ranked = sorted(scored, key=lambda group: (group.score.value or 0.0, group.name))
    return ranked if len(ranked) <= SPEAKERS else ranked[: SPEAKERS // 2] + ranked[-SPEAKERS // 2 :]


def _genders(clips: Sequence[Utterance]) -> list[str | None]:
    return [u.gender for u in clips]


def _lengths(clips: Sequence[Utterance], cues: Mapping[str, Cues]) -> list[str | None]:
    """Thirds by seconds, or by words where there is no recording; None where some length cannot be known."""
    spoken = any(u.audio for u in clips)
    known = [_seconds(u, cues) if spoken else float(len((u.text or "").split())) for u in clips]
    lengths = [length for length in known if length is not None]
    if len(lengths) < len(known) or len(set(lengths)) < 3:
        return [None] * len(clips)
    low, high = np.quantile(lengths, [1 / 3, 2 / 3])
    form = "{:.1f} s" if spoken else "{:.0f} words"
    names = (
        f"short, at most {form.format(low)}",
        f"middling, at most {form.format(high)}",
        f"long, over {form.format(high)}",
    )
    return [names[int(np.searchsorted([low, high], length))] for length in lengths]


def _seconds(u: Utterance, cues: Mapping[str, Cues]) -> float | None:
    if u.id in cues:
        return cues[u.id].seconds
    if u.end is not None:
        return u.end - (u.start or 0.0)
    try:
        return audio.seconds(u.audio) if u.audio else None
    except AudioError:
        return None

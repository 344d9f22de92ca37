"""Who and what clips are grouped by: gender, speaker, duration, loudness."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from emojudge import audio, cues
from emojudge.errors import AudioError, MissingExtra
from emojudge.judged import read_cues
from emojudge.progress import say, track
from emojudge.runs import RunFolder
from emojudge.types import Cues, Utterance

LEAST = 10
"""Clips a group must have (ours; Derington et al. ask for 8 of each class, or 10)."""

Groups = Mapping[str, str]
"""Group by clip; clips of no group are left out."""


def groupings(run: RunFolder, clips: Sequence[Utterance]) -> dict[str, Groups]:
    """Every way to group `clips` that there is something known for, with at least two groups that are large enough."""
    found: dict[str, Groups] = {
        "gender": {u.id: u.gender for u in clips if u.gender},
        "speaker": {u.id: u.speaker for u in clips if u.speaker},
    }
    if any(u.audio for u in clips):
        voices = _voices(run, clips)
        found["duration"] = terciles({id: voice.seconds for id, voice in voices.items()}, ("short", "middling", "long"), "s")
        levels = {id: voice.loudness_lufs for id, voice in voices.items() if voice.loudness_lufs is not None}
        found["loudness"] = terciles(levels, ("quiet", "middling", "loud"), "LUFS")
    else:
        lengths = {u.id: float(cues.count_words(u.text or "")) for u in clips}
        found["length"] = terciles(lengths, ("short", "middling", "long"), "words")
    kept = {name: _large(groups) for name, groups in found.items()}
    return {name: groups for name, groups in kept.items() if len(set(groups.values())) > 1}


def terciles(values: Mapping[str, float], names: tuple[str, str, str], unit: str) -> Groups:
    """Three groups of about as many clips, named with their bounds.

    >>> sorted(set(terciles({str(n): float(n) for n in range(9)}, ("short", "middling", "long"), "s").values()))
    ['long (over 5.3 s)', 'middling (2.7 to 5.3 s)', 'short (under 2.7 s)']
    """
    if not values:
        return {}
    low, high = np.quantile(list(values.values()), [1 / 3, 2 / 3])
    digits = 0 if unit == "words" else 1
    bounds = (f"under {low:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}", f"over {high:.{digits}f}")
    called = [f"{name} ({bound} {unit})".replace("-", "−") for name, bound in zip(names, bounds, strict=True)]
    return {id: called[int(value >= low) + int(value > high)] for id, value in values.items()}


def _large(groups: Groups) -> Groups:
    names, counts = np.unique(list(groups.values()), return_counts=True)
    kept = set(names[counts >= LEAST].tolist())
    return {id: group for id, group in groups.items() if group in kept}


def _voices(run: RunFolder, clips: Sequence[Utterance]) -> Mapping[str, Cues]:
    """Duration and loudness by clip: from cues.jsonl, and of the clips that are not there measured now."""
    known = read_cues(run)
    missing = [u for u in clips if u.audio and u.id not in known]
    measured = _measured(track(missing, "Measuring voices", len(missing)))
    return {**{u.id: known[u.id] for u in clips if u.id in known}, **{voice.id: voice for voice in measured}}


def _measured(clips: Iterable[Utterance]) -> Iterable[Cues]:
    meter: Callable[[np.ndarray], float | None] = cues.loudness
    for u in clips:
        try:
            samples = audio.read(str(u.audio), u.start, u.end)
        except AudioError:
            continue  # it was not predicted either
        measure = partial(Cues, u.id, round(len(samples) / audio.SAMPLE_RATE, 3))
        try:
            yield measure(loudness_lufs=meter(samples))
        except MissingExtra as error:
            say(f"warning: clips are not grouped by loudness. {error}")
            meter = _unmeasured
            yield measure()


def _unmeasured(_: np.ndarray) -> None:
    """No loudness, said once."""

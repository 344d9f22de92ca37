"""Who speaks when: a label for each segment, the same for segments of one voice.

"statistics" needs no weights: the average spectrum of each segment, grouped by likeness. It is rough (docs/recordings.md has the
figures) and cannot count: how many speak must be told. "pyannote:PIPELINE" (extra `pyannote`, weights from a hub) does both
properly. Segments end at silences, so a change of speaker without one is not seen.
"""

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from emojudge.audio import SAMPLE_RATE
from emojudge.errors import ConfigError, DataError, MissingExtra
from emojudge.hearing import Sound
from emojudge.timeline import Segment

COEFFICIENTS = 20
BANDS = 40
LONG_ENOUGH = 1.0
"""Seconds; shorter segments join the nearest voice, and found none."""


class Turns(Protocol):
    """Somebody who tells speakers."""

    def hear(self, batch: Sequence[Sound]) -> None:
        """Take note of segments, in order."""

    def speakers(self, segments: Sequence[Segment], wanted: int | str) -> list[str]:
        """The speaker of each; `wanted` is how many, or "auto"."""


def open_turns(spec: str, path: str | None, wanted: int | str) -> Turns:
    """The one that `recordings.turns` names, for one recording with `wanted` speakers.

    Raises:
        ConfigError: nobody goes by that name, `wanted` is neither "auto" nor a number from 1 on, or who is asked cannot count.
    """
    if wanted != "auto" and (not str(wanted).isdecimal() or int(wanted) < 1):
        raise ConfigError(f"{wanted!r} is no number of speakers; give a number, auto or off.")
    name, _, argument = spec.partition(":")
    if name == "statistics" and wanted == "auto":
        raise ConfigError("Without weights speakers can be told apart but not counted; give their number, or take pyannote.")
    if name == "statistics":
        return Statistics()
    if name == "pyannote" and argument:
        return Pyannote(argument, path)
    raise ConfigError(f"recordings.turns = {spec!r} names nobody; there are 'statistics' and 'pyannote:PIPELINE'.")


class Statistics:
    """Voices by the statistics of their spectrum."""

    def __init__(self) -> None:
        self.vectors: list[np.ndarray] = []

    def hear(self, batch: Sequence[Sound]) -> None:
        """Keep some numbers of each segment."""
        self.vectors += [statistics(sound.samples) for sound in batch]

    def speakers(self, segments: Sequence[Segment], wanted: int | str) -> list[str]:
        """S1 is who speaks first."""
        long = [i for i, one in enumerate(segments) if one.end - one.start >= LONG_ENOUGH] or list(range(len(segments)))
        if not long:
            return []
        vectors = np.array(self.vectors)
        vectors = (vectors - vectors[long].mean(0)) / (vectors[long].std(0) + 1e-6)
        groups = group(vectors[long], int(wanted))
        centres = np.array([vectors[long][groups == g].mean(0) for g in range(groups.max() + 1)])
        nearest = np.square(vectors[:, None] - centres).sum(-1).argmin(1)
        nearest[long] = groups
        order = list(dict.fromkeys(nearest.tolist()))
        return [f"S{order.index(g) + 1}" for g in nearest.tolist()]


def statistics(samples: np.ndarray) -> np.ndarray:
    """Cepstrum of the average mel spectrum, without its level, of the louder half of the frames: (COEFFICIENTS,)."""
    from scipy.fft import dct

    size, hop = 400, 160
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(frames, 512)))
    loud = power.sum(1) >= np.median(power.sum(1))
    return dct(np.log(_mel_bands() @ power[loud].mean(0) + 1e-10), norm="ortho")[1 : COEFFICIENTS + 1]


def _mel_bands() -> np.ndarray:
    """Triangles evenly spaced on the mel scale from 60 to 7,600 Hz, (BANDS, 257)."""
    mel = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)))


def group(vectors: np.ndarray, count: int) -> np.ndarray:
    """Numbers (N,) of `count` groups of vectors (N, D), by their directions (k-means on the unit sphere)."""
    from sklearn.cluster import KMeans

    directions = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12)
    return KMeans(min(count, len(vectors)), n_init=10, random_state=0).fit_predict(directions)


class Pyannote:
    """Speakers by a pyannote pipeline; each segment has the one who speaks longest in it."""

    def __init__(self, name: str, path: str | None) -> None:
        if path is None:
            raise DataError("pyannote reads files; for samples in memory use recordings.turns = 'statistics'.")
        os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")  # nothing leaves this machine
        try:
            from pyannote.audio import Pipeline
        except ImportError:
            raise MissingExtra("Speakers by pyannote", "pyannote") from None
        self.pipeline, self.path = Pipeline.from_pretrained(name), path

    def hear(self, batch: Sequence[Sound]) -> None:
        """Nothing: it hears the recording for itself, at the end."""

    def speakers(self, segments: Sequence[Segment], wanted: int | str) -> list[str]:
        """Its names."""
        import torch

        from emojudge import streams

        samples = np.concatenate(list(streams.blocks(self.path)))  # it takes a recording as a whole
        options = {} if wanted == "auto" else {"num_speakers": int(wanted)}
        found: Any = self.pipeline({"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE}, **options)
        tracks = getattr(found, "speaker_diarization", found).itertracks(yield_label=True)
        turns = [(turn.start, turn.end, str(name)) for turn, _, name in tracks]
        return [_longest(one, turns) for one in segments]


def _longest(segment: Segment, turns: Sequence[tuple[float, float, str]]) -> str:
    """Who speaks longest in a segment; "" where nobody was found."""
    shares: dict[str, float] = {"": 0.0}
    for start, end, name in turns:
        shares[name] = shares.get(name, 0.0) + max(0.0, min(end, segment.end) - max(start, segment.start))
    return max(shares, key=shares.__getitem__)

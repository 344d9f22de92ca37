"""What the voice does, measured and said in words: the judge's audio description (paper 4.6; decision 17).

Level in dB re full scale, integrated loudness (ITU-R BS.1770-4), fundamental frequency by SwiftF0
(https://github.com/lars76/swift-f0) or pYIN (Mauch & Dixon 2014, the paper's through librosa), and
the speaking rate from words' times, else from the transcript, else from syllable nuclei (de Jong & Wempe 2009: peaks
of intensity, with dips between them, in voiced frames). Words come from quantiles of the training set.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from emojudge.audio import SAMPLE_RATE
from emojudge.errors import MissingExtra
from emojudge.settings import CueSettings
from emojudge.types import Cues, Word

PITCH_RANGE = (50.0, 600.0)
"""Hertz; from a low male voice to a scream."""
PITCH_PERCENTILES = (5, 50, 95)
MIN_VOICED = 5
"""Voiced frames below which a clip has no pitch."""
GATE_SECONDS = 0.4
"""Block of the loudness gate; a shorter clip is one block."""
DIP_DB = 2.0
"""Least dip between two syllables (de Jong & Wempe)."""
PEAK_DB = 25.0
"""How far below the loudest frame a syllable may peak."""
SHORTEST_WORD = 0.05
"""Seconds; times that leave a word less are wrong."""
HOP = 160
"""Samples between frames of the intensity: 10 ms."""

QUANTILES = (0.10, 0.25, 0.75, 0.90)
_LEVEL = ("very low", "low", "medium", "high", "very high")
WORDS = {
    "seconds": ("very short", "short", "medium", "long", "very long"),
    "peak_dbfs": _LEVEL,
    "rms_dbfs": _LEVEL,
    "loudness_lufs": ("very quiet", "quiet", "medium", "loud", "very loud"),
    "f0_low_hz": _LEVEL,
    "f0_median_hz": _LEVEL,
    "f0_high_hz": _LEVEL,
    "f0_range_semitones": ("very narrow", "narrow", "medium", "wide", "very wide"),
    "voiced_share": _LEVEL,
    "rate": ("very slow", "slow", "medium", "fast", "very fast"),
}
"""How each measure is said, from below the 10th to above the 90th percentile."""


def measure(utterance_id: str, samples: np.ndarray, text: str | None, settings: CueSettings, words: Sequence[Word] = ()) -> Cues:
    """Measure one clip: float32 (samples,) at 16 kHz, before any normalisation.

    With the times of its `words`, the rate is that of the speech alone, from the first word's start to the last one's end,
    pauses between them included ("words/s of speech"); else that of the whole clip ("words/s", "syllables/s").

    Raises:
        MissingExtra: the pitch tracker or the loudness meter is not installed.
    """
    pitch = track(samples, settings.pitch)
    rate, unit = _rate_of_speech(words) if words else _rate(samples, text, pitch)
    return Cues(
        id=utterance_id,
        seconds=round(len(samples) / SAMPLE_RATE, 3),
        peak_dbfs=_decibels(float(np.abs(samples).max(initial=0.0))),
        rms_dbfs=_decibels(float(np.sqrt(np.square(samples, dtype=np.float64).mean())) if samples.size else 0.0),
        loudness_lufs=loudness(samples),
        **_pitch_cues(pitch),
        rate=rate,
        rate_unit=unit,
    )


def track(samples: np.ndarray, tracker: str) -> np.ndarray:
    """F0 in hertz per frame, evenly spaced over the clip; NaN where unvoiced.

    Raises:
        MissingExtra: the tracker is not installed.
    """
    if not samples.size:
        return np.zeros(0)
    return _swift_f0(samples) if tracker == "swift_f0" else _pyin(samples)


def _swift_f0(samples: np.ndarray) -> np.ndarray:
    result = _swift_detector().detect(samples, SAMPLE_RATE, *PITCH_RANGE)
    return np.where(result.confidence >= 0.5, result.pitch_hz, np.nan)


@cache
def _swift_detector() -> Any:
    try:
        from swift_f0 import SwiftF0
    except ImportError:
        raise MissingExtra("The pitch tracker SwiftF0", "pitch") from None
    return SwiftF0(threads=1, spin=False)  # clips are short: more threads only wait for one another


def _pyin(samples: np.ndarray) -> np.ndarray:
    try:
        import librosa
    except ImportError:
        raise MissingExtra("The pitch tracker pYIN", "pyin") from None
    low, high = PITCH_RANGE
    f0, _, _ = librosa.pyin(samples, fmin=low, fmax=high, sr=SAMPLE_RATE, frame_length=1024, hop_length=HOP)
    return f0


def _pitch_cues(f0: np.ndarray) -> dict[str, Any]:
    """Percentiles, their distance in semitones, and the share of voiced frames."""
    voiced = f0[~np.isnan(f0)]
    cues: dict[str, Any] = {"voiced_share": round(len(voiced) / len(f0), 3) if len(f0) else None}
    if len(voiced) >= MIN_VOICED:
        low, middle, high = (float(value) for value in np.percentile(voiced, PITCH_PERCENTILES))
        cues |= {"f0_low_hz": round(low, 1), "f0_median_hz": round(middle, 1), "f0_high_hz": round(high, 1)}
        cues["f0_range_semitones"] = round(12 * float(np.log2(high / low)), 2)
    return cues


def _decibels(amplitude: float) -> float | None:
    """Decibels re full scale; None for silence.

    >>> _decibels(0.5), _decibels(0.0)
    (-6.02, None)
    """
    return round(20 * float(np.log10(amplitude)), 2) if amplitude > 0 else None


def loudness(samples: np.ndarray) -> float | None:
    """Integrated loudness in LUFS; None where everything is below the gate of −70 LUFS.

    Raises:
        MissingExtra: the loudness meter is not installed.
    """
    try:
        import pyloudnorm
    except ImportError:
        raise MissingExtra("The loudness meter", "pitch") from None
    if not samples.size:
        return None
    block = min(GATE_SECONDS, len(samples) / SAMPLE_RATE)
    level = pyloudnorm.Meter(SAMPLE_RATE, block_size=block).integrated_loudness(samples.astype(np.float64))
    return round(float(level), 2) if np.isfinite(level) else None


def _rate_of_speech(words: Sequence[Word]) -> tuple[float, str]:
    """Words a second while somebody speaks.

    >>> _rate_of_speech([Word("Kids", 0.5, 0.9, 1.0), Word("talk.", 1.0, 1.5, 1.0)])
    (2.0, 'words/s of speech')
    """
    return round(len(words) / max(words[-1].end - words[0].start, SHORTEST_WORD * len(words)), 2), "words/s of speech"


def _rate(samples: np.ndarray, text: str | None, f0: np.ndarray) -> tuple[float | None, str | None]:
    """Words a second where there is a transcript, else syllables a second."""
    if not samples.size:
        return None, None
    count, unit = (count_words(text), "words/s") if text and text.strip() else (count_syllables(samples, f0), "syllables/s")
    return round(count / (len(samples) / SAMPLE_RATE), 2), unit


def count_words(text: str) -> int:
    """Words of a transcript.

    >>> count_words("I can't — really — believe it!")
    5
    """
    return len(re.findall(r"\w+(?:['’-]\w+)*", text))


def count_syllables(samples: np.ndarray, f0: np.ndarray) -> int:
    """Syllable nuclei: peaks of the smoothed intensity with a dip of 2 dB between them, in voiced frames."""
    from scipy.signal import find_peaks

    window = np.hanning(9 * HOP + 1)  # 90 ms: a syllable is seldom shorter than 100
    power = np.convolve(np.square(samples, dtype=np.float64), window / window.sum(), mode="same")[::HOP]
    intensity = 10 * np.log10(power + 1e-10)
    intensity = np.concatenate(([-100.0], intensity, [-100.0]))  # so that the first and last syllables are peaks, too
    peaks, _ = find_peaks(intensity, height=intensity.max() - PEAK_DB, prominence=DIP_DB)
    voiced = ~np.isnan(f0[np.minimum(((peaks - 1) * len(f0)) // max(1, len(intensity) - 2), len(f0) - 1)])
    return int(voiced.sum())


@dataclass(frozen=True)
class Quantiles:
    """Four quantiles of each measure, over the training set and over each speaker with enough clips.

    >>> cues = [Cues(str(i), seconds=float(i)) for i in range(1, 101)]
    >>> quantiles = Quantiles.fit(cues, [None] * 100)
    >>> quantiles.describe(Cues("x", seconds=95.0), None).words["seconds"]
    'very long'
    """

    corpus: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    speakers: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)

    @classmethod
    def fit(cls, cues: Iterable[Cues], speakers: Iterable[str | None], settings: CueSettings | None = None) -> "Quantiles":
        """Take the quantiles of training clips; `speakers` names each clip's."""
        clips = list(zip(cues, speakers, strict=True))
        counts = Counter(speaker for _, speaker in clips if speaker is not None)
        least = (settings or CueSettings()).speaker_clips
        own = {
            name: _quantiles([one for one, speaker in clips if speaker == name])
            for name, count in sorted(counts.items())
            if count >= least
        }
        return cls(_quantiles([one for one, _ in clips]), own)

    def describe(self, cues: Cues, speaker: str | None = None) -> Cues:
        """`cues` with `words`, relative to the speaker where it is known well enough, else to the corpus."""
        known = speaker is not None and speaker in self.speakers
        scale = self.speakers[str(speaker)] if known else self.corpus
        words = {
            name: WORDS[name][_step(value, scale[key])]
            for name, key, value in _measures(cues)
            if key in scale and value is not None
        }
        return replace(cues, words=words, relative_to="speaker" if known else "corpus")

    def to_json(self) -> dict[str, Any]:
        """As a mapping that JSON can hold."""
        return {"corpus": dict(self.corpus), "speakers": {name: dict(own) for name, own in self.speakers.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Quantiles":
        """What `to_json` gave."""
        own = {name: {key: tuple(values) for key, values in table.items()} for name, table in content["speakers"].items()}
        return cls({key: tuple(values) for key, values in content["corpus"].items()}, own)


def _measures(cues: Cues) -> list[tuple[str, str, float | None]]:
    """(field, key in the table, value); words and syllables are rates of their own."""
    return [(name, f"rate ({cues.rate_unit})" if name == "rate" else name, getattr(cues, name)) for name in WORDS]


def _quantiles(cues: list[Cues]) -> dict[str, tuple[float, ...]]:
    values: dict[str, list[float]] = {}
    for one in cues:
        for _, key, value in _measures(one):
            if value is not None:
                values.setdefault(key, []).append(value)
    return {key: tuple(float(q) for q in np.quantile(found, QUANTILES)) for key, found in sorted(values.items())}


def _step(value: float, quantiles: tuple[float, ...]) -> int:
    """0 (below the 10th percentile) to 4 (above the 90th); 2 where all clips are alike.

    >>> [_step(v, (1.0, 2.0, 3.0, 4.0)) for v in (0.5, 1.5, 2.5, 3.5, 4.5)]
    [0, 1, 2, 3, 4]
    """
    lowest, low, high, highest = quantiles
    return 0 if value < lowest else 1 if value < low else 4 if value > highest else 3 if value > high else 2

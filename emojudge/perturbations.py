"""Named changes to a recording: copies to learn from (`audio.augment`), and disturbances to be tested under.

A change is a name with a number, as "speed:0.9"; "+" chains several, as "trim+noise:20":

    speed:0.9     played slower (< 1) or faster, pitch and formants with it
    tempo:0.9     spoken slower or faster, pitch kept
    pitch:2       semitones up or down, formants with it, duration kept
    gain:-6       dB louder or softer, not clipped
    noise:20      white noise, so many dB below the clip's mean power
    reverb:0.3    a room whose echo falls by 60 dB in so many seconds
    clip:0.1      cut at this share of the highest peak
    telephone     300 to 3400 Hz at 8 kHz, 8-bit µ-law
    trim:35       without what comes before the first and after the last 20 ms within so many dB of the loudest

Each is a function of the samples alone, float32 at 16 kHz: noise is drawn from their own digest, so that a clip's
copy is the same on every machine and in every run.
"""

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from emojudge.audio import SAMPLE_RATE
from emojudge.errors import ConfigError

_FRAME = 480
"""Samples (30 ms) of a piece that `tempo` moves; about three periods of a low voice."""
_SEARCH = 160
"""Samples (10 ms) by which such a piece may slip to fit the one before it."""


def apply(change: str, samples: np.ndarray) -> np.ndarray:
    """`samples` (float32, 16 kHz) after the change of that name; "" changes nothing.

    >>> apply("trim+speed:2", np.ones(16000, np.float32)).shape
    (8000,)

    Raises:
        ConfigError: there is no such change, or its number is missing or out of bounds.
    """
    for function, number in parse(change):
        samples = function(samples, number).astype(np.float32, copy=False)
    return samples


def parse(change: str) -> list[tuple[Callable[[np.ndarray, float], np.ndarray], float]]:
    """The functions that `change` names, each with its number.

    Raises:
        ConfigError: as for `apply`.
    """
    found = []
    for part in change.split("+") if change else []:
        name, _, number = part.partition(":")
        if name not in CHANGES:
            raise ConfigError(f'There is no perturbation "{part}"; take one of {", ".join(CHANGES)}, as "speed:0.9".')
        function, low, high, default = CHANGES[name]
        try:
            value = float(number or default)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ConfigError(f'"{part}" needs a number from {low:g} to {high:g} after the colon.')
        found.append((function, value))
    return found


def speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play `factor` times as fast."""
    import soxr

    return soxr.resample(samples, SAMPLE_RATE * factor, SAMPLE_RATE)


def tempo(samples: np.ndarray, factor: float) -> np.ndarray:
    """Speak `factor` times as fast at the same pitch: overlap-add of the best fitting pieces (WSOLA).

    Verhelst & Roelands 1993, https://doi.org/10.1109/ICASSP.1993.319366.
    """
    hop, pieces = _FRAME // 2, int(len(samples) / factor) // (_FRAME // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)  # its halves add up to one
    source = np.pad(samples.astype(np.float64), (_FRAME + _SEARCH, 2 * (_FRAME + _SEARCH)))
    out = np.zeros((pieces + 2) * hop)
    start = _SEARCH + hop
    for piece in range(pieces + 1):
        if piece:
            ideal = _SEARCH + hop + round(piece * hop * factor)
            near = source[ideal - _SEARCH : ideal + _SEARCH + _FRAME]
            start = ideal - _SEARCH + _best_fit(near, source[start + hop :][:_FRAME])
        out[piece * hop :][:_FRAME] += window * source[start:][:_FRAME]
    return out[hop:][: round(len(samples) / factor)]


def _best_fit(near: np.ndarray, piece: np.ndarray) -> int:
    """Where in `near` the stretch begins that correlates most with `piece`."""
    energy = np.cumsum(np.pad(np.square(near), (1, 0)))
    energy = energy[len(piece) :] - energy[: -len(piece)]
    return int((np.correlate(near, piece, "valid") / np.sqrt(energy + 1e-9)).argmax())


def pitch(samples: np.ndarray, semitones: float) -> np.ndarray:
    """Move the voice by `semitones`, its duration kept."""
    factor = 2 ** (semitones / 12)
    return speed(tempo(samples, 1 / factor), factor)


def gain(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Scale by `decibels`."""
    return samples * 10 ** (decibels / 20)


def noise(samples: np.ndarray, ratio: float) -> np.ndarray:
    """Add white noise `ratio` dB below the mean power."""
    level = np.sqrt(np.square(samples, dtype=np.float64).mean()) * 10 ** (-ratio / 20)
    return samples + level * _random(samples).standard_normal(len(samples))


def reverb(samples: np.ndarray, seconds: float) -> np.ndarray:
    """Sound in a room: direct sound, then an echo of equal energy, noise that falls by 60 dB in `seconds`."""
    from scipy.signal import fftconvolve

    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    echo = _random(samples).standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    response = np.concatenate([[1.0], echo / np.sqrt(np.square(echo).sum())])
    return fftconvolve(samples, response)[: len(samples)]


def clip(samples: np.ndarray, share: float) -> np.ndarray:
    """Cut at `share` of the highest peak, as an overdriven microphone does."""
    top = share * np.abs(samples).max()
    return samples.clip(-top, top)


def telephone(samples: np.ndarray, _: float) -> np.ndarray:
    """A land line: 300 to 3400 Hz, 8 kHz, µ-law in 8 bits (ITU-T G.711)."""
    import soxr
    from scipy.signal import butter, sosfilt

    narrow = sosfilt(butter(4, (300, 3400), "bandpass", fs=8000, output="sos"), soxr.resample(samples, SAMPLE_RATE, 8000))
    level = np.abs(narrow).max() or 1.0
    pressed = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / level) / np.log(256)
    heard = np.round(pressed * 127) / 127
    return soxr.resample(np.sign(heard) * np.expm1(np.abs(heard) * np.log(256)) / 255 * level, 8000, SAMPLE_RATE)[: len(samples)]


def trim(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Only what lies between the first and the last 20 ms within `decibels` of the loudest."""
    size = SAMPLE_RATE // 50
    power = np.add.reduceat(np.square(samples, dtype=np.float64), np.arange(0, len(samples), size))
    loud = np.flatnonzero(power >= power.max() * 10 ** (-decibels / 10))
    return samples[loud[0] * size : (loud[-1] + 1) * size]


def _random(samples: np.ndarray) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(samples.tobytes()))


CHANGES: Mapping[str, tuple[Callable[[np.ndarray, float], np.ndarray], float, float, float]] = MappingProxyType(
    {
        "speed": (speed, 0.25, 4.0, np.nan),
        "tempo": (tempo, 0.25, 4.0, np.nan),
        "pitch": (pitch, -24.0, 24.0, np.nan),
        "gain": (gain, -80.0, 40.0, np.nan),
        "noise": (noise, -20.0, 100.0, np.nan),
        "reverb": (reverb, 0.01, 10.0, np.nan),
        "clip": (clip, 0.001, 1.0, np.nan),
        "telephone": (telephone, 0.0, 0.0, 0.0),
        "trim": (trim, 1.0, 120.0, 35.0),
    }
)
"""Name → function, lowest and highest number, and the number it has where none is given."""

"""Named changes to a recording: copies to learn from (`audio.augment`), and disturbances to be tested under.

A change is a name with a number, as "speed:0.9"; "+" chains several, as "trim+noise:20":

    speed:0.9     played slower (< 1) or faster, pitch and formants with it
    tempo:0.9     spoken slower or faster, pitch kept
    pitch:2       semitones up or down, formants with it, duration kept
    gain:-6       dB louder or softer, not clipped
    level:-23     centred, and at that mean power in dB re full scale
    tilt:-6       dB per octave around 1 kHz, the mean power kept: duller (< 0) or sharper
    noise:20      white noise, so many dB below the clip's mean power
    babble:20     other people talking at once, so many dB below the clip's mean power; needs their voices
    reverb:0.3    a room whose echo falls by 60 dB in so many seconds
    clip:0.1      cut at this share of the highest peak
    overload:0.02 cut so that this share of the samples is at the limit
    telephone     300 to 3400 Hz at 8 kHz, 8-bit µ-law
    mulaw, gsm    coded at 8 kHz by ITU-T G.711 (64 kbit/s) or GSM 06.10 (13 kbit/s)
    opus:0.96     coded and decoded by libsndfile; 0 is the least it can compress and 1 the most
    vorbis:0.9    the same (at 0.9 about 24 kbit/s for speech, opus:0.96 about 12)
    mp3:0.9       the same (about 11 kbit/s)
    trim:35       without what comes before the first and after the last 20 ms within so many dB of the loudest

Each is a function of the samples alone (`babble`: and of the voices), float32 at 16 kHz: noise is drawn from their
own digest, so that a clip's copy is the same on every machine and in every run. Mean power is over the whole clip,
pauses too, so that a clip of many pauses has more noise under its words than `noise` says.
"""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from emojudge.audio import SAMPLE_RATE
from emojudge.errors import ConfigError

_FRAME = 480
"""Samples (30 ms) of a piece that `tempo` moves; about three periods of a low voice."""
_SEARCH = 160
"""Samples (10 ms) by which such a piece may slip to fit the one before it."""


def apply(change: str, samples: np.ndarray, voices: Sequence[np.ndarray] = ()) -> np.ndarray:
    """`samples` (float32, 16 kHz) after the change of that name; "" changes nothing. `voices` are for babble.

    >>> apply("trim+speed:2", np.ones(16000, np.float32)).shape
    (8000,)

    Raises:
        ConfigError: there is no such change, or its number is missing or out of bounds.
    """
    for function, number in parse(change):
        changed = babble(samples, number, voices) if function is babble else function(samples, number)
        samples = changed.astype(np.float32, copy=False)
    return samples


def parse(change: str) -> list[tuple[Callable[..., np.ndarray], float]]:
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


def level(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Centre, and scale to a mean power of `decibels` re full scale; silence stays silent."""
    centred = samples - samples.mean(dtype=np.float64)
    return centred * (10 ** (decibels / 20) / (_level(centred) or 1.0))


def tilt(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Change the spectrum by `decibels` per octave around 1 kHz, from 50 Hz on, at the same mean power."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE), 50) / 1000)
    tilted = np.fft.irfft(spectrum * 10 ** (decibels * octaves / 20), len(samples))
    return tilted * (_level(samples) / (_level(tilted) or 1.0))


def noise(samples: np.ndarray, ratio: float) -> np.ndarray:
    """Add white noise `ratio` dB below the mean power."""
    return _under(samples, _random(samples).standard_normal(len(samples)), ratio)


def babble(samples: np.ndarray, ratio: float, voices: Sequence[np.ndarray]) -> np.ndarray:
    """Add `voices`, each as loud as the others, looped and begun anywhere, together `ratio` dB below the mean power.

    Raises:
        ConfigError: there are no voices.
    """
    if not voices:
        raise ConfigError('"babble" needs the voices of other clips, which only `emojudge battery` gives it.')
    random, together = _random(samples), np.zeros(len(samples))
    for voice in voices:
        looped = np.resize(np.roll(voice, int(random.integers(len(voice)))), len(samples))
        together += looped / (_level(looped) or 1.0)
    return _under(samples, together, ratio)


def _level(samples: np.ndarray) -> float:
    """Root of the mean power."""
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))


def _under(samples: np.ndarray, other: np.ndarray, ratio: float) -> np.ndarray:
    """`other` added `ratio` dB below the mean power."""
    return samples + other * (_level(samples) * 10 ** (-ratio / 20) / (_level(other) or 1.0))


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


def overload(samples: np.ndarray, share: float) -> np.ndarray:
    """Cut so low that `share` of the samples is at the limit, as a recorder set too high does."""
    top = np.quantile(np.abs(samples), 1 - share)
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


def mulaw(samples: np.ndarray, _: float) -> np.ndarray:
    """Through 8-bit µ-law at 8 kHz."""
    return _coded(samples, "WAV", "ULAW", 8000)


def gsm(samples: np.ndarray, _: float) -> np.ndarray:
    """Through a mobile phone's first codec, 13 kbit/s at 8 kHz."""
    return _coded(samples, "WAV", "GSM610", 8000)


def opus(samples: np.ndarray, compression: float) -> np.ndarray:
    """Through Opus, the codec of calls over the internet."""
    return _coded(samples, "OGG", "OPUS", SAMPLE_RATE, compression_level=compression)


def vorbis(samples: np.ndarray, compression: float) -> np.ndarray:
    """Through Ogg Vorbis."""
    return _coded(samples, "OGG", "VORBIS", SAMPLE_RATE, compression_level=compression)


def mp3(samples: np.ndarray, compression: float) -> np.ndarray:
    """Through MPEG Layer III."""
    return _coded(samples, "MP3", "MPEG_LAYER_III", SAMPLE_RATE, compression_level=compression)


def _coded(samples: np.ndarray, container: str, codec: str, rate: int, **options: float) -> np.ndarray:
    """Coded and decoded in memory, at full scale so that a clip's level does not matter; the length is kept."""
    import soundfile
    import soxr

    top = np.abs(samples).max() or 1.0
    file = io.BytesIO()
    slower = soxr.resample((samples / top * 0.9).astype(np.float32), SAMPLE_RATE, rate)
    soundfile.write(file, slower, rate, format=container, subtype=codec, **options)
    file.seek(0)
    heard = soxr.resample(soundfile.read(file, dtype="float32")[0], rate, SAMPLE_RATE)
    return np.pad(heard, (0, max(0, len(samples) - len(heard))))[: len(samples)] * (top / 0.9)


def trim(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Only what lies between the first and the last 20 ms within `decibels` of the loudest."""
    size = SAMPLE_RATE // 50
    power = np.add.reduceat(np.square(samples, dtype=np.float64), np.arange(0, len(samples), size))
    loud = np.flatnonzero(power >= power.max() * 10 ** (-decibels / 10))
    return samples[loud[0] * size : (loud[-1] + 1) * size]


def _random(samples: np.ndarray) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(samples.tobytes()))


CHANGES: Mapping[str, tuple[Callable[..., np.ndarray], float, float, float]] = MappingProxyType(
    {
        "speed": (speed, 0.25, 4.0, np.nan),
        "tempo": (tempo, 0.25, 4.0, np.nan),
        "pitch": (pitch, -24.0, 24.0, np.nan),
        "gain": (gain, -80.0, 40.0, np.nan),
        "level": (level, -80.0, 0.0, -23.0),
        "tilt": (tilt, -24.0, 24.0, np.nan),
        "noise": (noise, -20.0, 100.0, np.nan),
        "babble": (babble, -20.0, 100.0, np.nan),
        "reverb": (reverb, 0.01, 10.0, np.nan),
        "clip": (clip, 0.001, 1.0, np.nan),
        "overload": (overload, 0.0001, 0.5, np.nan),
        "telephone": (telephone, 0.0, 0.0, 0.0),
        "mulaw": (mulaw, 0.0, 0.0, 0.0),
        "gsm": (gsm, 0.0, 0.0, 0.0),
        "opus": (opus, 0.0, 1.0, np.nan),
        "vorbis": (vorbis, 0.0, 1.0, np.nan),
        "mp3": (mp3, 0.0, 1.0, np.nan),
        "trim": (trim, 1.0, 120.0, 35.0),
    }
)
"""Name → function, lowest and highest number, and the number it has where none is given."""

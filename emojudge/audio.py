"""Recordings in: bounded reading, mix-down, 16 kHz, and the waveform's normalisation (paper 4.2).

Samples are float32 arrays of shape (samples,), mono, 16 kHz, full scale ±1.
"""

import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from emojudge.containers import check
from emojudge.errors import AudioError

if TYPE_CHECKING:
    import soundfile

SAMPLE_RATE = 16000
"""Hertz; what every speech encoder here was pretrained on."""
MAX_CHANNELS = 64
RATES = range(4000, 384_001)
"""Sampling rates that are taken for real."""
MAX_SECONDS = 3600.0
"""Longer stretches are not read, unless the caller says otherwise."""
MAX_PEAK = 1e6
"""Floats may go beyond full scale, and some files hold 16-bit numbers as floats; these are no samples."""
_BLOCK = 1 << 20
"""Values decoded at a time, so that memory stays bounded whatever a header claims."""
_FORMATS = {"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF"}


def read(path: str | Path, start: float | None = None, end: float | None = None, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Read a recording, or its stretch from `start` to `end` seconds, as float32 mono at 16 kHz, shape (samples,).

    Channels are averaged. A file that holds less than its header promises is read as far as it goes, with a warning.

    Raises:
        AudioError: no such file, no audio, nothing in the stretch, longer than `max_seconds`, or values that are not finite.
    """
    with opened(path) as (sound, missing):
        if missing:
            warnings.warn(f"{path} lacks {missing} bytes of the sound its header promises; what is there is used.", stacklevel=2)
        first, last = _stretch(sound, start, end, max_seconds, path)
        sound.seek(first)
        parts = list(resampled(_decode(sound, last - first, path), sound.samplerate))
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not samples.size:
        raise AudioError(f"{path} holds no sound; restore the recording or take it out of the corpus.")
    check_finite(samples, path)
    return samples


def check_finite(samples: np.ndarray, path: str | Path) -> None:
    """Refuse NaN, infinity, and what is so far beyond full scale that it would become one.

    Raises:
        AudioError: there are some.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak):
        raise AudioError(f"{path} holds values that are not finite (NaN or infinity); record or export it again.")
    if peak > MAX_PEAK:
        raise AudioError(f"{path} holds values far beyond full scale ({peak:.3g}, where 1 is full); export it again.")


def blocks(path: str | Path) -> Iterator[np.ndarray]:
    """A recording of any length as float32 mono at 16 kHz, some seconds at a time; memory stays the same however long it is.

    Raises:
        AudioError: as for `read`.
    """
    with opened(path) as (sound, missing):
        if missing:
            warnings.warn(f"{path} lacks {missing} bytes of the sound its header promises; what is there is used.", stacklevel=2)
        for samples in resampled(_decode(sound, sound.frames, path), sound.samplerate):
            check_finite(samples, path)
            yield samples


def seconds(path: str | Path) -> float:
    """Duration by the header, without decoding.

    Raises:
        AudioError: as for `read`.
    """
    return header(path)[0]


def header(path: str | Path) -> tuple[float, int]:
    """Duration in seconds, and the bytes of sound that the header promises and the file lacks; nothing is decoded.

    Raises:
        AudioError: as for `read`.
    """
    with opened(path) as (sound, missing):
        return sound.frames / sound.samplerate, missing


@contextmanager
def opened(path: str | Path) -> Iterator[tuple["soundfile.SoundFile", int]]:
    """The decoder on a file that passed the allow-list, and the bytes it lacks.

    What was checked is what is decoded, being one open file. The decoder gets its descriptor: that takes half as long
    as reading through Python, and a corpus has 100,000 headers.
    """
    import soundfile

    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # before opening: to open a FIFO is to wait for ever
            raise AudioError(f"{path} is no ordinary file (a folder, pipe or device); give the path of a recording.")
        stream = Path(path).open("rb", buffering=0)  # noqa: SIM115 (closed below; only opening is guarded)
    except OSError as error:
        raise AudioError(f"{path} cannot be opened ({error.strerror}); check the path.") from None
    with stream:
        missing = check(stream, str(path))
        try:
            sound = soundfile.SoundFile(stream.fileno(), closefd=False)
        except _decoder_error() as error:
            raise AudioError(f"{path} cannot be decoded ({error.error_string}); restore the recording.") from None
        with sound:
            _check_shape(sound, path)
            yield sound, missing


def _decoder_error() -> type["soundfile.LibsndfileError"]:
    import soundfile

    return soundfile.LibsndfileError


def _check_shape(sound: "soundfile.SoundFile", path: str | Path) -> None:
    if sound.format not in _FORMATS or "ADPCM" in sound.subtype:
        raise AudioError(f"{path} is {sound.format} in {sound.subtype}, which is not read; convert it to WAV or FLAC.")
    if sound.samplerate not in RATES:
        raise AudioError(f"{path} claims {sound.samplerate} samples a second; real recordings have 4,000 to 384,000.")
    if not 1 <= sound.channels <= MAX_CHANNELS:
        raise AudioError(f"{path} claims {sound.channels} channels; at most {MAX_CHANNELS} are read.")


def _stretch(
    sound: "soundfile.SoundFile", start: float | None, end: float | None, max_seconds: float, path: str | Path
) -> tuple[int, int]:
    """First and last frame to decode."""
    rate, frames = sound.samplerate, sound.frames
    first = round((start or 0.0) * rate)
    last = frames if end is None else min(frames, round(end * rate))
    if first < 0 or (end is not None and end <= (start or 0.0)):
        raise AudioError(f"{path}: there is nothing between {start} s and {end} s; correct start and end.")
    if first >= frames > 0:
        raise AudioError(f"{path} ends at {frames / rate:.2f} s, before the stretch that starts at {start} s; correct start.")
    if last - first > max_seconds * rate:
        raise AudioError(f"{path} is {(last - first) / rate:.0f} s long; at most {max_seconds:.0f} s are read: cut it.")
    return first, last


def _decode(sound: "soundfile.SoundFile", frames: int, path: str | Path) -> Iterator[np.ndarray]:
    """`frames` frames from here on, averaged over channels, block by block at the file's own rate."""
    left, size = frames, _BLOCK // sound.channels
    while left > 0:
        try:
            block = sound.read(min(left, size), dtype="float32", always_2d=True)
        except _decoder_error() as error:
            raise AudioError(f"{path} cannot be decoded ({error.error_string}); restore the recording.") from None
        if not len(block):
            warnings.warn(f"{path} holds {frames - left} of the {frames} frames its header promises.", stacklevel=4)
            return
        left -= len(block)
        yield block[:, 0] if sound.channels == 1 else block.mean(axis=1)


def resampled(parts: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    """Blocks of mono float32 samples at `rate`, brought to 16 kHz as one stream."""
    import soxr

    if rate == SAMPLE_RATE:
        yield from parts
        return
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    for part in parts:
        yield resampler.resample_chunk(part)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


@dataclass(frozen=True)
class Normaliser:
    """Zero mean and unit deviation for the waveform (paper 4.2; decision 1).

    `mode` "train" uses `mean` and `deviation`, one pair of scalars over all training samples, stored with
    the model; "utterance" uses each clip's own; "none" leaves samples alone.

    >>> Normaliser(0.5, 2.0).apply(np.array([0.5, 2.5], np.float32)).tolist()
    [0.0, 1.0]
    """

    mean: float = 0.0
    deviation: float = 1.0
    mode: Literal["train", "utterance", "none"] = "train"

    @classmethod
    def fit(cls, clips: Iterable[np.ndarray]) -> "Normaliser":
        """Mean and population deviation over all samples of all clips, in float64, one clip in memory at a time.

        >>> Normaliser.fit([np.array([1.0]), np.array([2.0, 3.0])])
        Normaliser(mean=2.0, deviation=0.816496580927726, mode='train')
        """
        count, mean, squares = 0, 0.0, 0.0  # Chan et al. 1979: merging means never subtracts large numbers
        for clip in clips:
            if clip.size:
                own = float(clip.mean(dtype=np.float64))
                spread = float(np.square(clip.astype(np.float64) - own).sum())
                total = count + clip.size
                squares += spread + (own - mean) ** 2 * count * clip.size / total
                mean += (own - mean) * clip.size / total
                count = total
        deviation = (squares / count) ** 0.5 if count else 0.0
        return cls(mean, deviation or 1.0)

    def apply(self, samples: np.ndarray) -> np.ndarray:
        """Normalised samples, float32, of the same shape."""
        if self.mode == "none":
            return samples
        if self.mode == "train":
            return ((samples - self.mean) / self.deviation).astype(np.float32)
        mean, variance = samples.mean(dtype=np.float64), samples.var(dtype=np.float64)
        return ((samples - mean) / np.sqrt(variance + 1e-7)).astype(np.float32)  # the ε of wav2vec 2.0's own front end

"""Recordings of any length, from a file, a video or standard input, as blocks of samples: float32 mono at 16 kHz."""

import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from emojudge import audio, containers, media
from emojudge.audio import SAMPLE_RATE
from emojudge.errors import AudioError, DataError

SUFFIXES = {
    *(".wav", ".w64", ".rf64", ".aif", ".aiff", ".flac", ".mp3", ".ogg", ".oga", ".opus"),
    *(".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".mka", ".webm"),
}
"""What is taken for a recording in a folder; a file that is named is read whatever it is called."""


Recording = str | Path | np.ndarray | Mapping[str, Any]
"""A path, samples, or samples with their rate: {"raw": array, "sampling_rate": 44100}."""

SPOOLED = "standard input"
"""What a recording without a name is called."""


def blocks(path: str | Path, max_seconds: float | None = None) -> Iterator[np.ndarray]:
    """The recording block by block; memory does not depend on its length.

    Raises:
        AudioError: it cannot be used, or is longer than `max_seconds`.
        MissingExtra: it needs FFmpeg, which is not installed.
    """
    kind, limit = form(path), float("inf") if max_seconds is None else max_seconds
    if limit < float("inf") and kind is None:  # before anything is decoded; and below, since headers lie
        _check_length(path, audio.seconds(path), limit)
    done = 0
    for block in _blocks(path, kind):
        done += len(block)
        _check_length(path, done / SAMPLE_RATE, limit)
        yield block
    if not done:
        raise AudioError(f"{path} holds no sound; restore the recording.")


def _check_length(path: str | Path, seconds: float, limit: float) -> None:
    if seconds > limit:
        raise AudioError(f"{path} is longer than {limit:.0f} s (recordings.max_seconds); cut it or raise the limit.")


def whole(path: str | Path, max_seconds: float = 3600.0) -> np.ndarray:
    """All samples of a clip, as `emojudge.audio.read`, from sound tracks of videos too; errors as for `blocks`."""
    if form(path) is None:
        return audio.read(path, max_seconds=max_seconds)
    return np.concatenate(list(blocks(path, max_seconds)))


def _blocks(path: str | Path, kind: str | None) -> Iterator[np.ndarray]:
    if kind is None:
        yield from audio.blocks(path)
        return
    with Path(path).open("rb") as stream:
        yield from media.blocks(stream, kind, path)


def form(path: str | Path) -> str | None:
    """FFmpeg's name of the container, where it is one for FFmpeg."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return None  # which `audio` refuses
        with Path(path).open("rb") as stream:
            return containers.media(stream.read(16))
    except OSError:
        return None


def of_array(samples: np.ndarray, rate: int, name: str) -> np.ndarray:
    """Samples at any rate, of any kind, (samples,) or (samples, channels), as float32 mono at 16 kHz.

    Raises:
        AudioError: no samples, another shape, a rate that no recording has, or values that are not finite.
    """
    found = np.asarray(samples)
    if rate not in audio.RATES or found.ndim not in (1, 2) or not found.size:
        raise AudioError(f"{name} has the shape {found.shape} at {rate} Hz; give (samples,) or (samples, channels) and its rate.")
    scale = -float(np.iinfo(found.dtype).min) if found.dtype.kind == "i" else 1.0
    mono = (found.mean(axis=1) if found.ndim == 2 else found).astype(np.float32) / np.float32(scale)
    audio.check_finite(mono, name)
    return np.concatenate(list(audio.resampled([mono], rate)))


def load(recording: Recording, rate: int = SAMPLE_RATE) -> np.ndarray:
    """One clip's samples, float32 (samples,) at 16 kHz.

    Raises:
        AudioError: it cannot be used.
    """
    if isinstance(recording, str | Path):
        return whole(recording)
    if isinstance(recording, Mapping):
        rate = recording.get("sampling_rate", rate)
        recording = recording["raw"] if "raw" in recording else recording["array"]
    return of_array(np.asarray(recording), rate, "the array")


def find(paths: Iterable[str | Path]) -> list[Path]:
    """What `each` gives, all of it; a path is there once."""
    return list(dict.fromkeys(each(paths)))


def each(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Files as they are, every recording in folders, sorted, and what `@LIST` names; one after the other, never all in memory.

    A line of LIST is a path, or a JSON object with `audio`, as in a run's manifest; `@-` reads lines from standard input.

    Raises:
        DataError: there is no such list, a line of it has no path, or a folder holds no recordings.
    """
    for path in paths:
        if str(path).startswith("@") and not Path(path).exists():
            yield from _listed(str(path)[1:])
        elif not Path(path).is_dir():
            yield Path(path)
        else:
            inside = _inside(Path(path))
            first = next(inside, None)
            if first is None:
                raise DataError(f"{path} holds no recordings; give a file, or a folder with files such as .wav, .mp3 or .mp4.")
            yield first
            yield from inside


def _inside(folder: Path) -> Iterator[Path]:
    """Recordings below `folder`, in the order of their paths; one folder's names are in memory at a time."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _inside(Path(entry.path))
        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
            yield Path(entry.path)


def _listed(name: str) -> Iterator[Path]:
    try:
        lines = nullcontext(sys.stdin) if name == "-" else Path(name).open(encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"The list {name} cannot be opened ({error.strerror}); check the path.") from None
    with lines as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    yield Path(json.loads(line)["audio"] if line.startswith("{") else line.rstrip("\r\n"))
                except (ValueError, KeyError, TypeError):
                    raise DataError(f"{name}, line {number} names no recording; give a path, or JSON with audio.") from None


@contextmanager
def spooled(source: BinaryIO | None = None) -> Iterator[Path]:
    """`source`, or standard input, as a file for as long as it is needed: decoders must be able to go back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SPOOLED
        with path.open("wb") as out:
            shutil.copyfileobj(source or sys.stdin.buffer, out, 1 << 20)
        yield path

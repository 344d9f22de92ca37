"""Recordings from strangers: decoded in a process of their own, so that a decoder's hole is not ours (`recordings.isolate`).

The child, `python -m emojudge.decoding`, starts without our environment (and so without keys), imports what it needs, gives up
all but bounded time and memory and a few open files, and only then looks at the recording. It sends lines of JSON with raw
float32 samples between, never a pickle; what it sends is bounded and checked. It may still read what its user can read: for
more, run all of it in a container.

A child is for one recording and costs 0.3 s. Blocks come as they are decoded, so memory stays the same however long it is.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from emojudge import audio, streams
from emojudge.audio import SAMPLE_RATE
from emojudge.errors import AudioError, ConfigError, MissingExtra

if TYPE_CHECKING:
    from emojudge.settings import RecordingSettings

MEMORY_MB = 512
"""Beyond what the interpreter takes; the decoders here need a tenth."""
TIMEOUT = 600.0
"""Seconds of processor time, and of waiting, for one recording; ten hours of MP3 take about one hundred."""
MAX_BYTES = 8 << 30
"""Larger files are not looked at."""
_CHILD = "emojudge.decoding"
_LINE = 1 << 16
"""Bytes of a line of JSON, at most."""
_SAMPLES = 1 << 22
"""Samples in one block, at most."""


def load(recording: streams.Recording, rate: int, settings: "RecordingSettings") -> np.ndarray:
    """One clip's samples as `emojudge.streams.load`, a file's by a child process if the settings say so."""
    if settings.isolate and isinstance(recording, str | Path):
        return decode(recording)
    return streams.load(recording, rate)


def blocks(path: str | Path, settings: "RecordingSettings") -> Iterator[np.ndarray]:
    """A recording block by block as `emojudge.streams.blocks`, by a child process if the settings say so."""
    if settings.isolate:
        return isolated(path, max_seconds=settings.max_seconds)
    return streams.blocks(path, settings.max_seconds)


def decode(
    source: str | Path,
    *,
    max_seconds: float = audio.MAX_SECONDS,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
    memory_mb: int = MEMORY_MB,
) -> np.ndarray:
    """All samples of a clip, float32 mono at 16 kHz, shape (samples,); arguments and errors are those of `isolated`."""
    return np.concatenate(
        list(isolated(source, max_seconds=max_seconds, max_bytes=max_bytes, timeout=timeout, memory_mb=memory_mb))
    )


def isolated(
    source: str | Path,
    *,
    max_seconds: float | None = None,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
    memory_mb: int = MEMORY_MB,
) -> Iterator[np.ndarray]:
    """The recording block by block, float32 mono at 16 kHz, decoded by a child process.

    Args:
        source: the recording.
        max_seconds: a longer one is refused; None takes any length.
        max_bytes: a larger file is refused before it is opened.
        timeout: seconds of processor time that the child may take, and of time that is spent waiting for it.
        memory_mb: what it may take beyond the interpreter's own.

    Raises:
        AudioError: as for `emojudge.streams.blocks`, or the child died, or took too much time or memory.
        MissingExtra: it needs FFmpeg, which is not installed.
        ConfigError: this system has no limits for processes (Windows).
    """
    if sys.platform == "win32":
        raise ConfigError("recordings.isolate needs Linux or macOS; leave it off for recordings that you trust.")
    try:
        size = Path(source).stat().st_size
    except OSError as error:
        raise AudioError(f"{source} cannot be opened ({error.strerror}); check the path.") from None
    if size > max_bytes:
        raise AudioError(f"{source} is {size / 1e6:.0f} MB large; at most {max_bytes / 1e6:.0f} MB are read: cut it.")
    limits = {"max_seconds": max_seconds, "processor": timeout, "memory": memory_mb << 20}
    command = [sys.executable, "-m", _CHILD, str(Path(source).absolute()), str(source), json.dumps(limits)]
    environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    child = subprocess.Popen(  # noqa: S603 (our own module)
        command,
        cwd=Path(__file__).parents[1],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield from _received(_Answer(child, str(source), timeout), str(source), max_seconds)
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


class _Answer:
    """What the child sends, read with a clock that runs only while it is waited for."""

    def __init__(self, child: "subprocess.Popen[bytes]", name: str, timeout: float) -> None:
        assert child.stdout
        self.child, self.name, self.left, self.ready = child, name, timeout, bytearray()
        self.pipe = child.stdout.fileno()
        self.poll = select.poll()
        self.poll.register(self.pipe)

    def line(self) -> dict[str, Any]:
        """The next line of JSON."""
        while b"\n" not in self.ready:
            if len(self.ready) > _LINE:
                raise self.failed("sent what no decoder sends")
            self._more()
        try:
            found = json.loads(self._take(self.ready.index(b"\n") + 1))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.failed("sent what no decoder sends")
        return found

    def samples(self, count: Any) -> np.ndarray:
        """The block that a line announced."""
        if not isinstance(count, int) or not 0 < count <= _SAMPLES:
            raise self.failed("sent what no decoder sends")
        while len(self.ready) < 4 * count:
            self._more()
        return np.frombuffer(self._take(4 * count), np.float32)

    def _take(self, count: int) -> bytearray:
        found = self.ready[:count]
        del self.ready[:count]
        return found

    def _more(self) -> None:
        started = time.monotonic()
        if not self.poll.poll(max(0.0, self.left) * 1000):
            raise self.failed("took too long")
        self.left -= time.monotonic() - started
        part = os.read(self.pipe, 1 << 20)
        if not part:
            raise self.failed(_end(self.child.wait()))
        self.ready += part

    def failed(self, why: str) -> AudioError:
        """The sentence about a child that gave no answer."""
        return AudioError(
            f"{self.name} was given up: its decoder {why}; the file may be damaged or made to do harm, so leave it out."
        )


def _end(code: int) -> str:
    if code == -signal.SIGXCPU:
        return "took too long"
    if code == -signal.SIGKILL:
        return "was killed, perhaps for want of memory"
    return f"crashed ({signal.Signals(-code).name})" if code < 0 else f"stopped with code {code}"


def _received(answer: _Answer, name: str, max_seconds: float | None) -> Iterator[np.ndarray]:
    """Blocks of the child's answer; its warnings and errors as ours."""
    left = float("inf") if max_seconds is None else max_seconds * SAMPLE_RATE
    while True:
        line = answer.line()
        if "samples" in line:
            block = answer.samples(line["samples"])
            left -= len(block)
            if left < 0:
                raise AudioError(f"{name} is longer than {max_seconds:.0f} s; cut it or raise the limit.")
            audio.check_finite(block, name)
            yield block
        elif "warning" in line:
            warnings.warn(_plain(line["warning"]), stacklevel=3)
        elif "missing" in line:
            raise MissingExtra("Decoding this recording", "media")
        elif "error" in line:
            raise AudioError(_plain(line["error"]))
        else:
            return


def _plain(text: Any) -> str:
    """A sentence of the child's, without what would drive a terminal."""
    return "".join(c if c.isprintable() else " " for c in str(text)[:5000])


def _confine(processor: float, memory: int) -> None:
    """From here on: bounded time and memory, few open files, nothing written, no core dump."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if sys.platform == "linux" else 0
    limits = {"CPU": max(1, round(processor)), "FSIZE": 0, "CORE": 0, "NOFILE": 16}
    for name, value in {**limits, **({"AS": used + memory} if used else {})}.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _send(path: str, name: str, max_seconds: float | None, out: BinaryIO) -> None:
    """Decode `path` onto `out`, in the child. Errors name it `name`, as it was given."""

    def tell(**line: Any) -> None:
        out.write(json.dumps(line).encode() + b"\n")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        try:
            for block in streams.blocks(path, max_seconds):
                for start in range(0, len(block), _SAMPLES):
                    part = block[start : start + _SAMPLES]
                    tell(samples=len(part))
                    out.write(part.astype(np.float32, copy=False).tobytes())
            end: dict[str, Any] = {"done": True}
        except AudioError as error:
            end = {"error": str(error).replace(path, name)}
        except MissingExtra:
            end = {"missing": "media"}
        except MemoryError:
            end = {"error": f"{name} needs too much memory to decode; convert it to WAV or FLAC, or leave it out."}
    for one in told:
        tell(warning=str(one.message).replace(path, name))
    tell(**end)
    out.flush()


def main(path: str, name: str, limits: str) -> None:
    """The child's whole life: import, confine, decode."""
    import soundfile  # noqa: F401 (before memory is counted)
    import soxr  # noqa: F401

    allowed = json.loads(limits)
    _confine(allowed["processor"], allowed["memory"])
    _send(path, name, allowed["max_seconds"], sys.stdout.buffer)


if __name__ == "__main__":
    main(*sys.argv[1:])

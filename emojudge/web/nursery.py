"""Decoders at hand: a process that has imported what they need forks one for each recording, which a new process takes 0.3 s for.

Each is confined as `emojudge.decoding` confines its own, has no keys, and holds no open file but its answer. Linux only;
elsewhere every recording gets a new process.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import decoding

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
"""All that it gets: one thread, which a fork needs, and no keys."""


class Nursery:
    """The process, started when it is first needed, and again if it has died."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._guard = threading.Lock()

    def isolated(self, source: str | Path, max_seconds: float | None = None) -> Iterator[np.ndarray]:
        """As `emojudge.decoding.isolated`."""
        if sys.platform != "linux":
            yield from decoding.isolated(source, max_seconds=max_seconds)
            return
        limits = {"max_seconds": max_seconds, "processor": decoding.TIMEOUT, "memory": decoding.MEMORY_MB << 20}
        child: Any = self._child(json.dumps([str(Path(source).absolute()), str(source), limits]).encode())
        try:
            yield from decoding._received(decoding._Answer(child, str(source), decoding.TIMEOUT), str(source), max_seconds)
        finally:
            child.close()

    def close(self) -> None:
        """End the process; decoders under way go on."""
        with self._guard:
            self._forget()

    def _forget(self) -> None:
        if self._line:
            self._line.close()
            self._line = None

    def _child(self, request: bytes) -> "_Child":
        end, answer = os.pipe()
        try:
            with self._guard:
                try:
                    pid = self._ask(request, answer)
                except OSError:  # it has died; once more, with a new one
                    self._forget()
                    pid = self._ask(request, answer)
        except BaseException:
            os.close(end)
            raise
        finally:
            os.close(answer)
        return _Child(pid, end)

    def _ask(self, request: bytes, answer: int) -> int:
        """The process id of the decoder that will write to `answer`."""
        if self._line is None:
            self._line = _start()
        socket.send_fds(self._line, [request], [answer])
        if not (told := self._line.recv(32)):
            raise BrokenPipeError
        return int(told)


class _Child:
    """A decoder, as `emojudge.decoding` knows its own."""

    def __init__(self, pid: int, end: int) -> None:
        self.stdout = os.fdopen(end, "rb", buffering=0)
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None  # it is done already

    def wait(self) -> int:
        """Its exit code is its parent's to know."""
        return 1

    def close(self) -> None:
        """End it."""
        self.stdout.close()
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)


def _start() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=Path(__file__).parents[2],
            env=ENVIRONMENT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that nothing is left of it when it ends
    return ours


def main(handle: int) -> None:
    """The process's whole life: import, and fork for each request until nobody asks any more."""
    import soundfile  # noqa: F401 (before files can no longer be opened)
    import soxr  # noqa: F401

    with suppress(ImportError):
        import av  # noqa: F401
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    line = socket.socket(fileno=handle)
    while True:
        request, answers, *_ = socket.recv_fds(line, 1 << 16, 1)
        if not request:
            return
        if (pid := os.fork()) == 0:
            line.close()
            os.dup2(answers[0], 1)
            os.close(answers[0])
            _decode(*json.loads(request))
        os.close(answers[0])
        line.send(str(pid).encode())


def _decode(path: str, name: str, limits: dict[str, Any]) -> None:
    try:
        decoding._confine(limits["processor"], limits["memory"])
        decoding._send(path, name, limits["max_seconds"], sys.stdout.buffer)
        os._exit(0)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))

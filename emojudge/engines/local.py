"""Processes on this machine, each with one thread; GPUs, where there are any, are taken in turn."""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from emojudge.progress import say
from emojudge.shards import Shard, Task, work


def run(task: Task, shards: Iterable[Shard], workers: int, gpus: float) -> Iterator[dict[str, Any]]:
    """Records as shards are done. A process that dies is replaced, and its shard done again.

    Args:
        task: what to do.
        shards: taken one by one, as processes become free.
        workers: how many processes.
        gpus: not needed here: every process sees all GPUs, and uses one.
    """
    left, again = iter(shards), deque[Shard]()
    busy: dict[Connection, _Process] = {}
    idle = [_Process(task, number) for number in range(workers)]
    try:
        while True:
            while idle and (shard := again.popleft() if again else next(left, None)):
                process = idle.pop()
                process.take(shard)
                busy[process.pipe] = process
            if not busy:
                return
            for pipe in wait(list(busy)):
                process = busy.pop(pipe)  # type: ignore[call-overload]
                try:
                    yield process.pipe.recv()
                except (EOFError, ConnectionError):
                    say(f"warning: a process ended while it did shard {process.shard.number}; another one takes it up")
                    again.append(process.shard)
                    process = _Process(task, process.number)
                idle.append(process)
    finally:
        for process in (*busy.values(), *idle):
            process.end()


class _Process:
    """One of them, started when it first gets something to do."""

    pipe: Connection
    shard: Shard

    def __init__(self, task: Task, number: int) -> None:
        self.task, self.number = task, number
        self.process: Any = None

    def take(self, shard: Shard) -> None:
        """Begin on `shard`."""
        if self.process is None:
            context = get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs, self.task, self.number), daemon=True)
            self.process.start()
            theirs.close()  # so that its end is seen here
        self.shard = shard
        self.pipe.send(shard)

    def end(self) -> None:
        """Stop it, whatever it does."""
        if self.process is not None:
            self.process.terminate()
            self.process.join()
            self.process.close()
            self.pipe.close()


def _serve(pipe: Connection, task: Task, number: int) -> None:
    """What the process does until nobody has anything for it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # KeyboardInterrupt: it was no recording's fault
    os.environ |= {"OMP_NUM_THREADS": "1", "LOCAL_RANK": str(number)}
    try:
        while True:
            pipe.send(work(task, pipe.recv()))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass

"""Ray Data (extra `ray`): a cluster where RAY_ADDRESS names one, else processes on this machine."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from itertools import islice
from typing import Any

from emojudge.errors import EmoJudgeError, MissingExtra
from emojudge.shards import Shard, Task, work

WINDOW = 1000
"""Shards that Ray is told of at a time, so that memory does not grow with their number."""
TRIES = 3
"""How often it is started: it gives up by itself after 30 s, which a busy machine may need."""
STORE = 100 * 2**20
"""Bytes of Ray's object store on this machine: only lists and records go through it."""


def run(task: Task, shards: Iterable[Shard], workers: int, gpus: float) -> Iterator[dict[str, Any]]:
    """Records as shards are done. Ray replaces an actor that dies, and has its shard done again.

    Args:
        task: what to do; its run and its output are folders that all machines see.
        shards: taken by the thousand.
        workers: how many actors, each with one core.
        gpus: GPUs of each actor, as Ray's num_gpus.

    Raises:
        MissingExtra: Ray is not installed.
        EmoJudgeError: it does not start.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        import ray.data
    except ImportError:
        raise MissingExtra("The engine ray", "ray") from None
    worker: Any = _Worker  # a class, of which each actor makes one
    left, told = iter(shards), json.dumps(asdict(task))
    window = list(islice(left, WINDOW))
    with _cluster(workers):
        while window:
            rows = [{"task": told, "shard": json.dumps(asdict(shard))} for shard in window]
            actors = ray.data.ActorPoolStrategy(size=min(workers, len(rows)), max_tasks_in_flight_per_actor=1)
            data = ray.data.from_items(rows, override_num_blocks=len(rows))
            done = iter(data.map(worker, compute=actors, num_cpus=1, num_gpus=gpus).iter_rows())
            while row := _next(done):
                yield json.loads(row["record"])
            window = list(islice(left, WINDOW))


def _next(rows: Iterator[Any]) -> Any:
    """The next one, None at the end; what Ray tells of dead processes goes to standard error, not among results."""
    with redirect_stdout(sys.stderr):
        return next(rows, None)


class _Worker:
    """An actor; the run stays open in its process from one shard to the next."""

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """Do one shard."""
        shard = json.loads(row["shard"])
        return {"record": json.dumps(work(Task(**json.loads(row["task"])), Shard(**shard)))}


@contextmanager
def _cluster(workers: int) -> Iterator[None]:
    """The cluster of RAY_ADDRESS, or one of this machine on loopback that ends with the job."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    own: dict[str, Any] = {"num_cpus": workers, "object_store_memory": STORE, "_node_ip_address": "127.0.0.1"}
    here = {} if os.environ.get("RAY_ADDRESS") else own
    for left in reversed(range(TRIES)):
        try:
            ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, **here)
            break
        except Exception as error:  # Ray has no class of its own for this
            if not left:
                raise EmoJudgeError(f"Ray did not start ({error}); check RAY_ADDRESS, or try a less busy machine.") from None
            ray.shutdown()
    try:
        yield
    finally:
        ray.shutdown()

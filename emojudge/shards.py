"""Recordings without number: their list is cut into shards, and each shard is done by some process, whole or not at all.

::

    OUTPUT/
      shards/shard-000000.jsonl …    one file for each shard
      shards.jsonl                   what is in each of them, and the digest of its bytes
      skipped.jsonl                  what could not be used, and why
      .work/000000.json              this shard is done; `000000.at` while it is not: which recording its process is at

Where every recording is to become files of its own, it is a shard of its own, and its files lie as `recordings` names them.

A process that dies leaves its `.at`. The one that takes up the shard sees by it which recording was being looked at, and leaves
that out once it has been the end of `DEATHS` processes. An engine (`emojudge/engines/`) only has to see that `work` is called
for every shard until it returns; results do not depend on which process does what, each having one thread.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from emojudge import recordings, registry, streams
from emojudge.errors import ConfigError, EmoJudgeError
from emojudge.progress import hushed, say
from emojudge.recordings import Job
from emojudge.storage import digest, file_digest, read_json, write_json, write_jsonl
from emojudge.timeline import Timeline

DEATHS = 2
"""Processes that a recording may end; then it is left out."""
TASK = ""
"""Stands in `.at` for work that is not on any recording."""


@dataclass(frozen=True)
class Task:
    """What is to be done with every recording: all that a process needs to know, also on another machine."""

    run: str
    output: str
    formats: tuple[str, ...] = ("jsonl",)
    changes: tuple[str, ...] = ()
    speakers: str = "off"
    size: int = 0
    """Recordings to one file of results; 0: each has its own."""
    again: bool = False

    def file(self, number: int, suffix: str) -> Path:
        """Of the work on a shard."""
        return self.work / f"{number:06d}.{suffix}"

    @property
    def work(self) -> Path:
        """Where work is recorded; apart for recordings with files of their own, which may lie beside shards."""
        return Path(self.output) / (".work" if self.size else ".each")


@dataclass(frozen=True)
class Shard:
    """Some recordings in a row; or one, and the name of its own files."""

    number: int
    paths: Sequence[str]
    name: str = ""

    def jobs(self, task: Task) -> list[Job]:
        """The recordings, and the files that they become by themselves, if any."""
        if self.name:
            return [recordings.job(Path(self.paths[0]), self.name, Path(task.output), task.formats)]
        return [Job(Path(path), {}) for path in self.paths]


Engine = Callable[[Task, Iterable[Shard], int, float], Iterator[dict[str, Any]]]
"""(task, shards, processes, GPUs for each) → what `work` returns, as it comes."""


def cut(task: Task, paths: Sequence[str | Path]) -> Iterator[Shard]:
    """Shards of everything in `paths` (see `emojudge.streams.each`); with `task.size`, one of them is in memory at a time.

    Raises:
        DataError: no recordings, or two would become one file.
    """
    if task.size:
        found, number = streams.each(paths), 0
        while some := [str(path) for path in islice(found, task.size)]:
            yield Shard(number, some)
            number += 1
    else:
        for number, (path, name) in enumerate(recordings.named(paths).items()):
            yield Shard(number, [str(path)], name)


def predict(
    task: Task, paths: Sequence[str | Path], engine: str, workers: int = 0, gpus: float = 0.0
) -> Iterator[dict[str, Any]]:
    """Do every shard that is not done, each in one of `workers` processes (0: as many as there are cores), and yield its record.

    Raises:
        UnknownName: no such engine or format.
        ConfigError: a format that cannot hold several recordings.
        EmoJudgeError: something that is no recording's fault; what is done by then is kept.
    """
    module, _ = registry.resolve("engines", engine)
    for name in task.formats:
        writer = registry.resolve("writers", name)[0]
        if task.size and (len(task.formats) > 1 or not hasattr(writer, "several")):
            raise ConfigError("A shard is written in one format: jsonl or parquet.")
    if not task.size:
        _clear(task, 0)
    count = 0

    def missing() -> Iterator[Shard]:
        nonlocal count
        for shard in cut(task, paths):
            count = shard.number + 1
            if task.again or not _done(task, shard):
                yield shard

    for record in module.run(task, missing(), workers or len(os.sched_getaffinity(0)), gpus):
        if "failed" in record:
            error = EmoJudgeError(record["failed"])
            error.exit_code = record["exit_code"]
            raise error
        if task.size:
            say(f"shard {record['shard']}: {record['recordings']} recordings, {record['seconds']:.0f} s of sound")
        yield record
    _clear(task, count)
    _finish(task)


def _key(task: Task, shard: Shard) -> str:
    """Changes with everything that the results hang on, but for the content of the recordings."""
    about = file_digest(Path(task.run) / "run.json")
    return digest([about, task.run, task.changes, task.speakers, task.formats, shard.paths])


def _done(task: Task, shard: Shard) -> bool:
    """Whether its files are there; a file of several recordings, also whether it is of these and of this run."""
    if shard.name:
        return shard.jobs(task)[0].done
    path = task.file(shard.number, "json")
    record = read_json(path) if path.exists() else {"key": ""}
    return record["key"] == _key(task, shard) and all((Path(task.output) / file).exists() for file in record["files"])


def _records(task: Task) -> list[Path]:
    return sorted(task.work.glob("*.json"), key=lambda path: int(path.stem))


def _clear(task: Task, count: int) -> None:
    """Delete what there is of shards beyond `count`: an earlier list was longer."""
    for path in _records(task)[::-1]:
        if int(path.stem) >= count:
            for file in read_json(path)["files"]:
                (Path(task.output) / file).unlink(missing_ok=True)
            path.unlink()


def _finish(task: Task) -> None:
    """Gather the records as shards.jsonl and skipped.jsonl, in the order of the list."""
    output = Path(task.output)
    for path in output.glob("shards/.*.part"):  # of processes that were killed
        path.unlink(missing_ok=True)
    if task.size:
        rows = map(read_json, _records(task))
        write_jsonl(output / "shards.jsonl", ({k: v for k, v in row.items() if k not in ("key", "skipped")} for row in rows))
    recordings.note(output, (pair for row in map(read_json, _records(task)) for pair in row["skipped"].items()))
    if not task.size:
        _clear(task, 0)
        with suppress(OSError):  # nothing was to be done, or marks of another list are there
            task.work.rmdir()


@dataclass
class Marks:
    """Which recording a process is at, on disk, so that the next one knows what its forerunner died of."""

    path: Path
    deaths: dict[str, int] = field(default_factory=dict)
    why: str = "it was killed, or crashed"

    def begin(self) -> None:
        """Count what the last one died of."""
        with suppress(FileNotFoundError, ValueError):
            left = json.loads(self.path.read_text(encoding="utf-8"))
            self.deaths = left["deaths"] | {left["at"]: left["deaths"].get(left["at"], 0) + 1}
        self.at(TASK)
        if self.deaths.get(TASK, 0) >= DEATHS:
            raise EmoJudgeError(f"Processes end before they look at a recording ({self.why}); try with fewer --workers.")

    def at(self, what: str) -> None:
        """From now on it is at this."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"at": what, "deaths": self.deaths}), encoding="utf-8")

    def deadly(self, what: str) -> str | None:
        """Why this recording is left out, if it is."""
        if self.deaths.get(what, 0) < DEATHS:
            return None
        return f"{what} ended {DEATHS} processes in turn ({self.why}); look at it by itself."


def work(task: Task, shard: Shard) -> dict[str, Any]:
    """Do one shard and return its record: this is what runs in every process, whatever the engine.

    It returns `failed`, a sentence, where something is wrong that is no recording's fault.
    """
    marks = Marks(task.file(shard.number, "at"))
    while True:
        try:
            marks.begin()
            return _attempt(task, shard, marks)
        except (EmoJudgeError, OSError, KeyboardInterrupt) as error:
            marks.path.unlink(missing_ok=True)
            if isinstance(error, KeyboardInterrupt):
                raise
            return {"failed": str(error), "exit_code": getattr(error, "exit_code", 2)}
        except Exception as error:  # as bad as a death: the recording is tried once more, then left out, and listed with this
            marks.why = f"{type(error).__name__}: {error}"


def _attempt(task: Task, shard: Shard, marks: Marks) -> dict[str, Any]:
    """All of it, from the start but for recordings whose own files are there; at last the record, which makes it done."""
    output, skipped = Path(task.output), dict[str, str]()
    record: dict[str, Any] = {"shard": shard.number, "files": [], "recordings": len(shard.paths), "segments": 0, "seconds": 0.0}
    found = _timelines(task, shard, marks, skipped, record)
    if task.size:
        writer, _ = registry.resolve("writers", task.formats[0])
        record["files"] = [f"shards/shard-{shard.number:06d}{writer.SUFFIX}"]
        with hushed():
            writer.several(found, output / record["files"][0])
        record["sha256"] = file_digest(output / record["files"][0])
    else:
        for _ in found:
            pass  # they are written one by one
    record |= {"seconds": round(record["seconds"], 3), "skipped": skipped, "key": _key(task, shard)}
    write_json(task.file(shard.number, "json"), record)
    marks.path.unlink(missing_ok=True)
    return record


def _timelines(task: Task, shard: Shard, marks: Marks, skipped: dict[str, str], record: dict[str, Any]) -> Iterator[Timeline]:
    judge = _opened(task.run, tuple(task.changes))
    for job in shard.jobs(task):
        path = str(job.path)
        if reason := marks.deadly(path):
            skipped[path] = reason
            continue
        marks.at(path)
        for _, told in recordings.predict([job], lambda path: judge.timeline(path, task.speakers), skipped, task.again):
            record["seconds"] += told.seconds
            record["segments"] += len(told.segments)
            yield told
    marks.at(TASK)


@lru_cache(maxsize=1)
def _opened(run: str, changes: tuple[str, ...]) -> Any:
    """The run, once for a process: on one thread, so that its sums are always the same, and on a GPU of its own."""
    import torch

    from emojudge.pipeline import EmoJudge

    torch.set_num_threads(1)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return EmoJudge.load(run, changes)

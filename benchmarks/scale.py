"""What a corpus costs: `emojudge predict @LIST --shard` on growing lists, by one worker and by two.

    python benchmarks/scale.py --run runs/demo --clips ../shared/data/ravdess [--counts 200,400,800] [--workers 1,2]
        [--engine local] [--price 0.0408] [--set …] [--bare]

The clips are listed in turn, every 37th first, so that many people speak. Seconds of processor count all processes, and hold on
a busy machine, where those on the clock do not. A rate is the slope between two lengths, so that starting is not in it;
hours and dollars are those of a million hours of sound at the rate of the longest two. `--bare` puts a judge that only looks
at a file's size in the place of the models, so that what is measured is the sharing out alone.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from emojudge import streams

BARE = """
from pathlib import Path
from emojudge import shards
from emojudge.timeline import Segment, Timeline

def timeline(path, speakers):
    scores = {"emotions": {"Happy": 0.75, "Sad": 0.25}}
    return Timeline(path.name, path.stat().st_size / 32000, [Segment(0.0, 1.0, scores=scores, alone=scores)], path=str(path))

shards._opened = lambda run, changes: type("Judge", (), {"timeline": staticmethod(timeline)})
"""
"""A sitecustomize.py, which Python runs in every process."""


class Cost(NamedTuple):
    """Of one job."""

    sound: float
    cpu: float
    clock: float
    peak: float


def main(
    run: Path = Path("runs/demo"),
    clips: Path = Path("runs/corpora/synthetic/wav"),
    counts: str = "200,400,800",
    workers: str = "1,2",
    engine: str = "local",
    price: Annotated[float, typer.Option(help="Dollars for a core and hour.")] = 0.0408,
    set: Annotated[list[str] | None, typer.Option()] = None,
    bare: bool = False,
) -> None:
    """Print a row for each job, and what a million hours take."""
    files = streams.find([clips])
    files = [file for start in range(37) for file in files[start::37]]
    options = [f"--run={run}", f"--engine={engine}", *(f"--set={change}" for change in set or ())]
    print("| workers | clips | seconds of sound | seconds of processor | on the clock | largest process, MiB |")
    print("|---|---|---|---|---|---|")
    for many in map(int, workers.split(",")):
        costs = []
        for count in map(int, counts.split(",")):
            costs.append(cost(list(itertools.islice(itertools.cycle(files), count)), [*options, f"--workers={many}"], bare))
            sound, cpu, clock, peak = costs[-1]
            print(f"| {many} | {count} | {sound:.0f} | {cpu:.0f} | {clock:.0f} | {peak:.0f} |", flush=True)
        if len(costs) < 2 or costs[-1].cpu <= costs[-2].cpu:
            continue
        before, last = costs[-2:]
        rate = (last.sound - before.sound) / (last.cpu - before.cpu)
        hours = 1e6 / rate
        print(f"{many} workers: {rate:.1f} s of sound a second of one core; 10^6 hours of sound take {hours:,.0f} core-hours,")
        print(f"{hours / 1000:,.0f} hours of 1,000 cores, {hours * price:,.0f} dollars at {price} a core-hour", flush=True)


def cost(files: list[Path], options: list[str], bare: bool) -> Cost:
    """The verb in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        listed, out = Path(folder) / "list.txt", Path(folder) / "out"
        listed.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        command = [sys.executable, "-m", "emojudge", "predict", f"@{listed}", "--output", str(out), "--shard", "50", *options]
        (Path(folder) / "sitecustomize.py").write_text(BARE if bare else "", encoding="utf-8")
        path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        started = time.monotonic()
        child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
        )
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        clock = time.monotonic() - started
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} left with {child.returncode}: {said[-500:]}")
        rows = map(json.loads, (out / "shards.jsonl").read_text(encoding="utf-8").splitlines())
        return Cost(sum(row["seconds"] for row in rows), used.ru_utime + used.ru_stime, clock, used.ru_maxrss / 1024)


if __name__ == "__main__":
    typer.run(main)

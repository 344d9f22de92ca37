"""How fast long recordings are, and that memory does not grow with them: `emojudge predict` on 10 and on 60 minutes of clips.

    python benchmarks/recordings.py --run runs/demo --clips ../shared/data/ravdess [--minutes 10 --minutes 60] [--set …]

The recordings are made of the clips, in turn, with two seconds of silence between, in a temporary folder. CPU seconds count
all threads, and hold on a busy machine, too.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer

from emojudge import audio, streams


def main(
    run: Path = Path("runs/demo"),
    clips: Path = Path("runs/corpora/synthetic/wav"),
    minutes: Annotated[list[int] | None, typer.Option()] = None,
    set: Annotated[list[str] | None, typer.Option()] = None,
) -> None:
    """Print a row for each length."""
    if not (run / "run.json").exists() or not clips.exists():
        print(f"{run} or {clips} is not there; make demo makes both.")
        return
    print("| minutes | segments | CPU seconds a second of sound | seconds on the clock | peak memory, MiB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for length in minutes or (10, 60):
            file = build(Path(folder) / f"{length}.flac", streams.find([clips]), length)
            print(measure(file, length, run, [f"--set={change}" for change in set or ()]), flush=True)
            file.unlink()


def build(file: Path, clips: list[Path], minutes: float) -> Path:
    """A recording of so many minutes, written clip by clip; every 37th clip, so that many people speak."""
    left = round(minutes * 60 * audio.SAMPLE_RATE)
    with soundfile.SoundFile(file, "w", audio.SAMPLE_RATE, 1) as out:
        for clip in itertools.cycle(clips[::37]):
            samples = np.concatenate([audio.read(clip), np.zeros(2 * audio.SAMPLE_RATE, np.float32)])[:left]
            out.write(samples)
            left -= len(samples)
            if not left:
                return file
    raise AssertionError("cycle does not end")


def measure(file: Path, minutes: int, run: Path, options: list[str]) -> str:
    """The verb in a process of its own, as a row of the table."""
    output = file.parent / "out"
    command = [sys.executable, "-m", "emojudge", "predict", str(file), "--run", str(run), "--output", str(output), *options]
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} left with {child.returncode}")
    segments = (output / f"{file.stem}.jsonl").read_text(encoding="utf-8").count("\n")
    share = (used.ru_utime + used.ru_stime) / (60 * minutes)
    return f"| {minutes} | {segments} | {share:.3f} | {time.monotonic() - started:.0f} | {used.ru_maxrss / 1024:.0f} |"


if __name__ == "__main__":
    typer.run(main)

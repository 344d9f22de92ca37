"""How late `EmoJudge.stream` is: clips played to it in real time, as a microphone would hand them over.

    python benchmarks/live.py --run runs/demo --clips ../shared/data/ravdess [--minutes 2] [--set 'modalities=["audio"]']

Two minutes take two minutes. What comes in while a model computes is handed over as one chunk, as `emojudge listen` does.
"Stated" is the event's own `latency`; "by the clock" is when the event came, less when its last sound was played.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import torch
import typer
from recordings import build

from emojudge import EmoJudge, streams
from emojudge.audio import SAMPLE_RATE
from emojudge.live import CHUNK_SECONDS, Event


def main(
    run: Path = Path("runs/demo"),
    clips: Path = Path("runs/corpora/synthetic/wav"),
    minutes: float = 2.0,
    set: Annotated[list[str] | None, typer.Option()] = None,
) -> None:
    """Print a row for windows, and one for segments."""
    if not (run / "run.json").exists() or not clips.exists():
        print(f"{run} or {clips} is not there; make demo makes both.")
        return
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    judge = EmoJudge.load(run, set or [])
    with tempfile.TemporaryDirectory() as folder:
        samples, _ = soundfile.read(build(Path(folder) / "live.flac", streams.find([clips]), minutes), dtype="float32")
    for _ in judge.stream([samples[: 6 * SAMPLE_RATE]]):
        pass  # opens the models
    found, late = heard(judge, samples)
    print(f"{minutes:g} minutes, {torch.get_num_threads()} thread(s), load {os.getloadavg()[0]:.1f}")
    print("| event | number | stated, median | 95 % | by the clock, median | 95 % |")
    print("|---|---|---|---|---|---|")
    for kind in ("window", "segment"):
        pairs = [(event.latency, after) for event, after in zip(found, late, strict=True) if event.kind == kind]
        cells = [f"{np.percentile(column, share):.2f} s" for column in zip(*pairs, strict=True) for share in (50, 95)]
        print(f"| {kind} | {len(pairs)} | {' | '.join(cells)} |", flush=True)


def heard(judge: EmoJudge, samples: np.ndarray) -> tuple[list[Event], list[float]]:
    """The events of `samples`, (samples,) at 16 kHz, and how late each was by the clock, in seconds."""
    found, late, started = [], [], time.monotonic()
    for event in judge.stream(played(samples, started)):
        found.append(event)
        late.append(time.monotonic() - started - event.segment.end)
    return found, late


def played(samples: np.ndarray, started: float) -> Iterator[np.ndarray]:
    """Chunks, none before its last sample has been played; what waits is one chunk."""
    chunk, done = round(CHUNK_SECONDS * SAMPLE_RATE), 0
    while done < len(samples):
        time.sleep(max(0.0, started + min(done + chunk, len(samples)) / SAMPLE_RATE - time.monotonic()))
        now = max(min(done + chunk, len(samples)), int((time.monotonic() - started) * SAMPLE_RATE) // chunk * chunk)
        yield samples[done:now]
        done = min(now, len(samples))


if __name__ == "__main__":
    typer.run(main)

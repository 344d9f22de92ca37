"""`prepare` of a made-up corpus of 100,000 recordings: seconds, seconds of processor, and memory, step by step.

Every recording is a file of its own with a sound of its own (but for one pair), in 200 lengths, so that files of one
size abound. All of it is in the page cache: on a slow disk, headers take what the disk takes.

python benchmarks/prepare.py --rows 100000
"""

import argparse
import csv
import resource
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emojudge import checks, inspection, manifest
from emojudge.config import load_config
from emojudge.experiment import Experiment
from emojudge.settings import DataSettings
from emojudge.storage import read_json
from emojudge.types import EMOTIONS


def corpus(folder: Path, rows: int) -> Path:
    """A table of `rows` utterances by 1,000 speakers, with transcripts and votes, and its recordings."""
    table = folder / "manifest.csv"
    with table.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["audio", "text", "speaker", "gender", "split", "emotion", "valence", "arousal", "dominance", "votes"])
        for n in range(rows):
            path = folder / f"{n % 100:02d}" / f"clip_{n:06d}.wav"
            path.parent.mkdir(exist_ok=True)
            record(path, 0 if n == 200 else n, 2000 + 4 * (n % 200))
            label, speaker = EMOTIONS[n % 8], n % 1000
            split = "test" if speaker < 100 else "dev" if speaker < 300 else "train"
            votes = f'{{"{label}": 3, "{EMOTIONS[n % 7]}": 2}}'
            writer.writerow([path.relative_to(folder), "Well.", f"s{speaker}", "F", split, label, 4.2, 3.9, 4.4, votes])
    return table


def record(path: Path, number: int, frames: int) -> None:
    """Some 0.5 s, small (8 bits at 4 kHz), that hold `number`."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(4000)
        out.writeframes(number.to_bytes(4, "little") * (frames // 4))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Prints what was done in the `with`, how long it took, and the process's greatest memory until then."""
    wall, cpu = time.monotonic(), time.process_time()
    yield
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name}: {wall:.1f} s ({cpu:.1f} s of processor), at most {peak:.0f} MB", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=100_000)
    rows = options.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with step(f"make {rows:,} recordings"):
            table = corpus(folder, rows)
        settings = DataSettings(corpus=f"table:{table}")
        with step("read the rows"):
            utterances = manifest.read(settings)
        with step("headers"):
            files = checks.look(utterances)
        with step("files with the same bytes"):
            pairs = inspection.twins(files)
        with step("everything else that is checked"):
            found = checks.check(utterances, settings, files)
        print(f"found: {len(pairs)} pair; {'; '.join(found.errors + found.warnings)}")
        del utterances, files, pairs, found
        with step("prepare, all of it"):
            Experiment(load_config(changes=[f"data.corpus=table:{table}"]), folder / "run").prepare()
        with step("prepare again, nothing changed"):
            Experiment(load_config(changes=[f"data.corpus=table:{table}"]), folder / "run").prepare()
        if read_json(folder / "run" / "run.json")["utterances"] != rows:
            raise SystemExit("the manifest is not whole")


if __name__ == "__main__":
    main()

"""A ledger of a million answers: seconds and memory to fill it, to look up every key, and to read every answer.

python benchmarks/ledger.py --rows 1000000
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from emojudge.answers import Reply
from emojudge.ledger import Ledger
from emojudge.prompts import Prompt, build
from emojudge.settings import JudgeSettings
from emojudge.storage import digest
from emojudge.types import Cues, Verdict

LABELS = ("Angry", "Happy", "Sad", "Neutral")
SHARD = 10_000


@dataclass(frozen=True)
class Step:
    """What was done, how often a second, and the process's greatest memory until then."""

    name: str
    rows: int
    seconds: float
    megabytes: float


def memory() -> float:
    """The greatest so far, MB (Linux counts in kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def keys(rows: int) -> Iterator[str]:
    return (digest(n) for n in range(rows))


def fill(ledger: Ledger, prompt: Prompt, rows: int) -> None:
    """Intents and answers, shard by shard, as a run writes them."""
    left = keys(rows)
    while shard := list(islice(left, SHARD)):
        ledger.intend(dict.fromkeys(shard, prompt), "openai:x")
        ledger.record(*(Reply(Verdict("clip", "Sad", {}, 0.9, "Because.", "openai:x", key), "x", 900, 60) for key in shard))


def measure(rows: int, path: Path) -> Iterator[Step]:
    """Each step as it is done."""
    prompt = build("clip", "Hi.", Cues("clip", 1.0), shown="Sad", labels=LABELS, settings=JudgeSettings())
    with Ledger(path) as ledger:
        for name, work in {
            "fill": lambda: fill(ledger, prompt, rows),
            "find every key": lambda: sum(ledger.find(key) is not None for key in keys(rows)),
            "read every answer": lambda: sum(1 for _ in ledger.verdicts()),
            "totals and tokens used": lambda: (ledger.totals(), ledger.used()),
        }.items():
            begun = time.monotonic()
            found = work()
            if isinstance(found, int) and found != rows:
                raise SystemExit(f"{name}: {found} of {rows}")
            yield Step(name, rows, time.monotonic() - begun, memory())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    rows = options.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        print(f"before: {memory():.0f} MB")
        for step in measure(rows, Path(folder) / "ledger.sqlite"):
            rate = step.rows / step.seconds
            print(f"{step.name}: {step.seconds:.1f} s, {rate:,.0f} rows a second, at most {step.megabytes:.0f} MB", flush=True)


if __name__ == "__main__":
    main()

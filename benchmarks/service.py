"""Many requests to the test double: how many a second, and this process's memory, one at a time and in batches.

    python benchmarks/service.py --requests 100000

The test double is a process of its own, so its memory is not counted; it answers at once, so this is the client's speed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emojudge.judging import judge, open_judge
from emojudge.prompts import Prompt, build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues

LABELS = ("Angry", "Happy", "Sad", "Neutral")
JUDGES = ("openai:gpt-4o", "openai_batch:gpt-4o")
SERVER = "from emojudge.devserver import DevServer\nprint(DevServer().url, flush=True)\ninput()"


@contextmanager
def server() -> Iterator[str]:
    """A test double in a process of its own; its address."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip() if process.stdout else ""
    finally:
        process.communicate("\n")


def questions(count: int, settings: JudgeSettings) -> Iterator[Prompt]:
    """Different ones, made when they are wanted."""
    for n in range(count):
        yield build(str(n), f"Line {n}.", Cues("clip", 1.0), shown="Sad", labels=LABELS, settings=settings)


def measure(name: str, count: int, url: str, ledger: Path) -> str:
    """Ask `count` questions; a line about it.

    Raises:
        SystemExit: an answer is missing.
    """
    settings = JudgeSettings(judge=name, base_url=url, poll_seconds=0.01, batch_size=10_000)
    begun, worked = time.monotonic(), time.process_time()
    answered = sum(v.outcome == "ok" for v in judge(questions(count, settings), open_judge(settings), ledger))
    if answered != count:
        raise SystemExit(f"{name}: {answered} of {count}")
    seconds, worked = time.monotonic() - begun, time.process_time() - worked
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rates = f"{count / seconds:,.0f} a second, {count / worked:,.0f} a second of one core's time"
    return f"{name}: {count:,} requests in {seconds:.0f} s, {rates}, at most {memory:.0f} MB"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=2000)
    count = options.parse_args().requests
    with server() as url, tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(JUDGES):
            print(measure(name, count, url, Path(folder) / f"{number}.sqlite"), flush=True)


if __name__ == "__main__":
    main()

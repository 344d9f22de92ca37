"""`make bench`: every benchmark of the list, one after the other, into docs/performance.md; under 20 minutes on two cores.

    python benchmarks [--only encode,cues] [--run runs/demo] [--data ../shared/data/ravdess]

With `--only`, the others keep what the page has of them. Long studies (injection, judge_composite, transcripts, bundle,
cross_corpus, fuzz, soak) are not of the list.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import HEADER, RULE, Row

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
ROWS = ("encode", "encode_wavlm", "train_head", "cues", "start", "judge_client", "judge_local", "bootstrap")
"""Those that print rows of one shape."""
VOICE = '--set=modalities=["audio"]'
"""Without words, which take ten times as long."""
OTHERS = {
    "scale": ("--counts=100,200", "--workers=1,2", VOICE),
    "serve": ("--words", "--requests=128", "--clients=1", "--clients=8", "--clients=32"),
    "runtimes": ("--clips=60",),
    "recordings": ("--minutes=4", "--minutes=8", VOICE),
    "live": ("--minutes=1", VOICE),
    "ledger": ("--rows=50000",),
    "service": ("--requests=500",),
    "prepare": ("--rows=5000",),
}
"""Those that print tables and lines of their own, and how small they are asked to be."""
WHY = {
    "encode": "By profile (`python benchmarks/encode.py --profile`, 2026-11-28) the bound's own products are 78 % of the time, "
    "attention 7, sums and copies 6, GELU 2; the rest reads, checks and writes.",
    "encode_wavlm": "A clip at a time pads nothing and multiplies as much as ours, so even the bound is only 1.5 (base) and 1.3 "
    "(large) times as fast as it: in float32 that must is out of reach; it holds in bfloat16, and beside padded batches in both. "
    "By profile (`--profile`, base-size, 2026-11-28) linear layers are 50 % and convolutions 34 %; the latter run below the rate "
    "of plain products, which is most of the gap to the bound.",
    "train_head": "The loop takes less than five times the seconds of the bare products: with the same numbers nothing can be "
    "five times as fast as it here. By profile (`--profile`, 2026-11-28) products are 66 % of ours, squares 7, tanh 4, AdamW 3.",
    "judge_client": "The loop names what it sends, as the package's documentation does, and each part of it is then compared "
    "with the package's types: 4 of its 5.5 ms. Ours sends the body as it is (`extra_body`), with ledger, check and all.",
    "serve": "From 32 clients micro-batching brings 1.6 times as many clips in float32: what is left is Whisper's arithmetic, "
    "which no batch saves on a processor. With encoders in bfloat16 it is 2.4 times the same handler, as much by the format "
    "as by batches.",
}
"""What explains a must or aim that is missed."""
WHERE = {"encode": ("data",)} | dict.fromkeys(("start", "scale", "serve", "runtimes", "recordings", "live"), ("run",))
UNMEASURED = "Not measured here yet."
INTRODUCTION = """<!-- Made by `make bench` (benchmarks/__main__.py); the text is there. -->

# How fast it is

Each system works in a process of its own, and they take turns. "× ours" is a system's seconds over ours in the same turn: the
median, and between brackets the least and the greatest. So above 1 ours is faster; for a bound or a goal it is the share of ours
that they are. "processor" counts all threads, and is what ratios are taken of, for it holds better on a busy machine than the
clock, which counts where people wait (`--help`, `say`) and in rows called "by the clock". A "must" that is missed says no. Every
benchmark draws with seed 0; the load is the number of tasks that wanted a core when it began.
"""


def answer(name: str, options: list[str]) -> str:
    """The section of one benchmark: its rows, or what it printed; and when, on what, under which load, and how long it took."""
    words = [f"benchmarks/{name}.py", *options]
    load, begun = os.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        extra = ["--json", str(file)] if name in ROWS else []
        done = subprocess.run([sys.executable, *words, *extra], check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        table = [HEADER, RULE, *map(str, kept(file))] if file.exists() else []
    said = [line for line in done.stdout.splitlines() if line.strip()]
    lines = table + ([line for line in said if not line.startswith("|")] if table else tabled(said))
    if done.returncode:
        lines.append(f"It left with {done.returncode}.")
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    about = f"{datetime.date.today()}, {processor()}, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}, load {load:.1f}"
    head = f"`python {shlex.join(words)}`: {about}, {time.monotonic() - begun:.0f} s\n"
    return "\n".join([head, *spaced(lines), *([f"\n{WHY[name]}"] if name in WHY else [])]) + "\n"


def kept(file: Path) -> list[Row]:
    return [Row(**row | {"times": tuple(row["times"]) if row["times"] else None}) for row in json.loads(file.read_text("utf-8"))]


def tabled(lines: list[str]) -> list[str]:
    """Plain lines as a list, tables as they are."""
    return [line if line.startswith("|") else f"- {line}" for line in lines]


def spaced(lines: list[str]) -> list[str]:
    """An empty line wherever a table begins or ends."""
    out: list[str] = []
    for line in lines:
        if out and out[-1].startswith("|") != line.startswith("|"):
            out.append("")
        out.append(line)
    return out


def processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def sections(page: str) -> dict[str, str]:
    """What a page has by benchmark."""
    return dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE))


def write(found: Mapping[str, str]) -> None:
    parts = [f"## {name}\n\n{found.get(name, UNMEASURED).strip()}\n" for name in (*ROWS, *OTHERS)]
    PAGE.write_text("\n".join([INTRODUCTION, *parts]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="some of the list, by commas")
    parser.add_argument("--run", default="runs/demo")
    parser.add_argument("--data", default="../shared/data/ravdess")
    asked = parser.parse_args()
    found = sections(PAGE.read_text("utf-8")) if PAGE.exists() else {}
    for name in asked.only.split(",") if asked.only else (*ROWS, *OTHERS):
        places = [f"--{place}={getattr(asked, place)}" for place in WHERE.get(name, ())]
        found[name] = answer(name, [*OTHERS.get(name, ()), *places])
        print(f"{name}: {found[name]}", flush=True)
        write(found)


if __name__ == "__main__":
    main()

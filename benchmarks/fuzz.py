"""Feed every reader of outside bytes with mutated inputs for a while, and print how many were tried: `make fuzz`.

    python benchmarks/fuzz.py [--seconds 60] [--only sniffer,tensors] [--record]

With atheris (pip install atheris; it needs no project of ours) inputs are chosen by coverage; without it they are the edits that
tests/test_fuzz.py draws. `--record` keeps the figures in docs/fuzz.json, from which docs/reliability.md is made.
"""

import argparse
import datetime
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


@contextmanager
def hushed():
    """Decoders in C write what they think of each input to standard error, a line or five an input."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def draws(target, seeds, seconds):
    """Random edits until the time is up; how many inputs."""
    from tests.test_fuzz import edited

    rng, count, end = random.Random(0), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        edits = []
        for _ in range(rng.randint(0, 6)):
            kind = rng.choice(("flip", "cut", "put", "again"))
            how = rng.randbytes(rng.randint(0, 24)) if kind == "put" else rng.randint(1, 200)
            edits.append((kind, rng.randint(0, 1 << 16), how))
        data = edited(rng.choice(seeds), edits)
        try:
            with hushed():
                target(data)
        except BaseException:
            print(f"failed on {data!r}")
            raise
        count += 1
    return count


def guided(name, seconds):
    """atheris in a process of its own; how many inputs."""
    from tests.fuzz_targets import MEMORY

    command = [sys.executable, __file__, "--guided", name, "--seconds", str(seconds)]
    with tempfile.TemporaryDirectory(prefix="emojudge-fuzz-", dir=MEMORY) as folder:  # atheris ends without tidying up
        env = os.environ | {"TMPDIR": folder}
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, errors="replace", env=env)
        counts = re.findall(r"^#(\d+)\s", done.stderr, re.MULTILINE) + re.findall(r"Done (\d+) runs", done.stderr)
        if done.returncode:
            inputs = [path.read_bytes() for path in Path(folder).glob("*-*") if path.is_file()]
            sys.exit(f"{name} failed on {inputs}:\n{done.stdout[-3000:]}\n{done.stderr[-500:]}")
    return max(map(int, counts))


def guide(name, seconds):
    """The child of `guided`: never returns."""
    import atheris

    with atheris.instrument_imports(include=["emojudge"]):
        from tests.fuzz_targets import TARGETS
    target, seeds = TARGETS[name]
    folder = Path(tempfile.mkdtemp())  # within the parent's
    for number, seed in enumerate(seeds):
        (folder / str(number)).write_bytes(seed)
    how = [f"-max_total_time={seconds:.0f}", "-max_len=8192", "-rss_limit_mb=3000", f"-artifact_prefix={tempfile.gettempdir()}/"]
    atheris.Setup([sys.argv[0], *how, str(folder)], target)
    atheris.Fuzz()


def main():
    """One line a target."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--only", default="")
    options.add_argument("--record", action="store_true")
    options.add_argument("--guided")
    told = options.parse_args()
    if told.guided:
        guide(told.guided, told.seconds)
    try:
        import atheris  # noqa: F401

        engine = "atheris"
    except ImportError:
        engine = "random edits"
    from tests.fuzz_targets import TARGETS

    rows = {}
    for name, (target, seeds) in TARGETS.items():
        if told.only and name not in told.only.split(","):
            continue
        rows[name] = guided(name, told.seconds) if engine == "atheris" else draws(target, seeds, told.seconds)
        print(f"{name:12} {rows[name]:9,} inputs in {told.seconds:.0f} s by {engine}: nothing found", flush=True)
    print(f"{'all':12} {sum(rows.values()):9,} inputs")
    if told.record:
        path = ROOT / "docs" / "fuzz.json"
        kept = json.loads(path.read_text()) if path.exists() else {"inputs": {}}
        kept |= {"date": str(datetime.date.today()), "engine": engine, "seconds": told.seconds, "inputs": kept["inputs"] | rows}
        path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()

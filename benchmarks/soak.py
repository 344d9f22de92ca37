"""Long work, watched: memory, open files and children after a tenth of it and at its end. `make soak`.

    python benchmarks/soak.py [--clips 10000] [--requests 1000] [--answers 100000] [--isolated 1000] [--record]

10,000 clips through `predict`, 1,000 requests to `serve`, 100,000 answers through the ledger, 1,000 recordings through the
decoder's child. The models are tiny and their numbers mean nothing. `--record` keeps the figures in docs/soak.json, from which
docs/reliability.md is made.
"""

import argparse
import datetime
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def state(process):
    """MB resident, open files, children (zombies among them)."""
    home = Path("/proc", str(process))
    resident = int((home / "status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
    children = sum(len((task / "children").read_text().split()) for task in (home / "task").iterdir())
    return resident, len(list((home / "fd").iterdir())), children


def watched(what, count, steps):
    """Do `count` of `steps`, each of which names the process that did it; the row of the table."""
    begun, early = time.monotonic(), None
    for done, process in enumerate(steps, 1):
        if done == max(1, count // 10):
            early = state(process)
        if done == count:
            time.sleep(1)  # a child that has answered takes a moment to leave
            late = state(process)
    row = {"what": what, "done": done, "seconds": round(time.monotonic() - begun, 1)}
    row |= {"mb_early": round(early[0], 1), "mb_late": round(late[0], 1), "files_early": early[1], "files_late": late[1]}
    row["children"] = late[2]
    print(json.dumps(row), flush=True)
    return row


def spoken(folder):
    """Twenty recordings, each of its own length."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    for number in range(20):
        time_ = np.arange(8000 + 400 * number) / 16000
        sound = 0.3 * (1 + np.sin(2 * np.pi * 4 * time_)) / 2 * rng.normal(0, 0.3, len(time_))
        soundfile.write(folder / f"{number}.wav", sound, 16000)


def predicted(folder, count):
    """Recordings through a run's `predict`."""
    from emojudge import EmoJudge, recordings

    judge = EmoJudge.load(trained(folder), ["recordings.activity=energy"])
    for number in range(count):
        out = {"jsonl": folder / "out" / f"{number}.jsonl"}
        job = recordings.Job(folder / f"{number % 20}.wav", out)
        skipped = {}
        yield from ("self" for _ in recordings.predict([job], judge.timeline, skipped))
        assert not skipped


def trained(folder):
    """A tiny run."""
    from emojudge import tiny

    if not (folder / "run").exists():
        os.environ["EMOJUDGE_CACHE"] = str(folder / "cache")
        with tiny.experiment(None, ['modalities=["audio"]', "judge.judge=none", "data.limit=1"], folder / "run") as work:
            work.everything()
    return folder / "run"


def served(folder, count):
    """Requests to a server of its own, from eight clients; its children are those that decode."""
    from serve import LIMITS, ask, form, serving

    changes = [f"--set={change}" for change in (*LIMITS, "recordings.activity=energy")]
    with serving(
        [sys.executable, "-m", "emojudge", "serve", str(trained(folder)), "--no-page", "--port", "0", *changes]
    ) as server:
        process, port = server
        bodies = [form((folder / f"{number}.wav").read_bytes(), words=False) for number in range(20)]
        for _ in range(0, count, 100):
            ask(port, 8, 100, bodies)
            yield from itertools.repeat(process, 100)


def answered(folder, count):
    """Requests and answers through the ledger, each asked for once more."""
    from emojudge.answers import Reply
    from emojudge.ledger import Ledger
    from emojudge.prompts import build
    from emojudge.settings import JudgeSettings
    from emojudge.storage import digest
    from emojudge.types import Cues, Verdict

    asked = build("clip", "Hi.", Cues("a", 1.0), shown="Sad", labels=("Sad", "Happy"), settings=JudgeSettings())
    with Ledger(folder / "ledger.sqlite") as ledger:
        for start in range(0, count, 100):
            keys = [digest(number) for number in range(start, start + 100)]
            ledger.intend(dict.fromkeys(keys, asked), "soak")
            ledger.record(*(Reply(Verdict("clip", "Sad", {"Sad": 1.0}, 0.9, "", "soak", key)) for key in keys))
            assert all(ledger.find(key).label == "Sad" for key in keys)
            yield from itertools.repeat("self", 100)


def isolated(folder, count):
    """Recordings through the decoder's child; every tenth is broken."""
    from emojudge import decoding
    from emojudge.errors import AudioError

    (folder / "broken.wav").write_bytes(b"RIFF")
    for number in range(count):
        try:
            decoding.decode(folder / ("broken.wav" if number % 10 == 9 else f"{number % 20}.wav"))
        except AudioError:
            assert number % 10 == 9
        yield "self"


def main():
    """Each kind of work, one line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--clips", type=int, default=10_000)
    options.add_argument("--requests", type=int, default=1_000)
    options.add_argument("--answers", type=int, default=100_000)
    options.add_argument("--isolated", type=int, default=1_000)
    options.add_argument("--record", action="store_true")
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spoken(folder)
        work = {
            "clips through `predict`": (told.clips, predicted),
            "requests to `serve`, whose one child decodes": (told.requests, served),
            "answers through the ledger": (told.answers, answered),
            "recordings through the decoder's child": (told.isolated, isolated),
        }
        rows = [watched(what, count, steps(folder, count)) for what, (count, steps) in work.items() if count]
    if told.record:
        kept = {"date": str(datetime.date.today()), "rows": rows}
        (ROOT / "docs" / "soak.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

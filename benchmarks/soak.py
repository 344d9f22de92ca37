"""Long work, watched: memory, open files and children after a tenth of it and at its end. `make soak`.

    python benchmarks/soak.py [--clips 10000] [--answers 100000] [--isolated 1000] [--record]

10,000 clips through `predict`, 100,000 answers through the ledger, 1,000 recordings through the decoder's child. Requests through
`serve` are those of benchmarks/serve.py. The models are tiny and their numbers mean nothing. `--record` keeps the figures in
docs/soak.json, from which docs/reliability.md is made.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def state():
    """MB resident, open files, children (zombies among them)."""
    status = Path("/proc/self/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    children = sum(len(Path(f"/proc/self/task/{task}/children").read_text().split()) for task in _entries("task"))
    return resident, len(_entries("fd")), children


def _entries(name):
    return [path.name for path in Path("/proc/self", name).iterdir()]


def watched(what, count, steps):
    """Do `count` of `steps`; the row of the table."""
    begun, early = time.monotonic(), None
    for done, _ in enumerate(steps, 1):
        if done == max(1, count // 10):
            early = state()
    late = state()
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
    from emojudge import EmoJudge, recordings, tiny

    os.environ["EMOJUDGE_CACHE"] = str(folder / "cache")
    with tiny.experiment(None, ['modalities=["audio"]', "judge.judge=none", "data.limit=1"], folder / "run") as work:
        work.everything()
    judge = EmoJudge.load(folder / "run", ["recordings.activity=energy"])
    for number in range(count):
        out = {"jsonl": folder / "out" / f"{number}.jsonl"}
        job = recordings.Job(folder / f"{number % 20}.wav", out)
        skipped = {}
        yield from recordings.predict([job], judge.timeline, skipped)
        assert not skipped


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
            yield from (ledger.find(key).label for key in keys)


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
        yield


def main():
    """Each kind of work, one line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--clips", type=int, default=10_000)
    options.add_argument("--answers", type=int, default=100_000)
    options.add_argument("--isolated", type=int, default=1_000)
    options.add_argument("--record", action="store_true")
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spoken(folder)
        work = {
            "clips through `predict`": (told.clips, predicted),
            "answers through the ledger": (told.answers, answered),
            "recordings through the decoder's child": (told.isolated, isolated),
        }
        rows = [watched(what, count, steps(folder, count)) for what, (count, steps) in work.items() if count]
    if told.record:
        kept = {"date": str(datetime.date.today()), "rows": rows}
        (ROOT / "docs" / "soak.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

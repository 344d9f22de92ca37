"""Kill a run at its writes and let it go on: `python -m tests.crashing_run FOLDER`, prints a JSON line a process.

The first process dies at its first write, the next one at its ninth, and so on, each going on from what the last one left, until
one has fewer writes to do (with 1 as the second argument: at its first, second, third …). Every other one dies before the rename
that makes a file count, the rest after it. Beside them, an undisturbed run says what the end must be.
"""

import json
import os
import signal
import sys
from pathlib import Path

from emojudge import tiny
from tests.crashes import forked

CHANGES = ["judge.judge=none", 'tasks=["emotions"]', 'modalities=["audio"]', "audio.train=none", "data.limit=1"]


class Killer:
    """Dies at the write with the number `last`: after its rename, or before it."""

    def __init__(self, last, before):
        self.left, self.before, self.replace = last, before, Path.replace

    def watch(self):
        def replace(path, target):
            self.left -= path.suffix == ".part"
            if self.left == 0 and self.before:
                os.kill(os.getpid(), signal.SIGKILL)
            found = self.replace(path, target)
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        Path.replace = replace


def run(folder):
    with tiny.experiment(None, CHANGES, folder) as work:
        for stage in (work.prepare, lambda: work.train("audio"), lambda: work.predict("audio"), work.evaluate):
            stage()


def main(root, stride=8):
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        step += 1

        def doomed(out, step=step):
            Killer(1 + stride * (step - 1), step % 2 == 1).watch()
            run(root / "killed")

        code, said = forked(doomed)
        print(json.dumps({"step": step, "code": code, "said": said}), flush=True)
    code, said = forked(lambda out: run(root / "whole"))
    print(json.dumps({"step": 0, "code": code, "said": said}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))

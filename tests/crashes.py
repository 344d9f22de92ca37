"""Kill a judge at each of its steps and let it go on: `python -m tests.crashes JUDGE URL FOLDER`, prints a JSON line a step.

A step is a transaction of the ledger (before and after its commit) or a request to the service (before it is sent and after it
is answered). A process is forked for every step; it kills itself there, with SIGKILL, and another goes on.
"""

import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx2

from emojudge.judges._service import find
from emojudge.judging import judge, open_judge
from emojudge.ledger import Ledger
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues

LABELS = ("Sad", "Happy", "Angry")
CLIPS = 3


def settings_for(name, url):
    return JudgeSettings(judge=name, base_url=url, poll_seconds=0.001, batch_size=2, concurrency=2)


def prompts_for(step, settings):
    """Clips of their own for every step, so that the meter tells them apart."""
    texts = [f"Step {step}, line {number}." for number in range(CLIPS)]
    return [build(str(i), t, Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for i, t in enumerate(texts)]


class Killer:
    """Counts steps, and dies at the `last`."""

    def __init__(self, last, told):
        self.last, self.told, self.count, self.guard = last, told, 0, threading.Lock()

    def step(self, what):
        with self.guard:
            self.count += 1
            if self.count == self.last:
                os.write(self.told, what.encode())
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self):
        """Put a step on both sides of every commit and every request."""
        transaction, send = Ledger._transaction, httpx2.Client.send

        @contextmanager
        def watched(ledger):
            with transaction(ledger):
                yield
                self.step("before a commit")
            self.step("after a commit")

        def sent(client, request, **options):
            self.step(f"before {request.method} {request.url.path}")
            response = send(client, request, **options)
            self.step(f"after {request.method} {request.url.path}")
            return response

        Ledger._transaction, httpx2.Client.send = watched, sent


def forked(work):
    """Do `work` in a process of its own: how it ended, and what it wrote."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            work(write)
            os._exit(0)
        except BaseException as error:
            os.write(write, repr(error).encode())
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def main(name, url, folder):
    settings, step = settings_for(name, url), 0
    with find(settings).client() as client:  # imported once, here, and not in every fork
        assert client.batches and client.files and client.chat.completions.with_streaming_response
    while True:
        step += 1
        prompts, ledger = prompts_for(step, settings), Path(folder) / f"{step}.sqlite"

        def work(out, prompts=prompts, ledger=ledger):
            rows = [[v.id, v.label, v.confidence, v.outcome] for v in judge(prompts, open_judge(settings), ledger)]
            os.write(out, json.dumps(rows).encode())

        def doomed(out, work=work, step=step):
            Killer(step, out).watch()
            work(out)

        code, what = forked(doomed)
        if code != -signal.SIGKILL:
            break
        again, said = forked(work)
        print(json.dumps({"step": step, "what": what, "code": again, "said": said}), flush=True)
    print(json.dumps({"step": step, "what": "the end", "code": code, "said": what}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

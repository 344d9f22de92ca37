"""Long recordings: one after the other, in a thread; results stay in memory for a bounded time and number."""

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from fastapi import HTTPException

from emojudge.settings import ServiceSettings
from emojudge.web.answers import Answer, Ticket
from emojudge.web.problems import Problem, describe


@dataclass
class Job:
    """One recording: its file, which is deleted when the job is over, and how far it is."""

    path: Path
    name: str
    judge: bool
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: Literal["waiting", "running", "done", "failed"] = "waiting"
    seconds: float = 0.0
    result: Answer | None = None
    problem: Problem | None = None
    ended: float | None = None
    unwanted: threading.Event = field(default_factory=threading.Event)

    def heard(self, seconds: float) -> None:
        """Note how far it is.

        Raises:
            CancelledError: nobody wants it any more.
        """
        self.seconds = seconds
        if self.unwanted.is_set():
            raise CancelledError

    def ticket(self) -> Ticket:
        """What is told of it."""
        return Ticket(
            id=self.id, status=self.status, name=self.name, heard=round(self.seconds, 3), result=self.result, problem=self.problem
        )


class Jobs:
    """All of them.

    Args:
        settings: how many wait, and how many results are kept for how long.
        work: makes a job's answer, in the thread.
        clock: seconds.
    """

    def __init__(
        self, settings: ServiceSettings, work: Callable[[Job], Answer], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings, self.work, self.clock = settings, work, clock
        self._all: dict[str, Job] = {}
        self._thread = ThreadPoolExecutor(1, "jobs")

    @property
    def open(self) -> int:
        """How many wait or run."""
        return sum(job.ended is None for job in list(self._all.values()))

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return self.open >= self.settings.jobs

    def add(self, job: Job) -> Job:
        """Take it in, with its file.

        Raises:
            HTTPException: there is no room; the file is deleted.
        """
        if self.full:
            job.path.unlink(missing_ok=True)
            raise HTTPException(503, "As many jobs wait as may; come again in some minutes.", {"Retry-After": "60"})
        self._all[job.id] = job
        self._thread.submit(self._run, job)
        return job

    def find(self, id: str) -> Job:
        """A job that is remembered.

        Raises:
            HTTPException: there is none.
        """
        self.sweep()
        if id not in self._all:
            raise HTTPException(404, "There is no such job, or it has been forgotten by now; send the recording again.")
        return self._all[id]

    def remove(self, id: str) -> None:
        """Forget a job; one that runs stops at its next segment."""
        job = self.find(id)
        job.unwanted.set()
        if job.status == "waiting":
            job.path.unlink(missing_ok=True)
        del self._all[id]

    def sweep(self) -> None:
        """Forget what ended long ago, and the oldest of too many."""
        over = sorted((job for job in list(self._all.values()) if job.ended is not None), key=lambda job: job.ended or 0.0)
        since = self.clock() - self.settings.result_seconds
        kept = [job for job in over if (job.ended or 0.0) >= since][-self.settings.results :]
        for job in over:
            if job not in kept:
                self._all.pop(job.id, None)

    def stop(self) -> None:
        """Let all stop at their next segment."""
        for job in list(self._all.values()):
            job.unwanted.set()

    def close(self) -> None:
        """Wait until they have."""
        self.stop()
        self._thread.shutdown(cancel_futures=True)

    def _run(self, job: Job) -> None:
        job.status = "running"
        try:
            job.heard(0.0)
            job.result, job.status = self.work(job), "done"
        except CancelledError:
            job.status = "failed"
        except Exception as error:
            status, detail = describe(error)
            job.problem, job.status = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail), "failed"
        finally:
            job.path.unlink(missing_ok=True)
            job.ended = self.clock()

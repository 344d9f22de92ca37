"""`emojudge serve`: predictions over HTTP, for recordings of strangers.

A request passes the gate, is decoded in a child process, and waits for the models' thread, where what comes together is
predicted together. Nothing of it is kept: a recording is a file of a private folder for as long as it is read, a job's result
stays in memory for a bounded time, and logs and metrics hold no name, no text and no score.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from fastapi import FastAPI, HTTPException, Request, UploadFile

from emojudge.audio import SAMPLE_RATE
from emojudge.errors import AudioError, ConfigError
from emojudge.hearing import Sound
from emojudge.pipeline import EmoJudge
from emojudge.timeline import Timeline
from emojudge.web.answers import Answer, answer, echoed
from emojudge.web.jobs import Job, Jobs
from emojudge.web.meters import Meters
from emojudge.web.nursery import Nursery
from emojudge.web.worker import LATER, Shared, Worker

SWEEP_SECONDS = 30.0
"""Between looks for results that nobody may have any more."""

T = TypeVar("T")


class Service:
    """What is behind the routes.

    Args:
        judge: the run, decoding in child processes.
        failed: called, from another thread, with the error if its models cannot be loaded.
    """

    def __init__(self, judge: EmoJudge, failed: Callable[[Exception], None] = lambda error: None) -> None:
        self.judge, self.settings, self.meters = judge, judge.config.service, Meters()
        self.worker = Worker(judge, self.settings, self.meters, failed)
        self.jobs = Jobs(self.settings, self.hear)
        self.meters.watch("emojudge_jobs_open", "Jobs that wait or run, of service.jobs.", lambda: self.jobs.open)
        self.decoders, self.nursery = ThreadPoolExecutor(self.settings.decoders, "decoding"), Nursery()
        self.folder = tempfile.TemporaryDirectory(prefix="emojudge-serve-")

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Models load, old results go; at the end nothing is left."""
        self.worker.start()
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Stop what is under way, and delete what is there."""
        self.jobs.stop()
        self.worker.stop()
        self.jobs.close()
        self.decoders.shutdown(cancel_futures=True)
        self.nursery.close()
        self.folder.cleanup()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.jobs.sweep()

    def refusal(self, path: str) -> tuple[str, int] | None:
        """Why no work is taken in at `path` now, and the seconds after which to come again."""
        if self.worker.state != "ready":
            return "The models are being loaded; come again in some seconds.", 5
        if path == "/v1/jobs" and self.jobs.full:
            return "As many jobs wait as may; come again in some minutes.", 60
        return None

    async def predict(self, file: UploadFile, text: str | None, judge: bool, timeline: bool) -> Answer:
        """A short recording.

        Raises:
            EmoJudgeError: it cannot be used, or the run has no judge.
            HTTPException: it is too long.
        """
        self._check(judge)
        samples = await asyncio.get_running_loop().run_in_executor(self.decoders, self._samples, file.file)
        if timeline:
            told = await self._timeline(samples, judge)
        else:
            segment = await asyncio.wrap_future(self.worker.submit(Sound("", samples, text), judge))
            segment.scores = segment.alone
            told = Timeline("", segment.end, [segment], self.judge.models.errors, self.judge.notice)
        told.name = echoed(file.filename)
        return answer(told)

    async def _timeline(self, samples: np.ndarray, judge: bool) -> Timeline:
        job = Job(Path(), "", judge)
        try:
            return await asyncio.to_thread(Shared(self.worker, heard=job.heard).timeline, samples, judge=judge)
        except asyncio.CancelledError:
            job.unwanted.set()
            raise

    def _check(self, judge: bool) -> None:
        if judge and self.judge.config.judge.judge == "none":
            raise ConfigError("There is no judge here; leave judge out.")

    def _samples(self, upload: BinaryIO) -> np.ndarray:
        with tempfile.NamedTemporaryFile(dir=self.folder.name) as file:
            shutil.copyfileobj(upload, file, 1 << 20)
            file.flush()
            return self._decoded(file.name)

    def _decoded(self, path: str) -> np.ndarray:
        parts: list[np.ndarray] = []
        left = self.settings.max_seconds * SAMPLE_RATE
        try:
            for block in self.nursery.isolated(path):
                left -= len(block)
                if left < 0:
                    detail = f"The recording is longer than {self.settings.max_seconds:.0f} s; send long ones to /v1/jobs."
                    raise HTTPException(413, detail)
                parts.append(block)
        except AudioError as error:
            raise _unnamed(error, path) from None
        if not parts:
            raise AudioError("The recording holds no sound; send another.")
        return np.concatenate(parts)

    async def enqueue(self, file: UploadFile, judge: bool) -> Job:
        """A job for a long recording, which becomes a file of the private folder.

        Raises:
            ConfigError: the run has no judge.
            HTTPException: too many jobs wait.
        """
        self._check(judge)
        return self.jobs.add(Job(await asyncio.to_thread(self._kept, file.file), echoed(file.filename), judge))

    def _kept(self, upload: BinaryIO) -> Path:
        handle, path = tempfile.mkstemp(dir=self.folder.name)
        with os.fdopen(handle, "wb") as out:
            shutil.copyfileobj(upload, out, 1 << 20)
        return Path(path)

    def hear(self, job: Job) -> Answer:
        """A job's answer."""
        try:
            told = Shared(self.worker, LATER, job.heard).timeline(job.path, judge=job.judge)
        except AudioError as error:
            raise _unnamed(error, job.path) from None
        told.name = job.name
        return answer(told)


def _unnamed(error: AudioError, path: str | Path) -> AudioError:
    """The same of "the recording", since our name for it says nothing to whoever sent it."""
    return AudioError(str(error).replace(str(path), "The recording"))


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled when the client hangs up."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(499, "The client has gone.")
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

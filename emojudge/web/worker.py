"""One thread that owns the models, and predicts clips that come within a few milliseconds in one batch."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, PriorityQueue
from typing import Any, Literal

import numpy as np

from emojudge.audio import SAMPLE_RATE
from emojudge.explanation import Explanation
from emojudge.hearing import Sound, batches
from emojudge.pipeline import EmoJudge
from emojudge.settings import ServiceSettings
from emojudge.timeline import Segment
from emojudge.web.meters import Meters

SOON, LATER = 0, 1
"""Whose turn it is: somebody waits; a job."""


@dataclass(order=True)
class _Item:
    turn: int
    number: int
    work: Any = field(compare=False)
    """A sound and whether to judge it, or a function."""
    future: Future[Any] = field(default_factory=Future, compare=False)


class Worker:
    """The thread. It loads the models first; `state` tells how far it is.

    Args:
        judge: the run whose models it owns.
        settings: how many clips it takes at once, and how long it waits for them.
        meters: count batches.
        failed: called with the error, in the thread, where the models cannot be loaded.
    """

    def __init__(
        self, judge: EmoJudge, settings: ServiceSettings, meters: Meters, failed: Callable[[Exception], None] = lambda error: None
    ) -> None:
        self.judge, self.settings, self.meters, self.failed = judge, settings, meters, failed
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self._numbers, self._stopped = itertools.count(), False
        self._queue: PriorityQueue[_Item] = PriorityQueue()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way; what waits is cancelled."""
        self._put(None, SOON - 1)
        self._stopped = True
        self._thread.join()
        while not self._queue.empty():
            self._queue.get().future.cancel()

    def submit(self, sound: Sound, judge: bool = False, turn: int = SOON) -> Future[Segment]:
        """The segment of a sound. To cancel the future takes it out of the queue."""
        return self._put((sound, bool(judge)), turn)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function that uses the models gives, run in the thread."""
        return self._put(lambda: function(*arguments), SOON).result()

    def _put(self, work: Any, turn: int) -> Future[Any]:
        item = _Item(turn, next(self._numbers), work)
        self._queue.put(item)
        if self._stopped:
            item.future.cancel()
        return item.future

    def _run(self) -> None:
        try:
            self.judge.segments([Sound("silence", np.zeros(SAMPLE_RATE, np.float32))])
        except Exception as error:  # told by whoever started the service
            self.state = "failed"
            self.failed(error)
            return
        self.state = "ready"
        while (item := self._queue.get()).work is not None:
            items = [item] if callable(item.work) else self._gather(item)
            self._serve([one for one in items if one.future.set_running_or_notify_cancel()])

    def _gather(self, first: _Item) -> list[_Item]:
        """The clips that come soon enough after the first."""
        found, until = [first], time.monotonic() + self.settings.batch_wait
        while len(found) < self.settings.batch:
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            if not isinstance(item.work, tuple):
                self._queue.put(item)
                break
            found.append(item)
        return found

    def _serve(self, items: list[_Item]) -> None:
        """Give every item its result; clips of like length side by side, judged ones by themselves."""
        if items and callable(items[0].work):
            _settle(items[0])
            return
        for judge in (False, True):
            own = {str(one.number): one for one in items if one.work[1] is judge}
            sounds = [replace(one.work[0], id=id) for id, one in own.items()]
            for batch in batches(sorted(sounds, key=lambda sound: sound.seconds)):
                self._predict([own[sound.id] for sound in batch], batch, judge)

    def _predict(self, items: list[_Item], batch: Sequence[Sound], judge: bool) -> None:
        """One batch; where it fails each by itself, so that nobody bears another's fault."""
        self.meters.batches.observe(len(batch))
        self.meters.sound.inc(sum(sound.seconds for sound in batch))
        try:
            found = self.judge.segments(batch, judge)
        except Exception as error:
            if len(batch) == 1:
                items[0].future.set_exception(error)
            else:
                for item, sound in zip(items, batch, strict=True):
                    self._predict([item], [sound], judge)
            return
        for item, segment in zip(items, found, strict=True):
            item.future.set_result(segment)


def _settle(item: _Item) -> None:
    try:
        item.future.set_result(item.work())
    except Exception as error:
        item.future.set_exception(error)


class Shared(EmoJudge):
    """A run for use from any thread: whatever needs the models is done by the worker's.

    Args:
        worker: whose models.
        turn: SOON or LATER.
        heard: told how far a recording is, in seconds; may raise CancelledError to stop.
    """

    def __init__(self, worker: Worker, turn: int = SOON, heard: Callable[[float], None] = lambda seconds: None) -> None:
        self.__dict__.update(worker.judge.__dict__)
        self._worker, self._turn, self._heard = worker, turn, heard

    def segments(self, batch: Sequence[Sound], judge: bool = False) -> list[Segment]:
        """As the run's own."""
        self._heard(max((sound.start + sound.seconds for sound in batch), default=0.0))
        waiting = [self._worker.submit(sound, judge, self._turn) for sound in batch]
        try:
            return [one.result() for one in waiting]
        finally:
            for one in waiting:
                one.cancel()

    def explain(self, clip: Any, text: str | None = None) -> Explanation:
        """As the run's own."""
        return self._worker.call(self._worker.judge.explain, clip, text)

    def voice(self, sound: Sound) -> Segment:
        """As the run's own."""
        return self._worker.call(self._worker.judge.voice, sound)

    def _last(self, *arguments: Any) -> Any:
        return self._worker.call(self._worker.judge._last, *arguments)

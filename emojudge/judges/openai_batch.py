"""OpenAI's Batch API (extra `judge`), half the price within a day: `openai_batch:gpt-4`; an interrupted run goes on where it was.

Whatever may cost something is in the ledger before the service hears of it. A batch carries its name in its metadata: where an
answer to "create" was lost, it is looked for before another is made.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from emojudge.answers import Reply
from emojudge.errors import AuthenticationError, ConfigError, JudgeError
from emojudge.judges._batch_calls import Calls
from emojudge.judges._batch_lines import Results, join, write
from emojudge.judges._exchange import Exchange
from emojudge.judges._service import Service, find
from emojudge.ledger import Batch, Ledger
from emojudge.progress import say
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings

ROUNDS = 3
"""Times that one request is put into a batch before it counts as failed in this run."""

STUCK_SECONDS = 3600
"""A batch that is finalizing for longer is worth a word."""

ENDED = ("completed", "failed", "expired", "cancelled")

MISSING = (None, "missing", None, "it was in neither result file")


def open(argument: str, settings: JudgeSettings) -> "BatchJudge":
    """The judge for the model `argument`.

    Raises:
        ConfigError: no model is named, or `base_url` is no URL.
        AuthenticationError: the service is remote and there is no key.
    """
    if not argument:
        raise ConfigError('The judge "openai_batch" needs a model, as in judge.judge = "openai_batch:gpt-4".')
    return BatchJudge(Exchange(argument, settings), find(settings), settings)


def named(argument: str, settings: JudgeSettings) -> str:
    """What the judge for `argument` goes by in the ledger; no key is needed."""
    return Exchange(argument, settings).name


@dataclass
class BatchJudge:
    """A model behind the Batch API. It goes by the name of `openai:MODEL`, so that neither asks what the other was told.

    Between two looks, a request is in one of three places: `_waiting` to be sent, `_asked` in one batch, or answered.
    """

    exchange: Exchange
    service: Service
    settings: JudgeSettings
    ledger: Ledger | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    shard: int = 50_000
    recorded: bool = False
    _waiting: dict[str, Prompt] = field(default_factory=dict)
    _asked: dict[str, dict[str, Prompt]] = field(default_factory=dict)
    _flying: list[Batch] = field(default_factory=list)
    _tries: Counter[str] = field(default_factory=Counter)
    _since: dict[str, float] = field(default_factory=dict)
    _room: float = float("inf")

    @property
    def name(self) -> str:
        """Stored with each answer."""
        return self.exchange.name

    @property
    def remote(self) -> bool:
        """Whether clips leave this machine."""
        return self.service.remote

    @property
    def host(self) -> str:
        """Where they go."""
        return self.service.host

    @property
    def book(self) -> Ledger:
        """The ledger, without which nothing is sent."""
        if self.ledger is None:
            raise JudgeError("The Batch API is asked with a ledger only; set `ledger` first.")
        return self.ledger

    def judge(self, prompts: Sequence[Prompt]) -> Iterator[Reply]:
        """Send what is not under way, wait, and answer batch by batch.

        Raises:
            AuthenticationError: the service refuses the key, or its quota is spent.
            JudgeError: a batch was refused or cancelled, or is late; answers that came are kept.
        """
        self._waiting, self._asked = {prompt.key(self.name): prompt for prompt in prompts}, {}
        self._room, self._tries = float(self.settings.queue_tokens or "inf"), Counter()
        with self.service.client() as client:
            calls = self.calls(client)
            self._flying = self._recover(calls)
            while self._waiting or self._flying:
                self._send(calls)
                calls.pause()
                for batch in list(self._flying):
                    shown = self._look(calls, batch)
                    if shown.status in ENDED:
                        self._flying.remove(batch)
                        yield from self._finish(calls, batch, shown)

    def calls(self, client: Any) -> Calls:
        """The Batch API through `client`."""
        return Calls(client, self.service, self.exchange.model, self.settings.poll_seconds, self.sleep, self.clock)

    def cancel(self) -> list[str]:
        """Stop every batch under way, whoever wanted it; what the service calls them."""
        with self.service.client() as client:
            calls = self.calls(client)
            shown = [calls.retrieve(batch.batch_id, self.clock()) for batch in self._made(calls)]
            return [calls.cancel(batch.id).id for batch in shown if batch.status not in ENDED]

    def _recover(self, calls: Calls) -> list[Batch]:
        """Batches of earlier runs that hold something we want; what is in two is expected from the later one."""
        flying = []
        for batch in reversed(self._made(calls)):
            if wanted := batch.keys & self._waiting.keys():
                self._asked[batch.name] = {key: self._waiting.pop(key) for key in wanted}
                flying.append(batch)
        return flying

    def _made(self, calls: Calls) -> list[Batch]:
        """Batches of earlier runs that the service knows of; the others are forgotten, for nothing was paid."""
        for batch in self.book.open_batches(self.name, self.service.base_url):
            if batch.status == "creating" and not batch.batch_id and (made := calls.seek(batch.name)):
                self.book.mark_batch(batch, made.status, batch_id=made.id)
            if not batch.batch_id:
                self.book.mark_batch(batch, "never made", closed=True)
        return self.book.open_batches(self.name, self.service.base_url)

    def _send(self, calls: Calls) -> None:
        """Put what waits into batches, as far as the queue has room; an empty queue takes at least one request."""
        while self._waiting:
            room = self._room - sum(batch.tokens for batch in self._flying)
            with tempfile.TemporaryFile() as stream:
                keys, tokens = write(self.exchange, self._waiting, stream, most=self.settings.batch_size, tokens=room)
                if self._flying and tokens > room:
                    return
                batch = self.book.begin_batch(self.name, self.service.base_url, keys, tokens, self.clock())
                file_id = calls.upload(batch.name, stream)
            self.book.mark_batch(batch, "creating")
            made = calls.create(batch.name, file_id, self.exchange.path)
            self.book.mark_batch(batch, made.status, batch_id=made.id)
            self._flying.append(batch)
            self._tries.update(keys)
            self._asked[batch.name] = {key: self._waiting.pop(key) for key in keys}

    def _look(self, calls: Calls, batch: Batch) -> Any:
        """How the batch stands, written down where that is new."""
        deadline = batch.made_at + self.settings.deadline_hours * 3600
        shown = calls.retrieve(batch.batch_id, deadline)
        if shown.status != batch.status and shown.status not in ENDED:
            self.book.mark_batch(batch, shown.status)
            self._since[batch.name] = self.clock()
        if shown.status == "finalizing" and self.clock() - self._since.get(batch.name, self.clock()) > STUCK_SECONDS:
            say(f"{batch.batch_id} has been finalizing for long; the service may be stuck. Its answers are not lost.")
            self._since[batch.name] = float("inf")
        if self.clock() > deadline and shown.status not in ENDED:
            raise JudgeError(
                f"{batch.batch_id} is still {shown.status} after {self.settings.deadline_hours:g} hours; go on waiting with "
                "a larger judge.deadline_hours, or stop it: emojudge judge-cancel RUN"
            )
        return shown

    def _finish(self, calls: Calls, batch: Batch, shown: Any) -> Iterator[Reply]:
        """Read an ended batch; what has no answer waits again, or has failed for good.

        All that was paid is in the ledger and yielded before anything is complained about. A batch that also answers what is
        not wanted today stays open, for the day when it is.
        """
        mine = self._asked.pop(batch.name)
        files = [name for name in (shown.output_file_id, shown.error_file_id) if name]  # None and "" are no file
        results = join((line for name in files for line in calls.lines(name)), batch.keys)
        answered = results.answers.keys() & mine.keys()
        others = results.answers.keys() - answered
        replies = [self.exchange.reply(mine.pop(key), results.answers[key]) for key in answered]
        if shown.status == "failed":
            self._waiting |= mine
        else:
            replies += self._sort_out(mine, results)
        self.book.record(*replies)
        self.book.mark_batch(batch, shown.status, closed=all(self.book.find(key) for key in others))
        yield from replies
        if shown.status == "failed":
            self._explain(batch, shown)
        self._complain(batch, shown, results)

    def _sort_out(self, unanswered: dict[str, Prompt], results: Results) -> Iterator[Reply]:
        """Put back what may succeed next time; reply for what will not."""
        for key, prompt in unanswered.items():
            status, code, param, message = results.errors.get(key, MISSING)
            learnt = self.exchange.complaint(status, param, message, self.exchange.whole(prompt))
            passing = status is None or status in (408, 409, 429) or status >= 500
            if self._tries[key] < ROUNDS and (learnt or passing):
                self._waiting[key] = prompt
            else:
                yield self.exchange.failure(prompt, self.service.scrub(f"{status or code}: {message}"))

    def _complain(self, batch: Batch, shown: Any, results: Results) -> None:
        """Raise what a person should know of before anything more is sent."""
        for status, code, _, _ in results.errors.values():
            self.service.raise_if_fatal(status, code, self.exchange.model)
        if results.wrong:
            raise JudgeError(
                f"{batch.batch_id} came back with {results.wrong[0]}; the rest is kept. Run again to ask what is missing."
            )
        if shown.status == "cancelled" and len(results.answers) < len(batch.keys):
            raise JudgeError(f"{batch.batch_id} was cancelled; what it had answered is kept. Run again to ask the rest.")

    def _explain(self, batch: Batch, shown: Any) -> None:
        """Why a batch failed validation; if the queue was full, wait with less, otherwise raise."""
        told = [(error.code, error.line, error.message) for error in (shown.errors and shown.errors.data) or ()]
        codes = {code for code, _, _ in told}
        if "token_limit_exceeded" in codes and (self._flying or len(batch.keys) > 1):
            self._room = sum(other.tokens for other in self._flying) or batch.tokens // 2
            self._tries.subtract(batch.keys)
            return
        if codes & {"insufficient_quota", "billing_hard_limit_reached"}:
            raise AuthenticationError(f"{self.host} says that this key's quota is spent; add credit, then run again.")
        first = "; ".join(f"{code}{f', line {line}' if line else ''}: {message}" for code, line, message in told[:3])
        raise JudgeError(f"{self.host} refused {batch.batch_id} ({self.service.scrub(first or 'it does not say why')}).")

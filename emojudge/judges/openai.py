"""Any service that speaks the OpenAI protocol (extra `judge`): `openai:gpt-4o`, or with `judge.base_url` a vLLM, Ollama … server.

The key is read from the environment (OPENAI_API_KEY), or from the file that OPENAI_API_KEY_FILE names if nobody else may
read it; it goes nowhere but into the request. Requests are not stored by the service (`store=false`).
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, Queue
from typing import Any

from emojudge.answers import Reply
from emojudge.costs import tokens_of
from emojudge.errors import ConfigError
from emojudge.judges._exchange import Exchange
from emojudge.judges._pace import Pace
from emojudge.judges._service import ATTEMPTS, Service, chunks, find, wait
from emojudge.ledger import Ledger
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings

ANSWER_BYTES = 1 << 20
"""Longer answers are cut, and then no JSON."""


def open(argument: str, settings: JudgeSettings) -> "OpenAIJudge":
    """The judge for the model `argument`.

    Raises:
        ConfigError: no model is named, or `base_url` is no URL.
        AuthenticationError: the service is remote and there is no key.
    """
    if not argument:
        raise ConfigError('The judge "openai" needs a model, as in judge.judge = "openai:gpt-4o".')
    return OpenAIJudge(Exchange(argument, settings), find(settings), settings.concurrency)


def named(argument: str, settings: JudgeSettings) -> str:
    """What the judge for `argument` goes by in the ledger; no key is needed."""
    return Exchange(argument, settings).name


@dataclass
class OpenAIJudge:
    """A model behind HTTP, asked at once."""

    exchange: Exchange
    service: Service
    concurrency: int
    recorded: bool = False
    ledger: Ledger | None = None
    pace: Pace = field(default_factory=Pace)

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

    def judge(self, prompts: Sequence[Prompt]) -> Iterator[Reply]:
        """Answer `concurrency` at a time, in the order of arrival; leaving early abandons the rest at once.

        Raises:
            AuthenticationError: the service refuses the key, or its quota is spent.
            JudgeError: it has no such model.
        """
        waiting, replies = iter(prompts), Queue[Reply | Exception]()
        guard, stop = threading.Lock(), threading.Event()
        client = self.service.client()
        working = min(self.concurrency, len(prompts))

        def work() -> None:
            nonlocal working
            try:
                while not stop.is_set():
                    with guard:
                        prompt = next(waiting, None)
                    if prompt is None:
                        break
                    replies.put(self._answer(client, prompt, stop))
            except Exception as error:  # raised again below, in the thread that asked
                replies.put(error)
            with guard:
                working -= 1
                if not working:  # by the last to leave: closed under a request, it would leave its connection open
                    client.close()

        try:
            for _ in range(working):
                # A daemon, so that a request under way holds nobody up who wants to leave.
                threading.Thread(target=work, daemon=True).start()
            left = len(prompts)
            while left:
                arrived = _all_of(replies)
                left -= len(arrived)
                good = [reply for reply in arrived if not isinstance(reply, Exception)]
                if self.ledger:
                    self.ledger.record(*good)  # one wait for the disk, for as many as came during the last
                yield from good
                for error in arrived:
                    if isinstance(error, Exception):
                        raise error
        finally:
            stop.set()

    def _answer(self, client: Any, prompt: Prompt, stop: threading.Event) -> Reply:
        """Ask until there is an answer or no hope of one; a failure is a reply too, and the label stays."""
        import openai

        # As `extra_body` the request goes out as it is; given by name, each part of it is compared with the package's types,
        # which takes most of its time (docs/performance.md).
        if self.exchange.path.endswith("completions"):
            create = partial(client.chat.completions.with_streaming_response.create, model=self.exchange.model, messages=[])
        else:
            create = client.responses.with_streaming_response.create
        begun, attempt = time.monotonic(), 0
        while True:
            sent = self.exchange.body(prompt)
            if not self.pace.take(tokens_of(prompt), stop):
                return self.exchange.failure(prompt, "The run was left.", time.monotonic() - begun)
            try:
                with create(extra_body=sent) as response:
                    self.pace.note(response.headers)
                    answer = b"".join(chunks(response, ANSWER_BYTES))
                return self.exchange.reply(prompt, answer, time.monotonic() - begun)
            except openai.APIError as error:
                status = getattr(error, "status_code", None)
                self.pace.note(getattr(getattr(error, "response", None), "headers", {}))
                self.service.raise_if_fatal(status, error.code, self.exchange.model)
                if self.exchange.complaint(status, error.param, str(error), sent):
                    continue
                attempt += 1
                seconds = wait(error, attempt)
                if seconds is None or attempt == ATTEMPTS or stop.wait(seconds):
                    reason = self.service.scrub(f"{type(error).__name__}: {error}")
                    return self.exchange.failure(prompt, reason, time.monotonic() - begun)


def _all_of(queue: "Queue[Reply | Exception]") -> list[Reply | Exception]:
    """What is there, and at least one: waits for it."""
    arrived = [queue.get()]
    with suppress(Empty):
        while True:
            arrived.append(queue.get_nowait())
    return arrived

"""Any service that speaks the OpenAI protocol (extra `judge`): `openai:gpt-4o`, or with `judge.base_url` a vLLM, Ollama … server.

The key is read from the environment (OPENAI_API_KEY), or from the file that OPENAI_API_KEY_FILE names if nobody else may
read it; it goes nowhere but into the request. Requests are not stored by the service (`store=false`).
"""

import ipaddress
import json
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

from emojudge.answers import Reply, read, tidy
from emojudge.errors import AuthenticationError, ConfigError, JudgeError, MissingExtra
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings
from emojudge.types import Verdict

NO_KEY = "none"
"""Sent to a server on this machine that asks for no key."""

OPENAI = "https://api.openai.com/v1"

ANSWER_TOKENS = 2048
"""At most this many are written; reasoning models count their thoughts in."""

ATTEMPTS = 5
"""Tries of one request that meets a busy or failing service."""

LONGEST_WAIT = 120.0
"""Seconds; a service that wants us to wait longer gets no further try in this run."""

_OPTIONAL = ("temperature", "seed", "store", "response_format", "max_completion_tokens")
"""Parameters that some models refuse. Without `response_format` the answer is checked as before, only less often right."""


def open(argument: str, settings: JudgeSettings) -> "OpenAIJudge":
    """The judge for the model `argument`.

    Raises:
        ConfigError: no model is named, or `base_url` is no URL.
        AuthenticationError: the service is remote and there is no key.
    """
    if not argument:
        raise ConfigError('The judge "openai" needs a model, as in judge.judge = "openai:gpt-4o".')
    url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    host = urlsplit(url).hostname
    if not host or urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"judge.base_url = {url!r} is no URL; write it as http://localhost:8000/v1.")
    remote = not is_loopback(host)
    return OpenAIJudge(argument, url, host, remote, _key(remote), settings)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, judged by its name alone.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost.example.org")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(remote: bool) -> str:
    """The API key; a server on this machine needs none."""
    key, file = os.environ.get("OPENAI_API_KEY", "").strip(), os.environ.get("OPENAI_API_KEY_FILE")
    if not key and file:
        try:
            if Path(file).stat().st_mode & 0o077:
                raise AuthenticationError(f"{file} can be read by others; run: chmod 600 {file}")
            key = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise AuthenticationError(f"OPENAI_API_KEY_FILE names {file}, which cannot be read ({error.strerror}).") from None
    if not key and remote:
        raise AuthenticationError("There is no API key; set OPENAI_API_KEY, or OPENAI_API_KEY_FILE to a file with mode 0600.")
    return key or NO_KEY


@dataclass
class OpenAIJudge:
    """A model behind HTTP; `remote` says whether it is on another machine."""

    model: str
    base_url: str
    host: str
    remote: bool
    key: str = field(repr=False)
    settings: JudgeSettings
    recorded: bool = False
    refused: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Stored with each answer."""
        return f"openai:{self.model}"

    def judge(self, prompts: Sequence[Prompt]) -> Iterator[Reply]:
        """Answer `settings.concurrency` at a time, in the order of arrival; leaving early abandons the rest at once.

        Raises:
            AuthenticationError: the service refuses the key, or its quota is spent.
            JudgeError: it has no such model.
        """
        waiting, replies = iter(prompts), Queue[Reply | Exception]()
        guard, stop = threading.Lock(), threading.Event()

        def work() -> None:
            while not stop.is_set():
                with guard:
                    prompt = next(waiting, None)
                if prompt is None:
                    return
                try:
                    replies.put(self._answer(client, prompt, stop))
                except Exception as error:  # raised again below, in the thread that asked
                    replies.put(error)
                    return

        with self._client() as client:
            try:
                for _ in range(min(self.settings.concurrency, len(prompts))):
                    # A daemon, so that a request under way holds nobody up who wants to leave.
                    threading.Thread(target=work, daemon=True).start()
                for _ in prompts:
                    reply = replies.get()
                    if isinstance(reply, Exception):
                        raise reply
                    yield reply
            finally:
                stop.set()

    def _client(self) -> Any:
        """The protocol's client; on this machine it asks no proxy, and it never follows a server elsewhere."""
        try:
            import openai
        except ImportError:
            raise MissingExtra("The judge openai", "judge") from None
        http = openai.DefaultHttpxClient(trust_env=self.remote, follow_redirects=False)
        return openai.OpenAI(
            api_key=self.key, base_url=self.base_url, timeout=self.settings.timeout, max_retries=0, http_client=http
        )

    def _answer(self, client: Any, prompt: Prompt, stop: threading.Event) -> Reply:
        """Ask until there is an answer or no hope of one; a failure is a reply too, and the label stays."""
        import openai

        begun, attempt = time.monotonic(), 0
        while True:
            sent = self._body(prompt)
            try:
                response = client.chat.completions.with_raw_response.create(**sent)
                return self._reply(prompt, response.text, sent, begun)
            except openai.APIError as error:
                self._raise_if_fatal(error)
                refused = _refused(error, sent)
                if refused:
                    self.refused.add(refused)
                    continue
                attempt += 1
                seconds = _wait(error, attempt)
                if seconds is None or attempt == ATTEMPTS or stop.wait(seconds):
                    return self._failure(prompt, error, begun)

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        """The request, without what the model is known to refuse."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(prompt.messages),
            "temperature": prompt.temperature,
            "seed": prompt.seed,
            "store": False,
            "max_completion_tokens": ANSWER_TOKENS if prompt.schema else 1,
        }
        if prompt.schema:
            form = {"name": "verdict", "strict": True, "schema": prompt.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        else:
            body |= {"logprobs": True, "top_logprobs": 20}
        return {name: value for name, value in body.items() if name not in self.refused}

    def _reply(self, prompt: Prompt, text: str, sent: Mapping[str, Any], begun: float) -> Reply:
        """An answer of the service, read."""
        try:
            completion = json.loads(text)
            used = completion.get("usage") or {}
        except (ValueError, AttributeError, RecursionError):
            return Reply(self._error(prompt, "The service answered something that is no JSON object."))
        dropped = sorted(self.refused - sent.keys())
        return Reply(
            read(completion, prompt, self.name),
            model=f"{completion.get('model') or self.model} {completion.get('system_fingerprint') or ''}".strip(),
            tokens_in=used.get("prompt_tokens") or 0,
            tokens_out=used.get("completion_tokens") or 0,
            seconds=time.monotonic() - begun,
            note=f"refused: {', '.join(dropped)}" if dropped else "",
        )

    def _failure(self, prompt: Prompt, error: Exception, begun: float) -> Reply:
        """The last error of a request, with whatever the service may have quoted of the key struck out."""
        message = str(error).replace(self.key, "[key]") if self.key != NO_KEY else str(error)
        return Reply(self._error(prompt, f"{type(error).__name__}: {message}"), seconds=time.monotonic() - begun)

    def _error(self, prompt: Prompt, reason: str) -> Verdict:
        return Verdict(prompt.id, None, reason=tidy(reason), judge=self.name, key=prompt.key(self.name), outcome="error")

    def _raise_if_fatal(self, error: Any) -> None:
        """Stop the whole run where every further request would meet the same."""
        status, code = getattr(error, "status_code", None), getattr(error, "code", None)
        if code == "insufficient_quota":
            raise AuthenticationError(f"{self.host} says that this key's quota is spent; add credit, then run again.") from None
        if status in (401, 403):
            raise AuthenticationError(f"{self.host} refuses the API key ({status}); check OPENAI_API_KEY.") from None
        if status == 404:
            raise JudgeError(f"{self.host} has no model {self.model!r} at {self.base_url}; check the name and the URL.") from None


def _refused(error: Any, sent: Mapping[str, Any]) -> str | None:
    """The optional parameter that a 400 or 422 complains about, if we sent it."""
    if getattr(error, "status_code", None) not in (400, 422):
        return None
    named = [name for name in _OPTIONAL if name in sent and (error.param == name or name in str(error))]
    return named[0] if named else None


def _wait(error: Any, attempt: int) -> float | None:
    """Seconds to wait before the next try: what the service asks for, else ½, 1, 2 … with jitter; None is "do not"."""
    status = getattr(error, "status_code", None)
    if status is not None and status not in (408, 409, 429) and status < 500:
        return None
    asked = _retry_after(error)
    if asked is not None:
        return asked if asked <= LONGEST_WAIT else None
    return float(2 ** (attempt - 2)) * (1 + random.random() / 4)


def _retry_after(error: Any) -> float | None:
    """The Retry-After header in seconds, where there is one."""
    header = getattr(getattr(error, "response", None), "headers", {}).get("retry-after")
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        date = parsedate_tz(header)
        return max(0.0, mktime_tz(date) - time.time()) if date else None

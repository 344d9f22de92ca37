"""How a service of the OpenAI protocol is reached: address, key, client, which errors end a run, and how long to wait."""

import ipaddress
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emojudge.errors import AuthenticationError, ConfigError, JudgeError, MissingExtra
from emojudge.settings import JudgeSettings

NO_KEY = "none"
"""Sent to a server on this machine that asks for no key."""

OPENAI = "https://api.openai.com/v1"

ATTEMPTS = 5
"""Tries of one request that meets a busy or failing service."""

LONGEST_WAIT = 120.0
"""Seconds; a service that wants us to wait longer gets no further try in this run."""


@dataclass(frozen=True)
class Service:
    """An address and the key for it; `remote` says whether it is on another machine."""

    base_url: str
    host: str
    remote: bool
    key: str = field(repr=False)
    timeout: float

    def client(self) -> Any:
        """The protocol's client; on this machine it asks no proxy, and it never follows a server elsewhere.

        It repeats nothing by itself: a repeated `batches.create` would be a second paid batch.

        Raises:
            MissingExtra: it is not installed.
            ConfigError: SSL_CERT_FILE or SSL_CERT_DIR names certificates that cannot be read.
        """
        try:
            import openai
        except ImportError:
            raise MissingExtra("The judge openai", "judge") from None
        try:
            http = openai.DefaultHttpxClient(trust_env=self.remote, follow_redirects=False)
        except OSError as error:
            raise ConfigError(
                f"The certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read ({error}); correct it."
            ) from None
        return openai.OpenAI(api_key=self.key, base_url=self.base_url, timeout=self.timeout, max_retries=0, http_client=http)

    def scrub(self, message: str) -> str:
        """A message without whatever the service may have quoted of the key."""
        return message.replace(self.key, "[key]") if self.key != NO_KEY else message

    def raise_if_fatal(self, status: int | None, code: str | None, model: str) -> None:
        """Stop the whole run where every further request would meet the same.

        Raises:
            AuthenticationError: the key is refused, or its quota is spent.
            JudgeError: there is no such model.
        """
        if code in ("insufficient_quota", "billing_hard_limit_reached"):
            raise AuthenticationError(f"{self.host} says that this key's quota is spent; add credit, then run again.") from None
        if status in (401, 403):
            raise AuthenticationError(f"{self.host} refuses the API key ({status}); check OPENAI_API_KEY.") from None
        if status == 404 or code == "model_not_found":
            raise JudgeError(f"{self.host} has no model {model!r} at {self.base_url}; check the name and the URL.") from None


def find(settings: JudgeSettings) -> Service:
    """The service that the settings and the environment name.

    Raises:
        ConfigError: `base_url` is no URL.
        AuthenticationError: the service is remote and there is no key.
    """
    url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    host = urlsplit(url).hostname
    if not host or urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"judge.base_url = {url!r} is no URL; write it as http://localhost:8000/v1.")
    remote = not is_loopback(host)
    return Service(url, host, remote, _key(remote), settings.timeout)


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


def chunks(response: Any, most: int) -> Iterator[bytes]:
    """A streamed answer piece by piece, unpacked, and cut off after `most` bytes, however many it unpacks to.

    Raises:
        openai.APIConnectionError: the connection broke.
    """
    import httpx2
    import openai

    try:
        for piece in response.iter_bytes():
            yield piece[:most]
            most -= len(piece)
            if most <= 0:
                return
    except httpx2.RequestError as error:
        raise openai.APIConnectionError(request=response.http_request) from error


def wait(error: Any, attempt: int, longest: float = LONGEST_WAIT) -> float | None:
    """Seconds to wait before the next try: what the service asks for, else ½, 1, 2 … with jitter; None is "do not"."""
    status = getattr(error, "status_code", None)
    if status is not None and status not in (408, 409, 429) and status < 500:
        return None
    asked = _retry_after(error)
    if asked is not None:
        return asked if asked <= longest else None
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

"""Who may come in, before anything of a request is read: key, rate and places; and how large and slow a request may be."""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers

from emojudge.settings import ServiceSettings
from emojudge.web.meters import Meters
from emojudge.web.problems import describe, problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Message], Any]

CLIENTS = 10_000
"""Whose rate is remembered; the one that asked longest ago is forgotten first."""
LEFT_BYTES, LEFT_SECONDS = 1 << 20, 1.0
"""How much of a refused request is still taken in: a client that cannot finish sending does not read the answer."""
AGAIN = 2
"""Seconds after which to come again where there is no place."""


class Rates:
    """So many requests a minute from each client, and as many at once.

    >>> rates = Rates(60, clock=lambda: 0.0)
    >>> [rates.wait("203.0.113.7") for _ in range(61)][-2:]
    [0.0, 1.0]
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.clock = per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until `client` may ask; 0 if it may now, which is counted."""
        now = self.clock()
        left, then = self._left.pop(client, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - then) * self.per_minute / 60)
        self._left[client] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._left) > CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) * 60 / self.per_minute


def address(client: str) -> str:
    """What a client is counted by: an IPv6 host has a whole /64 to itself.

    >>> address("2001:db8::1:2:3:4"), address("203.0.113.7")
    ('2001:db8::/64', '203.0.113.7')
    """
    with suppress(ValueError):
        if (found := ipaddress.ip_address(client)).version == 6:
            return str(ipaddress.ip_network((found, 64), strict=False))
    return client


class Gate:
    """ASGI middleware around all of the service.

    Args:
        app: what is behind it.
        settings: the limits.
        key: what every request but /healthz must show; none where it is empty.
        refusal: why no work is taken in at an address now, and the seconds after which to come again.
        meters: count what comes.
    """

    def __init__(
        self, app: Any, settings: ServiceSettings, key: str, refusal: Callable[[str], tuple[str, int] | None], meters: Meters
    ) -> None:
        self.app, self.settings, self.key, self.refusal, self.meters = app, settings, key, refusal, meters
        self.rates, self.used = Rates(settings.rate), 0
        meters.watch("emojudge_places_taken", "Requests being served, of service.queue.", lambda: self.used)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            return await self._other(scope, receive, send)
        limit = self.settings.max_bytes if scope["path"] == "/v1/predict" else self.settings.job_bytes
        call, started = _Call(receive, send, limit, self.settings.upload_seconds, scope["path"]), time.monotonic()
        works = scope["method"] == "POST" and scope["path"].startswith("/v1/")
        refused = self._refuse(scope, works)
        self.used += works and not refused
        try:
            await (refused or self.app)(scope, call.receive, call.send)
        except Exception as error:
            if call.status:
                raise
            await problem(*describe(error))(scope, call.receive, call.send)  # here, so that no server logs its message
        finally:
            self.used -= works and not refused
            route = getattr(scope.get("route"), "path", "") or "other"
            self.meters.requests.labels(route, call.status).inc()
            self.meters.seconds.labels(route).observe(time.monotonic() - started)

    async def _other(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not self._knows(scope):
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)

    def _refuse(self, scope: Message, works: bool) -> JSONResponse | None:
        """The answer for who may not come in."""
        if scope["path"] != "/healthz" and not self._knows(scope):
            ask = {"WWW-Authenticate": 'Basic realm="EmoJudge: any name, and the key as password"'}
            return problem(401, "This service asks for a key; send it as Authorization: Bearer KEY.", ask)
        if not works:
            return None
        if wait := self.rates.wait(address((scope.get("client") or ["?"])[0])):
            detail = f"At most {self.settings.rate} requests a minute are taken from one client; wait."
            return problem(429, detail, {"Retry-After": str(math.ceil(wait))})
        why = self.refusal(scope["path"])
        if not why and self.used >= self.settings.queue:
            why = "All places are taken; come again in some seconds.", AGAIN
        return problem(503, why[0], {"Retry-After": str(why[1])}) if why else None

    def _knows(self, scope: Message) -> bool:
        """Whether the request shows the key, as a bearer's token or as anybody's password."""
        if not self.key:
            return True
        kind, _, shown = Headers(raw=scope["headers"]).get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            with suppress(binascii.Error, ValueError):
                shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
        return kind.lower() in ("basic", "bearer") and hmac.compare_digest(shown.encode(), self.key.encode())


class _Call:
    """A request's two ends: what comes must be small and in time, and what is left of it is taken in before the answer."""

    def __init__(self, receive: Receive, send: Send, limit: int, seconds: float, path: str) -> None:
        self._receive, self._send, self.limit, self.path = receive, send, limit, path
        self.until, self.taken, self.more, self.status = time.monotonic() + seconds, 0, True, 0

    async def receive(self) -> Message:
        """The next piece of the request."""
        if not self.more:
            return await self._receive()
        try:
            message = await self._next(self.until)
        except TimeoutError:
            raise HTTPException(408, "The request took too long to arrive; send it over a faster line.") from None
        if self.taken > self.limit:
            raise HTTPException(413, f"At most {self.limit:,} bytes are taken here; send less, long recordings to /v1/jobs.")
        return message

    async def _next(self, until: float) -> Message:
        message = await asyncio.wait_for(self._receive(), max(0.0, until - time.monotonic()))
        self.taken += len(message.get("body", b""))
        self.more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """A piece of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.path.startswith("/v1/"):
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await self._drain()
        await self._send(message)

    async def _drain(self) -> None:
        enough, until = self.taken + LEFT_BYTES, time.monotonic() + LEFT_SECONDS
        with suppress(TimeoutError):
            while self.more and self.taken < enough:
                await self._next(until)

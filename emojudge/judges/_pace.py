"""How fast a service may be asked: what its `x-ratelimit-*` headers say is left, shared by all threads of one judge.

https://platform.openai.com/docs/guides/rate-limits. Waiting a moment is cheaper than a 429, which counts against the limit too.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LONGEST = 120.0
"""Seconds; a service that says more is asked all the same, and may say 429 with its reasons."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """A reset time in seconds.

    >>> seconds("6m0s"), seconds("20ms"), seconds("1h0.5s")
    (360.0, 0.02, 3600.5)
    """
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])?", text))


@dataclass
class Pace:
    """Requests and tokens that are left, each a bucket that fills evenly until its reset."""

    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def note(self, headers: Mapping[str, str]) -> None:
        """Take in what an answer says of the limits; answers that say nothing change nothing."""
        for kind in ("requests", "tokens"):
            try:
                left = float(headers[f"x-ratelimit-remaining-{kind}"])
                limit = float(headers.get(f"x-ratelimit-limit-{kind}", left + 1))
                reset = seconds(headers[f"x-ratelimit-reset-{kind}"])
            except (KeyError, ValueError):
                continue
            rate = max(limit - left, 1.0) / min(reset, LONGEST) if reset else float("inf")
            with self._guard:
                self._left[kind] = left, rate, self.clock()

    def take(self, tokens: int, stop: threading.Event) -> bool:
        """Wait until one request of about `tokens` fits, and count it; False where `stop` ended the waiting."""
        while (wait := self._take({"requests": 1, "tokens": tokens})) > 0:
            if stop.wait(wait):
                return False
        return True

    def _take(self, needs: Mapping[str, int]) -> float:
        """Seconds until all of it fits; 0 takes it."""
        with self._guard:
            now = self.clock()
            known = {kind: (self._left[kind], need) for kind, need in needs.items() if kind in self._left}
            # A request larger than the whole bucket would wait for ever: LONGEST ends that.
            waits = [min((need - left) / rate, LONGEST) - (now - at) for (left, rate, at), need in known.values() if need > left]
            if not waits or max(waits) <= 0:
                for kind, ((left, rate, at), need) in known.items():
                    self._left[kind] = left - need, rate, at
                return 0.0
            return max(waits)

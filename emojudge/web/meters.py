"""What /metrics tells: counts and durations, and nothing of what was said or by whom."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest


class Meters:
    """The meters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("emojudge_requests", "Requests by route and status.", ["route", "status"], **own)
        self.seconds = Histogram("emojudge_request_seconds", "From the first byte to the answer.", ["route"], **own)
        self.batches = Histogram("emojudge_batch_clips", "Clips predicted at once.", buckets=(1, 2, 4, 8, 16, 32), **own)
        self.sound = Counter("emojudge_sound_seconds", "Seconds of sound predicted.", **own)

    def watch(self, name: str, told: str, value: Callable[[], float]) -> None:
        """A gauge that asks `value` when it is read."""
        Gauge(name, told, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All of them, in Prometheus's format."""
        return generate_latest(self.registry)

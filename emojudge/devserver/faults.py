"""Faults of the test double, scripted: which request, line or batch goes wrong, and how."""

import threading
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emojudge.errors import ConfigError

KINDS = {
    "status": "answer with `status`, `code`, `message`, `param` and `headers` instead of doing it",
    "drop": "close the connection instead of doing it",
    "lose": "do it, then close the connection without an answer",
    "cut": "do it, then close the connection in the middle of the answer",
    "delay": "do it `seconds` later",
    "content": "answer with `content` (text, or anything that JSON can hold) under `status` 200",
    "bomb": "answer with little that unpacks to 128 MiB",
    "answer": "the model says `text`, ends with `finish`, or refuses with `refusal`; `headers` are sent",
    "error": "line: an error with `code` and no answer, as batch_expired or request_timeout",
    "missing": "line: in neither file",
    "twice": "line: in the file twice",
    "differ": "line: in the file twice, with two answers",
    "foreign": "line: comes back under another custom_id",
    "fail": "batch: fails at validation with `code` and `message`",
    "expire": "batch: expires when half of it is done",
    "cancel": "batch: is cancelled by somebody when half of it is done",
    "stuck": "batch: never leaves `status_name`, until it expires",
}
"""What can go wrong."""


@dataclass(frozen=True)
class Fault:
    """What happens to the `at`-th, and to `times` in all (0: to all from there), of what `on` names.

    `on` is an endpoint as "POST /v1/batches" or "GET /v1/files/{id}/content", or "line" (of a batch, when it is done) or
    "batch" (when it is made). `do` is one of KINDS.
    """

    on: str
    do: str
    at: int = 1
    times: int = 1
    status: int = 500
    code: str | None = None
    message: str = "scripted"
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    finish: str = "stop"
    refusal: str | None = None
    content: Any = None
    seconds: float = 0.0
    status_name: str = "finalizing"

    def __post_init__(self) -> None:
        if self.do not in KINDS:
            raise ConfigError(f"A fault cannot do {self.do!r}; there are {', '.join(KINDS)}.")

    def error(self) -> dict[str, Any]:
        """The body of an error, as the service writes it."""
        return {"error": {"message": self.message, "type": "scripted", "code": self.code, "param": self.param}}


class Script:
    """Faults in the order of their coming; counts what has been asked for."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        self.seen: Counter[str] = Counter()
        self._guard = threading.Lock()

    def next(self, on: str) -> Fault | None:
        """Count one more of `on`; the fault that it meets, if any."""
        with self._guard:
            self.seen[on] += 1
            number = self.seen[on]
        met = (f for f in self.faults if f.on == on and f.at <= number and (not f.times or number < f.at + f.times))
        return next(met, None)


def read_script(path: str | Path) -> list[Fault]:
    """Read a TOML file of `[[faults]]`.

    Raises:
        ConfigError: it cannot be read, or a fault has a field or a kind that there is not.
    """
    try:
        return [Fault(**row) for row in tomllib.loads(Path(path).read_text(encoding="utf-8")).get("faults", ())]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no script of faults ({error}); write [[faults]] with on and do.") from None

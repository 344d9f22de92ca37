"""Files, batches, the clock and the meter of the test double.

Time is virtual: it passes when somebody looks at a batch, or through `/clock`, and never by itself.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emojudge.devserver import toy
from emojudge.devserver.faults import Fault, Script
from emojudge.storage import digest

STEP = 60
"""Virtual seconds a batch spends in each of validating, in_progress and finalizing."""

DAY = 24 * 3600
MOST_LINES = 50_000
TERMINAL = ("completed", "failed", "expired", "cancelled")

Answerer = Callable[[str, Mapping[str, Any], Fault | None], tuple[int, Any]]


class Meter:
    """What would have been charged, by the digest of the request's messages: a second charge shows."""

    def __init__(self) -> None:
        self.charged: Counter[str] = Counter()
        self.tokens = 0
        self._guard = threading.Lock()

    def charge(self, body: Mapping[str, Any], tokens: int) -> None:
        """One answered request."""
        with self._guard:
            self.charged[digest(toy.messages(body))] += 1
            self.tokens += tokens

    def read(self) -> dict[str, Any]:
        """Totals, and how often each request was charged."""
        double = sum(times - 1 for times in self.charged.values())
        return {"charged": self.charged.total(), "double": double, "tokens": self.tokens, "requests": dict(self.charged)}


@dataclass
class Batch:
    """A batch as the service shows it (`shown`), and what becomes of it."""

    shown: dict[str, Any]
    fault: Fault | None
    lines: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    step: int = 0


class Store:
    """Everything the service keeps; one lock, so that requests see it whole."""

    def __init__(self, script: Script, answer: Answerer, queue_tokens: int | None, tick: int) -> None:
        self.script, self.answer, self.queue_tokens, self.tick = script, answer, queue_tokens, tick
        self.now = 1_000_000
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.lock = threading.RLock()

    def keep(self, content: bytes) -> str:
        """Store a file; its id."""
        with self.lock:
            name = f"file-{len(self.files) + 1}"
            self.files[name] = content
            return name

    def create(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """A new batch, validated later; None where its file is not there."""
        with self.lock:
            if asked.get("input_file_id") not in self.files:
                return None
            name = f"batch_{len(self.batches) + 1}"
            shown = {
                "id": name,
                "object": "batch",
                "endpoint": asked["endpoint"],
                "errors": None,
                "input_file_id": asked["input_file_id"],
                "completion_window": asked["completion_window"],
                "status": "validating",
                "output_file_id": None,
                "error_file_id": "",
                "created_at": self.now,
                "expires_at": self.now + DAY,
                "request_counts": {"total": 0, "completed": 0, "failed": 0},
                "metadata": asked.get("metadata"),
            }
            self.batches[name] = Batch(shown, self.script.next("batch"))
            return dict(shown)

    def look(self, name: str) -> dict[str, Any] | None:
        """A batch as it is now; looking makes a tick of time pass."""
        with self.lock:
            self.advance(self.tick)
            return dict(self.batches[name].shown) if name in self.batches else None

    def page(self, after: str | None, limit: int) -> dict[str, Any]:
        """Some batches, the newest first, and whether there are more."""
        with self.lock:
            names = list(reversed(self.batches))
            names = names[names.index(after) + 1 :] if after in names else names
            data = [dict(self.batches[name].shown) for name in names[:limit]]
            ends = {"first_id": names[0] if names else None, "last_id": data[-1]["id"] if data else None}
            return {"object": "list", "data": data, "has_more": len(names) > limit, **ends}

    def cancel(self, name: str) -> dict[str, Any] | None:
        """Stop a batch; what is done of it stays and is charged."""
        with self.lock:
            batch = self.batches.get(name)
            if batch and batch.shown["status"] not in TERMINAL:
                self._run(batch, len(batch.lines) // 2 if batch.step else 0, "batch_cancelled")
                batch.shown["status"] = "cancelled"
            return dict(batch.shown) if batch else None

    def advance(self, seconds: int) -> dict[str, int]:
        """Let virtual time pass; what time it is then."""
        with self.lock:
            self.now += seconds
            for batch in self.batches.values():
                while batch.shown["status"] not in TERMINAL and self.now >= batch.shown["created_at"] + STEP * (batch.step + 1):
                    if not self._step(batch):
                        break
            return {"now": self.now}

    def _step(self, batch: Batch) -> bool:
        """Take a batch one status further; False where it does not move."""
        fault, status = batch.fault, batch.shown["status"]
        kind = fault.do if fault else ""
        if kind == "stuck" and fault and status == fault.status_name:
            if self.now < batch.shown["expires_at"]:
                return False
            kind = "expire"
        batch.step += 1
        if status == "validating":
            self._validate(batch)
        elif status == "in_progress" and kind in ("expire", "cancel"):
            ended = "expired" if kind == "expire" else "cancelled"
            self._run(batch, len(batch.lines) // 2, f"batch_{ended}")
            batch.shown["status"] = ended
        elif status == "in_progress":
            batch.shown["status"] = "finalizing"
        else:
            self._run(batch, len(batch.lines), "")
            batch.shown["status"] = "completed"
        return True

    def _validate(self, batch: Batch) -> None:
        """What the service checks after it has accepted a batch."""
        found = self._read(batch)
        if batch.fault and batch.fault.do == "fail":
            found = (batch.fault.code or "invalid_json_line", batch.fault.message)
        if found:
            batch.shown |= {"status": "failed", "errors": {"object": "list", "data": [{"code": found[0], "message": found[1]}]}}
        else:
            batch.shown["status"] = "in_progress"
            batch.shown["request_counts"]["total"] = len(batch.lines)

    def _read(self, batch: Batch) -> tuple[str, str] | None:
        """Read a batch's lines; what is wrong with them, as code and message."""
        try:
            batch.lines = [json.loads(line) for line in self.files[batch.shown["input_file_id"]].splitlines()]
            ids = {line["custom_id"] for line in batch.lines}
            urls, models = {line["url"] for line in batch.lines}, {line["body"]["model"] for line in batch.lines}
            batch.tokens = sum(toy.tokens(line["body"]) for line in batch.lines)
        except (ValueError, KeyError, TypeError) as error:
            return "invalid_json_line", f"A line cannot be read: {error}"
        waiting = [other.tokens for other in self.batches.values() if other.shown["status"] not in ("validating", *TERMINAL)]
        wrong = {
            "empty_file": not batch.lines,
            "too_many_tasks": len(batch.lines) > MOST_LINES,
            "duplicate_custom_id": len(ids) < len(batch.lines),
            "url_mismatch": urls != {batch.shown["endpoint"]},
            "model_mismatch": len(models) > 1,
            "token_limit_exceeded": self.queue_tokens is not None and sum(waiting) + batch.tokens > self.queue_tokens,
        }
        return next(((code, f"The batch has {code}.") for code, is_so in wrong.items() if is_so), None)

    def _run(self, batch: Batch, done: int, rest: str) -> None:
        """Answer the first `done` lines, last things first; the others end with the error `rest`."""
        good: list[str] = []
        bad: list[str] = []
        for line in reversed(batch.lines[:done]):
            self._answer(line, good, bad)
        bad += [json.dumps(_failed(line, rest, "The batch ended before this line.")) for line in batch.lines[done:]]
        batch.shown["request_counts"] |= {"completed": len(good), "failed": len(bad)}
        batch.shown["output_file_id"] = self.keep("\n".join([*good, ""]).encode()) if good else None
        batch.shown["error_file_id"] = self.keep("\n".join([*bad, ""]).encode()) if bad else ""

    def _answer(self, line: Mapping[str, Any], good: list[str], bad: list[str]) -> None:
        """Put a line's answer where it belongs, or where a fault puts it."""
        fault = self.script.next("line")
        kind = fault.do if fault else ""
        if fault and kind == "error":
            bad.append(json.dumps(_failed(line, fault.code or "request_timeout", fault.message)))
            return
        status, body = self.answer(line["url"], line["body"], fault)
        name = f"foreign-{line['custom_id']}" if kind == "foreign" else line["custom_id"]
        row = {"id": "batch_req_1", "custom_id": name, "response": {"status_code": status, "body": body}, "error": None}
        if kind != "missing":
            (good if status == 200 else bad).append(json.dumps(row))
        if kind in ("twice", "differ"):
            body = toy.completion(line["body"], toy.Answer('{"label": "other"}')) if kind == "differ" else body
            good.append(json.dumps({**row, "response": {"status_code": status, "body": body}}))


def _failed(line: Mapping[str, Any], code: str, message: str) -> dict[str, Any]:
    """A line that has no answer."""
    return {"id": "batch_req_1", "custom_id": line["custom_id"], "response": None, "error": {"code": code, "message": message}}

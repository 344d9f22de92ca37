"""What the judge was asked and what it answered, in SQLite: nothing is asked twice, nothing is lost.

A request is written down before it is sent, and an answer before it is used; each is on the disk (WAL with
`synchronous=FULL`) when the call returns. One process writes at a time. A request that was on its way when a process was
killed has an intent and no answer: it is asked again.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from emojudge.answers import Reply
from emojudge.errors import DataError, EmoJudgeError, JudgeError
from emojudge.prompts import Prompt
from emojudge.storage import to_row, write_jsonl
from emojudge.types import Verdict

MIGRATIONS = (
    """
    CREATE TABLE requests (
      key TEXT PRIMARY KEY, id TEXT NOT NULL, judge TEXT NOT NULL, prompt_id TEXT NOT NULL, shown TEXT NOT NULL,
      labels TEXT NOT NULL, temperature REAL NOT NULL, confidence_from TEXT NOT NULL, cut INTEGER NOT NULL,
      asked_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE answers (
      key TEXT PRIMARY KEY REFERENCES requests, outcome TEXT NOT NULL, label TEXT, confidence REAL NOT NULL,
      probabilities TEXT NOT NULL, reason TEXT NOT NULL, model TEXT NOT NULL, tokens_in INTEGER NOT NULL,
      tokens_out INTEGER NOT NULL, seconds REAL NOT NULL, note TEXT NOT NULL, answered_at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE batches (
      name TEXT PRIMARY KEY, judge TEXT NOT NULL, service TEXT NOT NULL, tokens INTEGER NOT NULL, made_at REAL NOT NULL,
      batch_id TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT 'intended', closed INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE batch_lines (
      key TEXT NOT NULL REFERENCES requests, batch TEXT NOT NULL REFERENCES batches, PRIMARY KEY (key, batch)
    ) WITHOUT ROWID;
    CREATE INDEX lines_of_batch ON batch_lines (batch);
    """,
)
"""Each is applied once, in order; `PRAGMA user_version` counts them."""

_VERDICT = "r.id, a.label, a.probabilities, a.confidence, a.reason, r.judge, a.key, a.outcome"
_COUNTING = "FROM answers a JOIN requests r USING (key) WHERE a.outcome != 'error'"


@dataclass
class Batch:
    """Requests that travel together: what the service calls it (once it is made there), how it stands, and whose they are.

    `status` is "intended" (nobody was told), "creating" (the service may have been told), or the service's own word.
    """

    name: str
    tokens: int
    made_at: float
    keys: frozenset[str]
    batch_id: str = ""
    status: str = "intended"


class Ledger:
    """An open ledger; close it, or use it in a `with`.

    >>> import tempfile
    >>> with Ledger(Path(tempfile.mkdtemp()) / "ledger.sqlite") as ledger:
    ...     ledger.find("no such key") is None, ledger.totals()["answers"]
    (True, 0)

    Raises:
        JudgeError: another process has it open.
        DataError: it is no ledger, is damaged, or was written by a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            # Exclusive before WAL: the lock is held until we close or die, so a second writer finds out at once.
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.execute("PRAGMA foreign_keys = ON")
            with self._transaction():
                self._migrate()
        except sqlite3.Error as error:
            self.close()
            raise _explain(self.path, error) from None
        except EmoJudgeError:
            self.close()
            raise

    def _migrate(self) -> None:
        """Bring an older ledger, or an empty one, to the present tables; one transaction, held by the caller."""
        version = self._base.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise DataError(f"{self.path} was written by a newer EmoJudge (tables {version}); update, or use another folder.")
        for statements in MIGRATIONS[version:]:
            for statement in filter(str.strip, statements.split(";")):
                self._base.execute(statement)
        self._base.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def find(self, key: str) -> Verdict | None:
        """The answer to a request, if it has one that counts; one that failed on the way ("error") may be asked again."""
        row = next(self._rows(f"SELECT {_VERDICT} {_COUNTING} AND a.key = ?", key), None)
        return _verdict(row) if row else None

    def intend(self, prompts: Mapping[str, Prompt], judge: str) -> None:
        """Write down, in one transaction, the requests that are about to be sent, by key."""
        now = time.time()
        rows = [
            (key, p.id, judge, p.prompt_id, p.shown, ", ".join(p.labels), p.temperature, p.confidence_from, p.cut, now)
            for key, p in prompts.items()
        ]
        with self._transaction():
            self._base.executemany(
                "INSERT INTO requests VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET asked_at = excluded.asked_at", rows
            )

    def record(self, *replies: Reply) -> None:
        """Write down answers, in one transaction; a later one takes the place of an error, never of an answer."""
        with self._transaction():
            for reply in replies:
                v = reply.verdict
                told = (reply.model, reply.tokens_in, reply.tokens_out, reply.seconds, reply.note, time.time())
                row = (v.key, v.outcome, v.label, v.confidence, json.dumps(dict(v.probabilities)), v.reason, *told)
                self._base.execute("DELETE FROM answers WHERE key = ? AND outcome = 'error'", (v.key,))
                self._base.execute("INSERT INTO answers VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", row)

    def verdicts(self) -> Iterator[Verdict]:
        """Every answer that counts, one at a time, by key."""
        for row in self._rows(f"SELECT {_VERDICT} {_COUNTING} ORDER BY a.key"):
            yield _verdict(row)

    def begin_batch(self, judge: str, service: str, keys: Iterable[str], tokens: int, now: float) -> Batch:
        """Write down a batch before anybody is told of it; its name is its own wherever it goes."""
        batch = Batch(uuid.uuid4().hex, tokens, now, frozenset(keys))
        with self._transaction():
            about = (batch.name, judge, service, tokens, now)
            self._base.execute("INSERT INTO batches (name, judge, service, tokens, made_at) VALUES (?,?,?,?,?)", about)
            self._base.executemany("INSERT INTO batch_lines VALUES (?,?)", [(key, batch.name) for key in batch.keys])
        return batch

    def mark_batch(self, batch: Batch, status: str, *, batch_id: str = "", closed: bool = False) -> None:
        """Write down how a batch stands; closed: its answers are here, or will never come."""
        batch.status, batch.batch_id = status, batch_id or batch.batch_id
        with self._transaction():
            about = (status, batch.batch_id, closed, batch.name)
            self._base.execute("UPDATE batches SET status = ?, batch_id = ?, closed = ? WHERE name = ?", about)

    def open_batches(self, judge: str, service: str) -> list[Batch]:
        """Batches of this judge at this service that are not closed, the oldest first."""
        rows = self._rows(
            "SELECT name, tokens, made_at, batch_id, status FROM batches"
            " WHERE judge = ? AND service = ? AND NOT closed ORDER BY made_at",
            judge,
            service,
        )
        return [Batch(name, tokens, made, self._keys(name), *rest) for name, tokens, made, *rest in list(rows)]

    def under_way(self) -> list[dict[str, Any]]:
        """Every batch that is not closed: at which service, what it calls it, how it stood when last looked at, requests, age."""
        rows = self._rows(
            "SELECT service, batch_id, status, (SELECT count(*) FROM batch_lines WHERE batch = name), made_at"
            " FROM batches WHERE NOT closed ORDER BY made_at"
        )
        return [
            {"service": service, "id": id, "status": status, "requests": requests, "hours": _hours_since(made)}
            for service, id, status, requests, made in rows
        ]

    def _keys(self, batch: str) -> frozenset[str]:
        return frozenset(key for (key,) in self._rows("SELECT key FROM batch_lines WHERE batch = ?", batch))

    def used(self) -> list[tuple[str, bool, int, int]]:
        """Tokens in and out so far, for each judge, and whether in batches."""
        found = self._rows(
            "SELECT judge, EXISTS (SELECT 1 FROM batch_lines b WHERE b.key = a.key) AS batched,"
            " sum(tokens_in), sum(tokens_out) FROM answers a JOIN requests USING (key) GROUP BY 1, 2"
        )
        return [(judge, batched, tokens_in, tokens_out) for judge, batched, tokens_in, tokens_out in found]

    def export(self, path: str | Path, bare: bool = False) -> int:
        """Write every answer as a line that the judge `replay` reads, with its model, prompt and day; return how many.

        `bare` leaves out what may tell of the clip: its id, and the reason, which may quote the transcript.
        """
        found = self._rows(
            f"SELECT {_VERDICT}, a.model, r.prompt_id, date(a.answered_at, 'unixepoch') {_COUNTING} ORDER BY a.key"
        )
        left_out = {"id", "reason"} if bare else set()
        rows = (to_row(_verdict(row[:8])) | dict(zip(("model", "prompt_id", "date"), row[8:], strict=True)) for row in found)
        return write_jsonl(path, ({name: value for name, value in row.items() if name not in left_out} for row in rows))

    def totals(self) -> dict[str, float]:
        """Requests, answers that count, errors, tokens and seconds so far."""
        [(requests,)] = self._rows("SELECT count(*) FROM requests")
        [(answers, errors, *used)] = self._rows(
            "SELECT total(outcome != 'error'), total(outcome = 'error'), total(tokens_in), total(tokens_out), total(seconds)"
            " FROM answers"
        )
        whole = (requests, int(answers), int(errors), int(used[0]), int(used[1]))
        return dict(zip(("requests", "answers", "errors", "tokens_in", "tokens_out"), whole, strict=True), seconds=used[2])

    def _rows(self, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        """What a query finds, one at a time; the disk may hold something else than was written."""
        try:
            yield from self._base.execute(query, values)
        except sqlite3.Error as error:
            raise _explain(self.path, error) from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it on the disk, or none of it."""
        try:
            self._base.execute("BEGIN IMMEDIATE")
            yield
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            raise _explain(self.path, error) from None
        finally:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")

    def close(self) -> None:
        """Let the next process in."""
        self._base.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _hours_since(then: float) -> float:
    """How long ago that was; not in the future, even if the clock was put back."""
    return round(max(0.0, time.time() - then) / 3600, 1)


def _verdict(row: tuple[Any, ...]) -> Verdict:
    """A row of `_VERDICT`, whose columns are the fields of Verdict."""
    utterance, label, probabilities, *rest = row
    return Verdict(utterance, label, json.loads(probabilities), *rest)


def _explain(path: Path, error: sqlite3.Error) -> EmoJudgeError:
    """What SQLite met, as a sentence."""
    if "locked" in str(error) or "busy" in str(error):
        return JudgeError(f"{path} is in use by another EmoJudge process; wait until it ends, or stop it.")
    if isinstance(error, sqlite3.OperationalError):
        return JudgeError(f"{path} cannot be written ({error}); free the disk or correct its permissions.")
    return DataError(f"{path} is damaged or no ledger ({error}); restore it, or move it away and judge again.")

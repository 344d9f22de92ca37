"""The lines of a batch: requests cut into files, and result files joined by custom_id.

The format is the Batch API's: https://platform.openai.com/docs/guides/batch; `vllm run-batch` reads and writes it too.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from emojudge.costs import tokens_of
from emojudge.judges._exchange import Exchange
from emojudge.prompts import Prompt
from emojudge.storage import digest

MOST_BYTES = 190_000_000
"""In one file; the service takes 200 MB."""


def line(exchange: Exchange, key: str, prompt: Prompt) -> bytes:
    """One request."""
    row = {"custom_id": key, "method": "POST", "url": exchange.path, "body": exchange.body(prompt)}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def write(
    exchange: Exchange, prompts: Mapping[str, Prompt], stream: IO[bytes], *, most: int = 10**9, tokens: float = float("inf")
) -> tuple[list[str], int]:
    """Write requests until `most` are there, or MOST_BYTES or `tokens` would be exceeded; one is always written.

    Returns:
        The keys that were written, and their tokens, estimated.
    """
    keys: list[str] = []
    spent = size = 0
    for key, prompt in prompts.items():
        text, more = line(exchange, key, prompt), tokens_of(prompt)
        if keys and (len(keys) == most or size + len(text) > MOST_BYTES or spent + more > tokens):
            break
        stream.write(text)
        keys.append(key)
        spent, size = spent + more, size + len(text)
    return keys, spent


@dataclass
class Results:
    """What came back, by key, and what is wrong with it.

    `answers` holds whole answers, `errors` the status (None: the service gave none), code, parameter and message of failed
    lines. A key with two different answers is in neither.
    """

    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    errors: dict[str, tuple[int | None, str | None, str | None, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def join(lines: Iterable[bytes], expected: Iterable[str]) -> Results:
    """Join result lines, in any order, to the requests `expected`; identical duplicates count once."""
    results, known, seen = Results(), frozenset(expected), dict[str, str]()
    for key, row in _rows(lines, results.wrong):
        if key not in known:
            results.wrong.append(f"an answer to {key!r}, which was not asked")
            continue
        said = digest([row.get("response"), row.get("error")])
        if seen.setdefault(key, said) != said:
            results.wrong.append(f"two different answers to {key}")
            seen[key] = ""
            results.answers.pop(key, None)
            results.errors.pop(key, None)
        else:
            _sort(key, row, results)
    return results


def _rows(lines: Iterable[bytes], wrong: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Key and content of each line that is JSON with a custom_id."""
    for text in filter(bytes.strip, lines):
        try:
            row = json.loads(text)
            yield str(row["custom_id"]), row
        except (ValueError, KeyError, TypeError, RecursionError):
            wrong.append(f"a line that is no answer ({text[:60]!r})")


def _mapping(value: Any) -> Mapping[str, Any]:
    """What others may write as text alone, as an object."""
    return value if isinstance(value, Mapping) else {"message": str(value)} if value else {}


def _sort(key: str, row: Mapping[str, Any], results: Results) -> None:
    """An answer, or an error with whatever it says of itself."""
    response, error = (_mapping(row.get(name)) for name in ("response", "error"))
    status, body = response.get("status_code"), response.get("body")
    if status == 200 and isinstance(body, Mapping) and not error:
        results.answers[key] = body
        return
    found = body.get("error") if isinstance(body, Mapping) else None
    told = {**error, **(found if isinstance(found, Mapping) else {})}
    results.errors[key] = (status, told.get("code"), told.get("param"), str(told.get("message") or body or "no message"))

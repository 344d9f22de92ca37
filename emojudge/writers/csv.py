"""CSV (UTF-8, comma): one segment a row, for spreadsheets and data frames.

A cell that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV Injection"); numbers stay numbers.
"""

import csv
from pathlib import Path
from typing import Any

from emojudge.storage import atomic
from emojudge.timeline import Timeline

SUFFIX = ".csv"
COLUMNS = ("file", "start", "end", "speaker", "text", "emotion", "confidence")
"""Of a recording in which nobody speaks; others have a column for each probability and attribute, too."""


def write(timeline: Timeline, path: Path) -> None:
    """The columns of `Timeline.flat`; empty where something is not known."""
    rows = timeline.flat()
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, list(rows[0]) if rows else COLUMNS)
        table.writeheader()
        table.writerows({name: safe(value) for name, value in row.items()} for row in rows)


def safe(value: Any) -> Any:
    """A text that no spreadsheet runs.

    >>> safe("=1+1"), safe(-0.5), safe("No - yes")
    ("'=1+1", -0.5, 'No - yes')
    """
    dangerous = isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if dangerous else value

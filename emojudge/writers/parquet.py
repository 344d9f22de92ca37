"""Parquet (extra `tables`): one segment a row, for data frames and warehouses."""

from collections.abc import Iterable
from pathlib import Path

from emojudge.errors import MissingExtra
from emojudge.storage import atomic
from emojudge.timeline import Timeline
from emojudge.writers.csv import COLUMNS

SUFFIX = ".parquet"


def write(timeline: Timeline, path: Path) -> None:
    """The columns of `Timeline.flat`, with their types.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    several([timeline], path)


def several(timelines: Iterable[Timeline], path: Path) -> None:
    """The same of many recordings; their rows are in memory together."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Writing Parquet", "tables") from None
    texts = {"file", "speaker", "text", "emotion", "judge_label", "judge_reason"}
    rows = [row for one in timelines for row in one.flat()]
    names = dict.fromkeys(name for row in rows for name in row) or COLUMNS
    fields = [(name, pyarrow.string() if name in texts else pyarrow.float64()) for name in names]
    with atomic(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(fields)), temporary)

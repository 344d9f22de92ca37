"""Parquet (extra `tables`): one segment a row, for data frames and warehouses."""

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
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Writing Parquet", "tables") from None
    texts = {"file", "speaker", "text", "emotion", "judge_label", "judge_reason"}
    rows = timeline.flat()
    fields = [(name, pyarrow.string() if name in texts else pyarrow.float64()) for name in (rows[0] if rows else COLUMNS)]
    with atomic(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(fields)), temporary)

"""Rows of Parquet and Arrow files, a batch at a time, with the names of their classes; needs pyarrow."""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emojudge.errors import DataError, MissingExtra

ROWS = 256
"""So many at a time: recordings may be inside."""


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row of a file, and where it stands, as "x.parquet, row 1"; numbers of Hugging Face's classes become names.

    Raises:
        DataError: the file cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtra(f"Reading {path.name}", "tables")
    import pyarrow

    count = 0
    try:
        for batch in _batches(path):
            classes = _classes(batch.schema.metadata or {})
            for row in batch.to_pylist():
                count += 1
                where = f"{path}, row {count}"
                yield where, {name: _named(cell, classes.get(name), where) for name, cell in row.items()}
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({(str(error) or 'damaged').splitlines()[0].rstrip('.')}); get the file anew."
        ) from None


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    if path.suffix == ".parquet":
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(ROWS)
        return
    with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_stream(file) as stream:
        for batch in stream:
            yield from (batch.slice(start, ROWS) for start in range(0, batch.num_rows, ROWS))


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The names of the classes of each column that holds their numbers."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return {name: feature["names"] for name, feature in features.items() if "names" in feature}


def _named(cell: Any, classes: list[str] | None, where: str) -> Any:
    """The name of a class; -1 is Hugging Face's "unknown"."""
    if classes is None or cell is None or cell == -1:
        return None if classes else cell
    if 0 <= cell < len(classes):
        return classes[cell]
    raise DataError(f"{where}: there is no class {cell}; the dataset names {len(classes)}.")

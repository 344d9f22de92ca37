"""A table of your own: CSV (UTF-8, comma), JSON Lines or Parquet, one utterance a row.

Source, licence, speakers: yours. `root` is the file, or a folder that holds `manifest.csv`, `.jsonl` or `.parquet`.

| column | holds |
|---|---|
| `audio` or `file` | the recording, relative to the table's folder (or to `data.audio_root`) |
| `id` | unique; without it the recording's path without suffix, and `_start-end` where the row is a stretch of it |
| `text` or `transcript` | what is said |
| `speaker`, `gender` | a name; F, M, female, male |
| `session` | the conversation or recording that clips share |
| `start`, `end` | seconds into the recording |
| `split` | train, dev, test |
| `emotion` | one of our names in any case, or a name of yours (see `data.labels` and `data.label_map`) |
| `valence`, `arousal`, `dominance` | numbers on one scale |
| `votes` | what raters chose: a JSON object as {"Sad": 2, "Other": 1} |

Traps: `file` names a recording only if it ends like one (.wav, .flac, .mp3 …); elsewhere it is an id, as in text
corpora. An empty cell, NA or nan is "unknown". Parquet needs the extra `tables`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emojudge.corpora import _arrow, _rows
from emojudge.corpora._reading import csv_rows, existing
from emojudge.errors import DataError
from emojudge.types import Utterance

LABELS = _rows.LABELS

NAMES = ("manifest.csv", "manifest.jsonl", "manifest.parquet")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every row, in the table's order.

    Raises:
        DataError: no such file, no column that names the utterances, or a cell that cannot be read; the line is named.
        MissingExtra: it is a Parquet file, and pyarrow is not installed.
    """
    path = _table(root)
    readers: Mapping[str, Callable[[Path], Iterator[tuple[str, Mapping[str, Any]]]]]
    readers = {".jsonl": _json_rows, ".parquet": _arrow.rows}
    for where, row in readers.get(path.suffix, csv_rows)(path):
        yield _rows.utterance(path.parent, where, row)


def _table(root: Path) -> Path:
    """The table itself."""
    if not root.is_dir():
        return existing(root, "data.root must name a CSV, JSON Lines or Parquet file, or a folder with a manifest.csv.")
    for name in NAMES:
        if (root / name).exists():
            return root / name
    raise DataError(f"{root} holds neither {', '.join(NAMES[:-1])} nor {NAMES[-1]}; point data.root at the table itself.")


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a JSON Lines file, and where it stands."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for line_number, line in enumerate(stream, 1):
                where = f"{path}, line {line_number}"
                if line.strip():
                    yield where, _rows.json_object(line, where)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None

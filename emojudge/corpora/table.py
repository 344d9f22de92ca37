"""A table of your own: CSV (UTF-8, comma) or JSON Lines, one utterance a row.

Source, licence, speakers: yours. `root` is the file, or a folder that holds `manifest.csv` or `manifest.jsonl`.

| column | holds |
|---|---|
| `audio` or `file` | the recording, relative to the table's folder (or to `data.audio_root`) |
| `id` | unique; without it the recording's path without suffix, and `_start-end` where the row is a stretch of it |
| `text` or `transcript` | what is said |
| `speaker`, `gender` | a name; F, M, female, male |
| `start`, `end` | seconds into the recording |
| `split` | train, dev, test |
| `emotion` | one of our names in any case, or a name of yours (see `data.labels` and `data.label_map`) |
| `valence`, `arousal`, `dominance` | numbers on one scale |
| `votes` | what raters chose: a JSON object as {"Sad": 2, "Other": 1} |

Traps: `file` names a recording only if it ends like one (.wav, .flac, .mp3 …); elsewhere it is an id, as in text
corpora. An empty cell, NA or nan is "unknown".
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emojudge.corpora._reading import GENDERS, OTHERS, csv_rows, existing, number
from emojudge.errors import DataError
from emojudge.types import ATTRIBUTES, EMOTIONS, Utterance

LABELS: Mapping[str, str] = {name.lower(): name for name in (*EMOTIONS, *OTHERS)}

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff")
"""By these endings a `file` is known to be a recording."""


def utterances(root: Path) -> Iterator[Utterance]:
    """Every row, in the table's order.

    Raises:
        DataError: no such file, no column that names the utterances, or a cell that cannot be read; the line is named.
    """
    path = _table(root)
    for where, row in _json_rows(path) if path.suffix == ".jsonl" else csv_rows(path):
        yield _utterance(path.parent, where, row)


def _table(root: Path) -> Path:
    """The table itself."""
    if not root.is_dir():
        return existing(root, "data.root must name a CSV or JSON Lines file, or a folder with a manifest.csv.")
    for name in ("manifest.csv", "manifest.jsonl"):
        if (root / name).exists():
            return root / name
    raise DataError(f"{root} holds neither manifest.csv nor manifest.jsonl; point data.root at the table itself.")


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a JSON Lines file, and where it stands."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for line_number, line in enumerate(stream, 1):
                where = f"{path}, line {line_number}"
                if line.strip():
                    yield where, _object(line, where)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: this is no JSON ({error}); correct it.") from None
    if not isinstance(content, dict):
        raise DataError(f'{where}: this is no JSON object; write it as {{"name": value}}.')
    return content


def _utterance(folder: Path, where: str, row: Mapping[str, Any]) -> Utterance:
    """One row's utterance."""
    file = _string(row.get("file"))
    audio = _string(row.get("audio")) or (file if file and file.lower().endswith(AUDIO) else None)
    start, end = (number(row.get(name), where) for name in ("start", "end"))
    identity = _string(row.get("id")) or _identity(audio or file, start, end)
    if not identity:
        raise DataError(f"{where}: no cell names the utterance; fill a column audio, file or id.")
    values = {name: number(row.get(name), where) for name in ATTRIBUTES}
    emotion = _string(row.get("emotion"))
    return Utterance(
        id=identity,
        audio=str(folder / audio) if audio else None,
        text=_string(row.get("text")) or _string(row.get("transcript")),
        speaker=_string(row.get("speaker")),
        gender=GENDERS.get((_string(row.get("gender")) or "").lower()),
        start=start,
        end=end,
        split=_string(row.get("split")),
        emotion=_label(emotion) if emotion else None,
        attributes={name: value for name, value in values.items() if value is not None},
        votes=_votes(row.get("votes"), where),
    )


def _identity(file: str | None, start: float | None, end: float | None) -> str | None:
    """A recording's path without its suffix, and the stretch of it.

    >>> _identity("day 1/a.wav", 2.0, 3.5)
    'day 1/a_2-3.5'
    """
    if file and file.lower().endswith(AUDIO):
        file = file[: file.rindex(".")]
    stretch = "-".join("" if time is None else f"{time:g}" for time in (start, end))
    return f"{file}_{stretch}" if file and stretch != "-" else file


def _votes(cell: Any, where: str) -> dict[str, float]:
    """Votes by our label names; names that mean the same are added up."""
    content = _object(cell, where) if isinstance(cell, str) and cell else cell or {}
    votes: dict[str, float] = {}
    for name, count in content.items():
        votes[_label(name)] = votes.get(_label(name), 0.0) + (number(count, where) or 0.0)
    return votes


def _label(name: str) -> str:
    return LABELS.get(name.lower(), name)


def _string(cell: Any) -> str | None:
    """A cell as text that can be stored as UTF-8 (JSON may escape half a character); None if empty."""
    return str(cell).encode("utf-8", "replace").decode().strip() or None if cell is not None else None

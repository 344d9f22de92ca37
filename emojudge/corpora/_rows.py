"""A row of anyone's table, whatever file it stood in, as an utterance; the columns are listed at the top of `table.py`."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emojudge.corpora._reading import GENDERS, OTHERS, number
from emojudge.errors import DataError
from emojudge.types import ATTRIBUTES, EMOTIONS, Utterance

LABELS: Mapping[str, str] = {name.lower(): name for name in (*EMOTIONS, *OTHERS)}

SYNONYMS: Mapping[str, str] = {
    **LABELS,
    "anger": "Angry",
    "disgusted": "Disgust",
    "excitement": "Excited",
    "fearful": "Fear",
    "frustration": "Frustrated",
    "happiness": "Happy",
    "joy": "Happy",
    "sadness": "Sad",
    "surprised": "Surprise",
}
"""Names in published databases, which spell the same class in many ways."""

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff")
"""By these endings a `file` is known to be a recording."""


def utterance(folder: Path, where: str, row: Mapping[str, Any], labels: Mapping[str, str] = LABELS) -> Utterance:
    """One row's utterance; recordings are relative to `folder`.

    Raises:
        DataError: no cell names the utterance, or one cannot be read; `where` is named.
    """
    file = string(row.get("file"))
    audio = string(row.get("audio")) or (file if file and file.lower().endswith(AUDIO) else None)
    start, end = (number(row.get(name), where) for name in ("start", "end"))
    name = string(row.get("id")) or identity(audio or file, start, end)
    if not name:
        raise DataError(f"{where}: no cell names the utterance; fill a column audio, file or id.")
    values = {name: number(row.get(name), where) for name in ATTRIBUTES}
    emotion = string(row.get("emotion"))
    return Utterance(
        id=name,
        audio=str(folder / audio) if audio else None,
        text=string(row.get("text")) or string(row.get("transcript")),
        speaker=string(row.get("speaker")),
        gender=GENDERS.get((string(row.get("gender")) or "").lower()),
        start=start,
        end=end,
        split=string(row.get("split")),
        emotion=labels.get(emotion.lower(), emotion) if emotion else None,
        attributes={name: value for name, value in values.items() if value is not None},
        votes=_votes(row.get("votes"), where, labels),
        session=string(row.get("session")),
    )


def identity(file: str | None, start: float | None, end: float | None) -> str | None:
    """A recording's path without its suffix, and the stretch of it.

    >>> identity("day 1/a.wav", 2.0, 3.5)
    'day 1/a_2-3.5'
    """
    if file and file.lower().endswith(AUDIO):
        file = file[: file.rindex(".")]
    stretch = "-".join("" if time is None else f"{time:g}" for time in (start, end))
    return f"{file}_{stretch}" if file and stretch != "-" else file


def json_object(text: str, where: str) -> dict[str, Any]:
    """The JSON object that `text` is.

    Raises:
        DataError: it is none.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: this is no JSON ({error}); correct it.") from None
    if not isinstance(content, dict):
        raise DataError(f'{where}: this is no JSON object; write it as {{"name": value}}.')
    return content


def string(cell: Any) -> str | None:
    """A cell as text that can be stored as UTF-8 (JSON may escape half a character); None if empty."""
    return str(cell).encode("utf-8", "replace").decode().strip() or None if cell is not None else None


def _votes(cell: Any, where: str, labels: Mapping[str, str]) -> dict[str, float]:
    """Votes by our label names; names that mean the same are added up, and names without a number left out."""
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):  # so some programs write an empty cell
        return {}
    content = json_object(cell, where) if isinstance(cell, str) else cell
    if not isinstance(content, Mapping):
        raise DataError(f'{where}: votes are {str(content)[:40]!r}; write them as {{"name": number}}, or leave them empty.')
    votes: dict[str, float] = {}
    for name, cell_count in content.items():
        count = number(cell_count, where)
        if count is not None:
            label = labels.get(name.lower(), name)
            votes[label] = votes.get(label, 0.0) + count
    return votes

"""What each rater chose, in all the shapes in which the MSP corpora of UT Dallas tell it.

- columns: a row for each rater of each clip, with one column for the main emotion;
- lines: `WORKER00000012; Happy; Happy,Excited; A:5; V:6; D:4;`, as a cell, or in a text file below the clip's own line
  `MSP-PODCAST_0001_0008.wav; N; A:2.3; V:4.0; D:3.6;`;
- JSON: `{clip: {worker: record}}`, where the record is an object with the columns' names, or such a line.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emojudge.corpora._reading import csv_rows, read_json, read_text
from emojudge.errors import DataError

MAJOR = ("EmoClass_Major", "EmoClass_major", "Major", "Primary", "EmoClass")
"""How the column of a rater's main emotion is called, by release."""

CLIPS = (".wav", ".avi")

HINT = "unpack the labels again, or move this file away to go without votes."


def counted(choices: Iterable[tuple[str, str]], labels: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Votes by the clip's file name without suffix, from each (clip, choice); free text as in "Other-Annoyed" is cut off."""
    votes: dict[str, Counter[str]] = {}
    for clip, choice in choices:
        name = choice.partition("-")[0].strip()
        if name:
            votes.setdefault(Path(clip).stem, Counter())[labels.get(name, name)] += 1
    return {stem: {name: float(count) for name, count in found.items()} for stem, found in votes.items()}


def from_csv(path: Path) -> Iterator[tuple[str, str]]:
    """Each (clip, choice) of a CSV file: a column names the choice, or a cell is a rater's line.

    Raises:
        DataError: neither is so.
    """
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        header = next(csv.reader(stream), [])
    column = next((name for name in MAJOR if name in header), None)
    if column and "FileName" in header:
        for _, row in csv_rows(path):
            yield row["FileName"], row[column]
        return
    rows = csv.reader(read_text(path).splitlines())
    for clip, *cells in filter(None, rows):
        if clip.endswith(CLIPS):  # the commas between second emotions may have cut the line into cells
            yield clip, _major(",".join(cells), f"{path}, line {rows.line_num}")
        elif rows.line_num > 1:
            raise DataError(f"{path}, line {rows.line_num} names neither a clip nor a rater's choice; {HINT}")


def from_json(path: Path) -> Iterator[tuple[str, str]]:
    """Each (clip, choice) of a JSON file.

    Raises:
        DataError: it is not `{clip: {worker: record}}`.
    """
    for clip, raters in read_json(path, HINT).items():
        where = f"{path}, {clip}"
        if not isinstance(raters, dict):
            raise DataError(f"{where} has no raters; {HINT}")
        for record in raters.values():
            yield clip, _recorded(record, where)


def from_text(path: Path) -> Iterator[tuple[str, str]]:
    """Each (clip, choice) of a text file, in which raters' lines follow the clip's line.

    Raises:
        DataError: a rater's line comes before any clip, or is none.
    """
    clip = ""
    for where, fields in lines(path):
        if fields[0].endswith(CLIPS):
            clip = fields[0]
        elif not clip:
            raise DataError(f"{where} belongs to no clip; {HINT}")
        else:
            yield clip, _major(";".join(fields), where)


def lines(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """The fields of each line that is not empty, and where it stands."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield f"{path}, line {number}", [field.strip() for field in line.split(";")]


def _recorded(record: Any, where: str) -> str:
    if isinstance(record, str):
        return _major(record, where)
    column = next((name for name in MAJOR if isinstance(record, dict) and name in record), None)
    if column is None:
        raise DataError(f"{where}: a rater has no {MAJOR[0]!r}; {HINT}")
    return str(record[column])


def _major(line: str, where: str) -> str:
    """The second field of a rater's line.

    >>> _major("WORKER1; Happy; Happy,Excited; A:5; V:6; D:4;", "")
    'Happy'
    """
    fields = line.split(";")
    if len(fields) < 3:
        raise DataError(f"{where}: {line[:40]!r} is no rater's choice; {HINT}")
    return fields[1].strip()

"""What each rater chose, in all the shapes in which the MSP corpora of UT Dallas tell it.

- columns: a row for each rater of each clip, with one column for the main emotion;
- lines: `WORKER00000012; Happy; Happy,Excited; A:5; V:6; D:4;`, as a cell, or in a text file below the clip's own line
  `MSP-PODCAST_0001_0008.wav; N; A:2.3; V:4.0; D:3.6;`;
- JSON: `{clip: {worker: record}}`, where the record is an object with the columns' names, or such a line.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emojudge.corpora._reading import csv_rows, number, read_json, read_text
from emojudge.errors import DataError

MAJOR = ("EmoClass_Major", "EmoClass_major", "Major", "Primary", "EmoClass")
"""How the column of a rater's main emotion is called, by release."""

CLIPS = (".wav", ".avi")

HINT = "unpack the labels again, or move this file away to go without votes."


RATINGS = {"valence": ("EmoVal", "V:"), "arousal": ("EmoAct", "A:"), "dominance": ("EmoDom", "D:")}
"""The column of a rater's value of each attribute, and how its field in a line begins."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What one rater said of one clip."""

    clip: str
    emotion: str
    ratings: Mapping[str, float]


@dataclass(slots=True)
class Raters:
    """What all raters said of a clip."""

    votes: dict[str, float] = field(default_factory=dict)
    ratings: dict[str, list[float]] = field(default_factory=dict)


def collected(choices: Iterable[Choice], labels: Mapping[str, str]) -> dict[str, Raters]:
    """Votes and ratings by the clip's file name without suffix; free text as in "Other-Annoyed" is cut off."""
    found: defaultdict[str, Raters] = defaultdict(Raters)
    for choice in choices:
        raters, name = found[Path(choice.clip).stem], choice.emotion.partition("-")[0].strip()
        if name:
            label = labels.get(name, name)
            raters.votes[label] = raters.votes.get(label, 0.0) + 1
        for attribute, value in choice.ratings.items():
            raters.ratings.setdefault(attribute, []).append(value)
    return dict(found)


def from_csv(path: Path) -> Iterator[Choice]:
    """Each choice of a CSV file: a column names it, or a cell is a rater's line.

    Raises:
        DataError: neither is so.
    """
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        header = next(csv.reader(stream), [])
    column = next((name for name in MAJOR if name in header), None)
    if column and "FileName" in header:
        for where, row in csv_rows(path):
            yield Choice(row["FileName"], row[column], _rated(row, where))
        return
    rows = csv.reader(read_text(path).splitlines())
    for clip, *cells in filter(None, rows):
        if clip.endswith(CLIPS):  # the commas between second emotions may have cut the line into cells
            yield _of_line(clip, ",".join(cells), f"{path}, line {rows.line_num}")
        elif rows.line_num > 1:
            raise DataError(f"{path}, line {rows.line_num} names neither a clip nor a rater's choice; {HINT}")


def from_json(path: Path) -> Iterator[Choice]:
    """Each choice of a JSON file.

    Raises:
        DataError: it is not `{clip: {worker: record}}`.
    """
    for clip, raters in read_json(path, HINT).items():
        where = f"{path}, {clip}"
        if not isinstance(raters, dict):
            raise DataError(f"{where} has no raters; {HINT}")
        for record in raters.values():
            yield _recorded(clip, record, where)


def from_text(path: Path) -> Iterator[Choice]:
    """Each choice of a text file, in which raters' lines follow the clip's line.

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
            yield _of_line(clip, ";".join(fields), where)


def lines(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """The fields of each line that is not empty, and where it stands."""
    for position, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield f"{path}, line {position}", [part.strip() for part in line.split(";")]


def _recorded(clip: str, record: Any, where: str) -> Choice:
    if isinstance(record, str):
        return _of_line(clip, record, where)
    column = next((name for name in MAJOR if isinstance(record, dict) and name in record), None)
    if column is None:
        raise DataError(f"{where}: a rater has no {MAJOR[0]!r}; {HINT}")
    return Choice(clip, str(record[column]), _rated(record, where))


def _rated(cells: Mapping[str, Any], where: str) -> dict[str, float]:
    """A rater's attributes, from columns or from the fields of a line; what is none is left out."""
    values = {name: number(cells.get(column), where) for name, (column, _) in RATINGS.items()}
    return {name: value for name, value in values.items() if value is not None}


def _of_line(clip: str, line: str, where: str) -> Choice:
    """A rater's line: the second field is the choice, later ones begin with an attribute's letter.

    >>> _of_line("a.wav", "WORKER1; Happy; Happy,Excited; A:5; V:6; D:4;", "").ratings
    {'valence': 6.0, 'arousal': 5.0, 'dominance': 4.0}
    """
    fields = [part.strip() for part in line.split(";")]
    if len(fields) < 3:
        raise DataError(f"{where}: {line[:40]!r} is no rater's choice; {HINT}")
    cells = {column: part[len(start) :] for column, start in RATINGS.values() for part in fields[2:] if part.startswith(start)}
    return Choice(clip, fields[1], _rated(cells, where))

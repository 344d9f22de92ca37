"""What several corpora need: to look into folders and to read tables, with errors that name the place."""

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emojudge.errors import DataError

RECORDINGS = (".wav", ".flac")
"""Suffixes that a corpus's recordings may have: as delivered, or packed without loss."""

OTHERS = ("Boredom", "Calm", "Excited", "Frustrated", "Peaceful", "Powerful", "Other", "NoAgreement")
"""How we call what corpora name beside the eight emotions."""

GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}
"""How corpora write the two genders that they state, and how we do."""


def existing(path: Path, hint: str) -> Path:
    """`path`, if it is there.

    Raises:
        DataError: it is not; `hint` says what to do.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; {hint}")
    return path


def recordings(root: Path, patterns: Sequence[str], hint: str) -> list[Path]:
    """Recordings under `root` that the first fruitful of `patterns` finds, in the order of their names.

    Raises:
        DataError: `root` is missing, or no pattern finds a recording.
    """
    existing(root, hint)
    for pattern in patterns:
        found = sorted(path for path in root.glob(pattern) if path.suffix.lower() in RECORDINGS)
        if found:
            return found
    raise DataError(f"{root} holds no {patterns[0]} in WAV or FLAC; {hint}")


def recording(stem: Path) -> str | None:
    """The recording that `stem` names without its suffix, or None."""
    paths = (stem.with_name(stem.name + suffix) for suffix in RECORDINGS)
    return next((str(path) for path in paths if path.exists()), None)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark.

    Raises:
        DataError: missing, not UTF-8 or not readable.
    """
    existing(path, "check data.root.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from None


def read_json(path: Path, hint: str) -> Mapping[str, Any]:
    """The object that a JSON file holds.

    Raises:
        DataError: missing, or something else; `hint` says what to do.
    """
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); {hint}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object; {hint}")
    return content


def known(names: Mapping[str, str], name: str, where: str) -> str:
    """What `name` is in `names`.

    >>> known({"ANG": "Angry"}, "ANG", "x.csv, line 2")
    'Angry'

    Raises:
        DataError: there is no such name; all are told.
    """
    if name in names:
        return names[name]
    raise DataError(f"{where}: {name[:40]!r} is none of {', '.join(names)}; correct it or get the corpus anew.")


def csv_rows(path: Path, columns: Sequence[str] = (), delimiter: str = ",") -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of a CSV file in UTF-8 (with or without a byte-order mark) and where it stands, as "x.csv, line 2".

    Raises:
        DataError: missing, not UTF-8, without one of `columns`, or a row with more cells than the header.
    """
    csv.field_size_limit(sys.maxsize)  # the default cuts transcripts at 131,072 characters with an error
    existing(path, "check data.root.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=delimiter)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} has no column {missing[0]!r}; its first line must name {', '.join(columns)}.")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row:
                    raise DataError(f"{where} has more cells than the header; put text with commas into double quotes.")
                yield where, {name: (value or "").strip() for name, value in row.items()}
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as CSV ({error}); save it again as comma-separated UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from None


def number(text: str | float | None, where: str) -> float | None:
    """A number; None where there is none ("", "NA", "nan").

    >>> number("2.5", "x.csv, line 2"), number("NA", "x.csv, line 3")
    (2.5, None)

    Raises:
        DataError: neither, or infinite.
    """
    if text is None or str(text).strip().lower() in ("", "na", "nan", "none"):
        return None
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):  # the last: a whole number of 400 digits
        value = math.inf
    if math.isfinite(value):
        return value
    raise DataError(f"{where}: {str(text)[:40]!r} is no number; correct it or leave the cell empty.")

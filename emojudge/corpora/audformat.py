"""An audformat database: `db.yaml` and tables in CSV or Parquet, as audEERING and nkululeko use; read and write.

Source, licence, speakers: the header `db.yaml` says. Layout: `db.<table>.csv` or `.parquet`, indexed by `file` or by
`file, start, end`; https://audeering.github.io/audformat. Needs the extra `audformat`.

Columns by their names, or else by their scheme's: emotion, speaker, gender, transcription (or text), valence, arousal, dominance,
id. A column whose scheme is emotion and whose name is another is one rater's, and a vote; `votes.NAME` counts them. A table's
split is that of its rows. What tables tell of whole files holds for each segment of them; a speaker's gender may be the scheme's.

Traps: audformat prefers `db.*.pkl` beside a table, and a pickle can run code: those files are never opened here. Ids are paths
(and times) where no column tells them. Labels beside emotion's scheme are not read.
"""

import importlib.util
import math
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emojudge.corpora import _rows
from emojudge.corpora._reading import existing
from emojudge.errors import DataError, MissingExtra
from emojudge.types import ATTRIBUTES, SPLITS, Utterance

LABELS = _rows.SYNONYMS

FIELDS = {name: name for name in ("id", "text", "speaker", "gender", "emotion", "split", *ATTRIBUTES)} | {"transcription": "text"}
VOTE = "votes."

_Place = tuple[str, float | None, float | None]


def utterances(root: Path) -> Iterator[Utterance]:
    """Every segment, and every file without segments, in the order of the tables.

    Raises:
        DataError: there is no database in `root`, or a table of it cannot be read.
        MissingExtra: audformat is not installed.
    """
    database = _load(root)
    told: dict[_Place, dict[str, Any]] = defaultdict(dict)
    for name, table in database.tables.items():
        split = _split(database, table.split_id)
        for place, row in _rows_of(database, table):
            known = told[place]
            if votes := known.get("votes", Counter()) + row.pop("votes"):
                known["votes"] = votes
            known.update({"split": split} if split else {}, **row, where=f"{root}, table {name}")
    parted = {file for file, *times in told if times != [None, None]}
    for (file, start, end), row in told.items():
        if (start, end) != (None, None) or file not in parted:
            whole = {**told.get((file, None, None), {}), "id": None, **row, "audio": file, "start": start, "end": end}
            yield _rows.utterance(root, f"{whole['where']}, {file}", whole, LABELS)


def write(items: Iterable[Utterance], root: Path, name: str = "emojudge", form: str = "parquet") -> None:
    """Write `db.yaml` and a table for each split into `root`, in the `form` "parquet" or "csv".

    Raises:
        DataError: an utterance has no recording.
        MissingExtra: audformat is not installed.
    """
    _installed()
    import audformat

    database = audformat.Database(name)
    parts: dict[str | None, list[Utterance]] = defaultdict(list)
    for item in items:
        if item.audio is None:
            raise DataError(f"{item.id} has no recording, which audformat needs; leave it out.")
        parts[item.split].append(item)
    for split, members in parts.items():
        if split:
            kind = split if split in SPLITS else audformat.define.SplitType.OTHER
            database.splits[split] = audformat.Split(kind)
        table = audformat.Table(_index(members, root), split_id=split)
        database[f"utterances.{split}" if split else "utterances"] = table
        for column, values in _cells(members).items():
            if column not in database.schemes:
                database.schemes[column] = audformat.Scheme("float" if isinstance(values[0], float) else "str")
            table[column] = audformat.Column(scheme_id=column)
            table[column].set([None if value == "" else value for value in values])
    database.save(str(root), storage_format=form)


def _installed() -> None:
    if importlib.util.find_spec("audformat") is None:
        raise MissingExtra("The corpus audformat", "audformat")


def _load(root: Path) -> Any:
    """The database, from a copy of its header and tables in which there is no pickle."""
    existing(root / "db.yaml", "point data.root at the folder that holds db.yaml.")
    _installed()
    import audformat
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        for path in root.glob("db.*"):
            if path.suffix in (".yaml", ".csv", ".parquet"):
                shutil.copyfile(path, Path(folder) / path.name)
        try:
            return audformat.Database.load(folder, load_data=True)
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, OSError, yaml.YAMLError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0].replace(folder, str(root)).rstrip(".")
            raise DataError(f"{root} cannot be read as an audformat database ({reason}); get it anew.") from None


def _rows_of(database: Any, table: Any) -> Iterator[tuple[_Place, dict[str, Any]]]:
    """Where each row of a table belongs, and what it tells, under `table.py`'s names."""
    columns = {name: table[name].get().astype(object) for name in table.columns}
    cells = {name: column.where(column.notna(), None).tolist() for name, column in columns.items()}
    schemes = {name: table.columns[name].scheme_id for name in columns}
    genders = {name: _about(database, scheme, "gender") for name, scheme in schemes.items()}
    texts = {name: _about(database, scheme, None) for name, scheme in schemes.items()}
    for number, place in enumerate(_places(table.index)):
        row: dict[str, Any] = {"votes": Counter()}
        for name, values in cells.items():
            value, field = values[number], FIELDS.get(name) or FIELDS.get(schemes[name])
            if value is None:
                continue
            if name.startswith(VOTE):
                row["votes"][name.removeprefix(VOTE)] += value
            elif field == "emotion" and name != "emotion":
                row["votes"][str(texts[name].get(value, value))] += 1
            elif field:
                row[field] = texts[name].get(value, value)
                if field == "speaker" and value in genders[name]:
                    row.setdefault("gender", genders[name][value])
        yield place, row


def _about(database: Any, scheme: str | None, what: str | None) -> Mapping[Any, str]:
    """What a scheme tells of its labels: `what`, or the text that a label stands for."""
    labels = database.schemes[scheme].labels if scheme else None
    if isinstance(labels, str):  # a table of its own
        frame = database.misc_tables[labels].get()
        return dict(frame[what].dropna().astype(str)) if what in frame else {}
    if not isinstance(labels, dict):
        return {}
    if what is None:
        return {label: text for label, text in labels.items() if isinstance(text, str)}
    return {label: about[what] for label, about in labels.items() if isinstance(about, dict) and about.get(what)}


def _places(index: Any) -> Iterator[_Place]:
    """Each row's file and times in seconds; no times for the whole file."""
    if index.nlevels == 1:
        yield from ((file, None, None) for file in index)
        return
    files, starts, ends = (index.get_level_values(level) for level in range(3))
    for file, start, end in zip(files, starts.total_seconds(), ends.total_seconds(), strict=True):
        last = None if math.isnan(end) else end
        yield file, None if math.isnan(start) or (start == 0 and last is None) else start, last


def _split(database: Any, name: str | None) -> str | None:
    """The split by its type, if that is one of ours, else by its name."""
    kind = database.splits[name].type if name else None
    return kind if kind in SPLITS else name


def _index(items: Sequence[Utterance], root: Path) -> Any:
    """The table's index; of times only where an utterance has them."""
    import audformat
    import pandas

    paths = [Path(str(item.audio)) for item in items]
    files = [(path.relative_to(root) if path.is_relative_to(root) else path.absolute()).as_posix() for path in paths]
    if all(item.start is None and item.end is None for item in items):
        return audformat.filewise_index(files)
    starts = pandas.to_timedelta([item.start or 0.0 for item in items], unit="s")
    ends = pandas.to_timedelta([math.nan if item.end is None else item.end for item in items], unit="s")
    return audformat.segmented_index(files, starts, ends)


def _cells(items: Sequence[Utterance]) -> dict[str, list[Any]]:
    """The columns that any of `items` fills; "" where one does not, and NaN for numbers."""
    columns: dict[str, list[Any]] = {"id": [item.id for item in items]}
    for name, field in (("emotion", "emotion"), ("speaker", "speaker"), ("gender", "gender"), ("transcription", "text")):
        columns[name] = [getattr(item, field) or "" for item in items]
    for name in ATTRIBUTES:
        columns[name] = [float(item.attributes.get(name, math.nan)) for item in items]
    for name in sorted({name for item in items for name in item.votes}):
        columns[VOTE + name] = [float(item.votes.get(name, math.nan)) for item in items]
    return {name: values for name, values in columns.items() if any(map(_filled, values))}


def _filled(value: str | float) -> bool:
    return bool(value) if isinstance(value, str) else not math.isnan(value)

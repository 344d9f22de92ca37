"""MSP-Podcast, the corpus of the paper: natural English speech from podcasts, eight emotions and attributes on 1-7.

Source: Lotfian & Busso 2019, https://doi.org/10.1109/TAFFC.2017.2736999, and the challenge of Interspeech 2025. Licence: an
agreement with the University of Texas at Dallas (academic or commercial); nothing of it may be passed on. Speakers:
thousands, some unknown. Layout: `Audios/*.wav`, `Labels/labels_consensus` and `Labels/labels_detailed` (each .csv or
.json), `Labels/labels.txt`, `Transcripts/<clip>.txt`, `Partitions.txt` (or `Partition.txt`) for releases whose labels
name no split.

Splits: Development (Validation in old releases) is dev, Test1 is test; Test2 and Test3 keep their names. Test3 has audio
only: its clips are found in `Audios` by their name.

Traps: the challenge's packs must be unpacked first. Old releases misspell `labels_concensus`, and tell raters' choices in
other shapes (`_msp_raters.py`). EmoClass X is no agreement, O another emotion: they are kept as NoAgreement and Other, with
their votes, and lose the label where `data.labels` lacks it. `SpkrID` may be Unknown, `Split_Set` empty or NA. Attributes
stand in the order activation, valence, dominance here, and in another one in submissions: only names count.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emojudge.corpora import _msp_raters as raters
from emojudge.corpora._reading import GENDERS, csv_rows, existing, known, number, read_json, read_text, recording, recordings
from emojudge.errors import DataError
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "A": "Angry",
    "S": "Sad",
    "H": "Happy",
    "U": "Surprise",
    "F": "Fear",
    "D": "Disgust",
    "C": "Contempt",
    "N": "Neutral",
    "O": "Other",
    "X": "NoAgreement",
}

SPLITS = {"Train": "train", "Development": "dev", "Validation": "dev", "Test1": "test", "Test2": "test2", "Test3": "test3"}
RATINGS = {"valence": "EmoVal", "arousal": "EmoAct", "dominance": "EmoDom"}
COLUMNS = ("FileName", "EmoClass", *RATINGS.values())
CONSENSUS = ("labels_consensus.csv", "labels_concensus.csv", "labels_consensus.json", "labels_concensus.json")
VOTES = {"labels_detailed.csv": raters.from_csv, "labels_detailed.json": raters.from_json, "labels.txt": raters.from_text}
PARTITIONS = ("Partitions.txt", "Partition.txt")
FOLDERS = ("Audios", "Labels", "Transcripts")
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
UNKNOWN = {"", "na", "nan", "none", "unknown"}


def utterances(root: Path) -> Iterator[Utterance]:
    """Every labelled clip in the order of the labels, then the clips of Test3 that have none.

    Raises:
        DataError: a folder is missing or still packed, or the labels are not as they should be.
    """
    for folder in FOLDERS:
        packs = [path for path in sorted(root.glob(f"{folder}*")) if ARCHIVES & set(path.suffixes)]
        if packs and not (root / folder).exists():
            raise DataError(f"{packs[0]} is still packed; unpack it there, so that {root / folder} exists.")
    hint = "point data.root at the folder with Audios, Labels and Transcripts."
    existing(root / "Audios", hint)
    file = _first(existing(root / "Labels", hint), VOTES)
    told = raters.collected(VOTES[file.name](file), LABELS) if file else {}
    splits = _partition(root)
    labelled = set()
    for where, row in _consensus(root / "Labels"):
        stem = Path(row["FileName"]).stem
        labelled.add(stem)
        cells = {name: cell for name, cell in row.items() if cell.lower() not in UNKNOWN}
        if "FileName" not in cells:
            raise DataError(f"{where} names no file; unpack Labels.zip again.")
        yield _utterance(root, where, {"Split_Set": splits.get(stem), **cells}, told.get(stem, raters.Raters()))
    if any((root / "Audios").glob("*_test3_*")):
        for path in recordings(root / "Audios", ("*_test3_*",), hint):
            if path.stem not in labelled:
                yield Utterance(path.stem, str(path), _transcript(root, path.stem), split="test3")


def _utterance(root: Path, where: str, row: Mapping[str, str | None], told: raters.Raters) -> Utterance:
    """The utterance of a row, from which cells that say nothing were taken."""
    ratings = {name: number(row.get(column), where) for name, column in RATINGS.items()}
    file, split, label = str(row["FileName"]), row["Split_Set"], row.get("EmoClass")
    stem = Path(file).stem
    return Utterance(
        id=stem,
        audio=recording(root / "Audios" / stem) or str(root / "Audios" / file),
        text=_transcript(root, stem),
        speaker=row.get("SpkrID"),
        gender=GENDERS.get((row.get("Gender") or "").lower()),
        split=known(SPLITS, split, where) if split else None,
        emotion=LABELS.get(label, label) if label else None,
        attributes={name: value for name, value in ratings.items() if value is not None},
        votes=told.votes,
        ratings=told.ratings,
        session="_".join(stem.split("_")[:2]),
    )


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of the files `names` that is in `folder`."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def _consensus(labels: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each clip's agreed labels, and where they stand."""
    path = _first(labels, CONSENSUS)
    if path is None:
        raise DataError(f"{labels} has no {CONSENSUS[0]} (nor .json); unpack Labels.zip there.")
    if path.suffix == ".csv":
        yield from csv_rows(path, COLUMNS)
        return
    for name, clip in read_json(path, "unpack Labels.zip again.").items():
        missing = [column for column in COLUMNS[1:] if not isinstance(clip, dict) or column not in clip]
        if missing:
            raise DataError(f"{path}: {name} has no {missing[0]!r}; unpack Labels.zip again.")
        yield f"{path}, {name}", {"FileName": name, **{key: _cell(value) for key, value in clip.items()}}


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _partition(root: Path) -> dict[str, str]:
    """The split of each clip by the partition file, whose lines are `Train; clip.wav`; empty where there is none."""
    path = _first(root, PARTITIONS) or _first(root / "Labels", PARTITIONS)
    splits = {}
    for where, fields in raters.lines(path) if path else ():
        if len(fields) < 2:
            raise DataError(f"{where} is no `Train; clip.wav`; unpack the corpus again.")
        splits[Path(fields[1]).stem] = fields[0]
    return splits


def _transcript(root: Path, stem: str) -> str | None:
    """What is said, if the release tells."""
    path = root / "Transcripts" / f"{stem}.txt"
    return read_text(path).strip() if path.exists() else None

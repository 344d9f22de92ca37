"""MSP-Podcast, the corpus of the paper: natural English speech from podcasts, eight emotions and attributes on 1-7.

Source: Lotfian & Busso 2019, https://doi.org/10.1109/TAFFC.2017.2736999, and the challenge of Interspeech 2025. Licence: an
agreement with the University of Texas at Dallas (academic or commercial); nothing of it may be passed on. Speakers:
thousands, some unknown. Layout: `Audios/*.wav`, `Labels/labels_consensus.csv` (or .json), `Labels/labels_detailed.csv`,
`Transcripts/<clip>.txt`.

Splits: Development (Validation in old releases) is dev, Test1 is test; Test2 and Test3 keep their names. Test3 has audio
only: its clips are found in `Audios` by their name.

Traps: the challenge's packs must be unpacked first. Old releases misspell `labels_concensus`. EmoClass X is no agreement,
O another emotion: they are kept as NoAgreement and Other. `SpkrID` may be Unknown, `Split_Set` empty or NA. Attributes
stand in the order activation, valence, dominance here, and in another one in submissions: only names count.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import GENDERS, csv_rows, existing, number, recording, recordings
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
COLUMNS = ("FileName", "EmoClass", *RATINGS.values(), "SpkrID", "Gender", "Split_Set")
CONSENSUS = ("labels_consensus.csv", "labels_concensus.csv", "labels_consensus.json", "labels_concensus.json")
PACKED = {"Audios": "Audios.tar.gz", "Labels": "Labels.zip", "Transcripts": "Transcripts.zip"}


def utterances(root: Path) -> Iterator[Utterance]:
    """Every labelled clip in the order of the labels, then the clips of Test3 that have none.

    Raises:
        DataError: a folder is missing or still packed, or the labels are not as they should be.
    """
    for folder, pack in PACKED.items():
        if (root / pack).exists() and not (root / folder).exists():
            raise DataError(f"{root / pack} is still packed; unpack it there, so that {root / folder} exists.")
    hint = "point data.root at the folder with Audios, Labels and Transcripts."
    existing(root / "Audios", hint)
    votes = _votes(existing(root / "Labels", hint) / "labels_detailed.csv")
    labelled = set()
    for where, row in _consensus(root / "Labels"):
        stem = Path(row["FileName"]).stem
        labelled.add(stem)
        yield _utterance(root, stem, where, row, votes.get(stem, {}))
    if any((root / "Audios").glob("*_test3_*")):
        for path in recordings(root / "Audios", ("*_test3_*",), hint):
            if path.stem not in labelled:
                yield Utterance(path.stem, str(path), _transcript(root, path.stem), split="test3")


def _utterance(root: Path, stem: str, where: str, row: Mapping[str, str], votes: Mapping[str, float]) -> Utterance:
    ratings = {name: number(row[column], where) for name, column in RATINGS.items()}
    return Utterance(
        id=stem,
        audio=recording(root / "Audios" / stem) or str(root / "Audios" / row["FileName"]),
        text=_transcript(root, stem),
        speaker=row["SpkrID"] if row["SpkrID"] not in ("", "NA", "Unknown") else None,
        gender=GENDERS.get(row["Gender"].lower()),
        split=SPLITS.get(row["Split_Set"]),
        emotion=LABELS.get(row["EmoClass"], row["EmoClass"]) or None,
        attributes={name: value for name, value in ratings.items() if value is not None},
        votes=votes,
    )


def _consensus(labels: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each clip's agreed labels, and where they stand."""
    path = next((labels / name for name in CONSENSUS if (labels / name).exists()), None)
    if path is None:
        raise DataError(f"{labels} has no {CONSENSUS[0]} (nor .json); unpack Labels.zip there.")
    if path.suffix == ".csv":
        yield from csv_rows(path, COLUMNS)
        return
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8-sig")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); unpack Labels.zip again.") from None
    for name, clip in content.items():
        missing = [column for column in COLUMNS[1:] if column not in clip]
        if missing:
            raise DataError(f"{path}: {name} has no {missing[0]!r}; unpack Labels.zip again.")
        yield f"{path}, {name}", {"FileName": name, **{column: str(clip[column]).strip() for column in COLUMNS[1:]}}


def _votes(path: Path) -> dict[str, dict[str, float]]:
    """What raters chose, by clip; empty where the release tells it another way (before 2.0) or not at all."""
    if not path.exists():
        return {}
    votes: dict[str, Counter[str]] = {}
    for _, row in csv_rows(path):
        if "EmoClass_Major" not in row or "FileName" not in row:
            return {}
        choice = row["EmoClass_Major"].partition("-")[0].strip()  # free text follows, as in "Other-Annoyed"
        if choice:
            votes.setdefault(Path(row["FileName"]).stem, Counter())[LABELS.get(choice, choice)] += 1
    return {stem: {name: float(count) for name, count in choices.items()} for stem, choices in votes.items()}


def _transcript(root: Path, stem: str) -> str | None:
    """What is said, if the release tells."""
    path = root / "Transcripts" / f"{stem}.txt"
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None

"""EmoBank: English sentences of many genres with valence, arousal and dominance; text only, 10,062 sentences.

Source: Buechel & Hahn 2017, https://aclanthology.org/E17-2092, https://github.com/JULIELab/EmoBank. Licence: CC BY-SA 4.0.
Speakers: none. Layout: `emobank.csv` with `id,split,V,A,D,text`, ratings on 1-5, averaged over the writer's and the
reader's perspective; `individual_reader_ratings.csv` with each reader's, if it is there (the writer's are another question).

Traps: there are no emotion classes and no audio. The ratings are narrow (standard deviations .35, .26, .21), and on 1-5,
not on the 1-7 of MSP-Podcast. Some texts are fragments, even mere punctuation.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import csv_rows, existing, number
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {}

RATINGS = {"valence": "V", "arousal": "A", "dominance": "D"}


def utterances(root: Path) -> Iterator[Utterance]:
    """Every sentence, in the order of the file.

    Raises:
        DataError: the file or a column is missing, or a rating is no number.
    """
    path = existing(root / "emobank.csv", "point data.root at the folder corpus/ of EmoBank.")
    rated = _raters(root / "individual_reader_ratings.csv")
    for where, row in csv_rows(path, ("id", "split", "text", *RATINGS.values())):
        ratings = {name: number(row[column], where) for name, column in RATINGS.items()}
        yield Utterance(
            id=row["id"],
            text=row["text"],
            split=row["split"] or None,
            attributes={name: value for name, value in ratings.items() if value is not None},
            ratings=rated.get(row["id"], {}),
        )


def _raters(path: Path) -> dict[str, dict[str, list[float]]]:
    """What each reader gave the attributes of each sentence; empty where the file is not there."""
    found: dict[str, dict[str, list[float]]] = {}
    for where, row in csv_rows(path, ("id", *RATINGS.values())) if path.exists() else ():
        for name, column in RATINGS.items():
            value = number(row[column], where)
            if value is not None:
                found.setdefault(row["id"], {}).setdefault(name, []).append(value)
    return found

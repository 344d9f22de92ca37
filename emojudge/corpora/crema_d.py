"""CREMA-D: acted English, 12 sentences, six emotions, with about ten listeners' votes for each of 7,442 clips.

Source: Cao et al. 2014, https://doi.org/10.1109/TAFFC.2014.2336244, https://github.com/CheyneyComputerScience/CREMA-D.
Licence: ODbL 1.0. Speakers: 91 actors, 43 of them female. Layout: `AudioWAV/1001_DFA_ANG_XX.wav` = actor, sentence, emotion,
level; `processedResults/tabulatedVotes.csv` and `summaryTable.csv`, `VideoDemographics.csv`. Many copies hold the audio only:
then there are neither votes nor genders.

Traps: the label is what the actor meant; listeners without the picture agree in 42 % of the clips, and votes tie, which
`summaryTable.csv` writes as "A:D". Votes are those for the voice alone (of three kinds in tabulatedVotes.csv).
1076_MTI_SAD_XX is silent: it has no audio here. A clone without Git LFS has small text files named .wav. Surprise and
Contempt are absent. No split was published: actors 1001-1063 train, 1064-1077 dev, 1078-1091 test are ours.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import GENDERS, csv_rows, existing, known, number, recording, recordings
from emojudge.errors import DataError
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "ANG": "Angry",
    "DIS": "Disgust",
    "FEA": "Fear",
    "HAP": "Happy",
    "NEU": "Neutral",
    "SAD": "Sad",
}

SENTENCES = {
    "DFA": "Don't forget a jacket",
    "IEO": "It's eleven o'clock",
    "IOM": "I'm on my way to the meeting",
    "ITH": "I think I have a doctor's appointment",
    "ITS": "I think I've seen this before",
    "IWL": "I would like a new alarm clock",
    "IWW": "I wonder what this is about",
    "MTI": "Maybe tomorrow it will be cold",
    "TAI": "The airplane is almost full",
    "TIE": "That is exactly what happened",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}

SILENT = "1076_MTI_SAD_XX"
VOICE = "1"
"""With this digit begin the numbers of the rows that tell what listeners of the voice alone chose."""

_VOTES = {label[0]: name for label, name in LABELS.items()}
_NAME = re.compile(r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_\w\w?")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip, by name.

    Raises:
        DataError: there are neither recordings nor labels, or a label is none of CREMA-D's.
    """
    hint = "point data.root at the folder that holds AudioWAV, processedResults and VideoDemographics.csv."
    votes = _votes(existing(root, hint) / "processedResults")
    genders = _genders(root / "VideoDemographics.csv")
    for stem in sorted(votes) or [path.stem for path in recordings(root, ("AudioWAV/*", "*"), hint)]:
        where = str(root / "AudioWAV" / stem)
        name = _NAME.fullmatch(stem)
        if not name:
            raise DataError(f"{where} is not named as 1001_DFA_ANG_XX; take it out of the folder.")
        actor = int(name["actor"])
        yield Utterance(
            id=stem,
            audio=None if stem == SILENT else recording(root / "AudioWAV" / stem) or recording(root / stem) or f"{where}.wav",
            text=SENTENCES.get(name["sentence"]),
            speaker=name["actor"],
            gender=genders.get(name["actor"]),
            split="train" if actor <= 1063 else "dev" if actor <= 1077 else "test",
            emotion=known(LABELS, name["emotion"], where),
            votes=votes.get(stem, {}),
        )


def _votes(folder: Path) -> dict[str, dict[str, float]]:
    """Votes for the voice by clip: counts, or where only the winners are told, one for each that won."""
    table, summary = folder / "tabulatedVotes.csv", folder / "summaryTable.csv"
    if table.exists():
        rows = csv_rows(table, ("", "fileName", *_VOTES))
        return {row["fileName"]: _counts(row, where) for where, row in rows if row[""].startswith(VOICE)}
    if not summary.exists():
        return {}
    rows = csv_rows(summary, ("FileName", "VoiceVote"))
    return {row["FileName"]: {known(_VOTES, vote, where): 1.0 for vote in row["VoiceVote"].split(":")} for where, row in rows}


def _counts(row: Mapping[str, str], where: str) -> dict[str, float]:
    counts = {name: number(row[letter], where) for letter, name in _VOTES.items()}
    return {name: count for name, count in counts.items() if count}


def _genders(path: Path) -> dict[str, str | None]:
    if not path.exists():
        return {}
    return {row["ActorID"]: GENDERS.get(row["Sex"].lower()) for _, row in csv_rows(path, ("ActorID", "Sex"))}

"""nEMO: acted Polish, six emotions, 4,481 clips with transcripts.

Source: Christop 2024, https://aclanthology.org/2024.lrec-main.1059, https://github.com/amu-cai/nEMO. Licence: CC BY-NC-SA 4.0.
Speakers: 9, of them 4 female. Layout: `samples/*.wav` at 24 kHz, `data.tsv` with
`file_id, emotion, raw_text, normalized_text, speaker_id, gender, age`, separated by tabs.

Traps: speakers' names are padded with spaces. Disgust and Contempt are absent, and surprise is called "surprised". Text models
need to know Polish. No split was published: speakers KD0 dev, MK0 and WR0 test are ours.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import GENDERS, csv_rows, existing, known, recording
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "anger": "Angry",
    "sadness": "Sad",
    "happiness": "Happy",
    "surprised": "Surprise",
    "fear": "Fear",
    "neutral": "Neutral",
}

COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender")
SPLITS = {"KD0": "dev", "MK0": "test", "WR0": "test"}


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip, in the order of the table.

    Raises:
        DataError: the table or a column is missing, or an emotion is none of nEMO's.
    """
    path = existing(root / "data.tsv", "point data.root at nEMO's folder with data.tsv and samples.")
    for where, row in csv_rows(path, COLUMNS, delimiter="\t"):
        stem = Path(row["file_id"]).stem
        yield Utterance(
            id=stem,
            audio=recording(root / "samples" / stem) or str(root / "samples" / row["file_id"]),
            text=row["raw_text"],
            speaker=row["speaker_id"],
            gender=GENDERS.get(row["gender"]),
            split=SPLITS.get(row["speaker_id"], "train"),
            emotion=known(LABELS, row["emotion"], where),
        )

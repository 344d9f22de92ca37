"""MELD: lines of the TV series Friends in their dialogues, seven emotions, 13,708 utterances.

Source: Poria et al. 2019, https://aclanthology.org/P19-1050, https://github.com/declare-lab/MELD. Licence: GPL-3.0 for
the annotations. Speakers: 6 main characters, who say most, and many others. Layout: `{train,dev,test}_sent_emo.csv`;
the clips `dia{D}_utt{U}.mp4` in `train_splits`, `dev_splits_complete` and `output_repeated_splits_test`.

Audio: extract it beside the clips as WAV or FLAC of the same stem (`ffmpeg -i dia0_utt0.mp4 dia0_utt0.wav`); where it is
missing the utterance has its text only.

Traps: dialogue and utterance numbers begin anew in each split, so the split is part of the id. The official splits
share speakers. StartTime and EndTime count in the episode, not in the clip. Train dia125_utt3 and dev dia110_utt7 are
broken clips: they have no audio here. Some copies carry Windows-1252 quotation marks as control characters; they are
mended. Only the main characters' genders are known to us.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import csv_rows, existing, recording
from emojudge.types import SPLITS, Utterance

LABELS: Mapping[str, str] = {
    "anger": "Angry",
    "sadness": "Sad",
    "joy": "Happy",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
    "neutral": "Neutral",
}

COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
CLIPS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
BROKEN = {"train/dia125_utt3", "dev/dia110_utt7"}
GENDERS = {"Monica": "female", "Phoebe": "female", "Rachel": "female", "Chandler": "male", "Joey": "male", "Ross": "male"}


def utterances(root: Path) -> Iterator[Utterance]:
    """Every line, by split, in the order of the files.

    Raises:
        DataError: a CSV file or a column is missing, or an emotion is none of MELD's.
    """
    hint = "point data.root at MELD's folder with train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv."
    for split in SPLITS:
        for _, row in csv_rows(existing(root / f"{split}_sent_emo.csv", hint), COLUMNS):
            stem = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
            identity = f"{split}/{stem}"
            yield Utterance(
                id=identity,
                audio=None if identity in BROKEN else recording(root / CLIPS[split] / stem),
                text=mended(row["Utterance"]),
                speaker=mended(row["Speaker"]) or None,
                gender=GENDERS.get(row["Speaker"]),
                split=split,
                emotion=LABELS.get(row["Emotion"], row["Emotion"]) or None,
                session=f"{split}/dia{row['Dialogue_ID']}",
            )


def mended(text: str) -> str:
    r"""`text` with control characters taken as what they are in Windows-1252.

    >>> mended("It\x92s")
    'It’s'
    """
    return re.sub("[\x80-\x9f]", lambda found: found[0].encode("latin-1").decode("cp1252", "ignore"), text)

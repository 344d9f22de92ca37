"""RAVDESS, the speech recordings: acted English, two statements, eight emotions, 1,440 clips.

Source: Livingstone & Russo 2018, https://doi.org/10.1371/journal.pone.0196391, https://zenodo.org/records/1188976
(`Audio_Speech_Actors_01-24.zip`). Licence: CC BY-NC-SA 4.0. Speakers: 24 actors; odd numbers are male.
Layout: `Actor_NN/MM-CC-EE-II-SS-RR-AA.wav` = modality, channel, emotion, intensity, statement, repetition, actor.

Traps: Calm has no class in MSP-Podcast, and the published protocol (EmoBox) keeps it as one; Contempt is absent.
Neutral was recorded at one intensity only, hence half as often. Channel 02 is song: left out here. No split was
published: actors 1-16 train, 17-20 dev, 21-24 test are ours, with half of each men and half women. One pair of
recordings in the release is identical, byte for byte (03-01-03-01-02-01-07 and -02-07).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import recordings
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "01": "Neutral",
    "02": "Calm",
    "03": "Happy",
    "04": "Sad",
    "05": "Angry",
    "06": "Fear",
    "07": "Disgust",
    "08": "Surprise",
}

STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}

_NAME = re.compile(r"\d\d-01-(?P<emotion>0[1-8])-\d\d-(?P<statement>0[12])-\d\d-(?P<actor>\d\d)")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every spoken clip, by actor and file name.

    Raises:
        DataError: no `Actor_NN` folders with recordings in `root`.
    """
    hint = "unpack Audio_Speech_Actors_01-24.zip there, or point data.root at the folder that holds Actor_01."
    for path in recordings(root, ("Actor_*/*", "*/Actor_*/*"), hint):
        name = _NAME.fullmatch(path.stem)
        if name:
            actor = int(name["actor"])
            yield Utterance(
                id=path.stem,
                audio=str(path),
                text=STATEMENTS[name["statement"]],
                speaker=f"Actor_{actor:02d}",
                gender="male" if actor % 2 else "female",
                split="train" if actor <= 16 else "dev" if actor <= 20 else "test",
                emotion=LABELS[name["emotion"]],
            )

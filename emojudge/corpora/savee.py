"""SAVEE, Surrey Audio-Visual Expressed Emotion: acted English, 120 sentences a speaker, seven emotions, 480 clips.

Source: Haq & Jackson 2010, http://kahlan.eps.surrey.ac.uk/savee. Licence: free for research, on registration. Speakers: 4
men. Layout: `AudioData/DC/sa01.wav` = speaker, emotion by its first letter or two, number; in copies `ALL/DC_sa01.wav`.

Traps: sa is sadness and su surprise, s alone is neither. Neutral is twice as frequent as the others; Contempt is absent. There
are no women. No split was published: DC and JE train, JK dev, KL test are ours, and four speakers say little: test each with
`data.folds`. No transcripts are read.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import recordings
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "a": "Angry",
    "d": "Disgust",
    "f": "Fear",
    "h": "Happy",
    "n": "Neutral",
    "sa": "Sad",
    "su": "Surprise",
}

SPLITS = {"DC": "train", "JE": "train", "JK": "dev", "KL": "test"}

_NAME = re.compile(r"(?P<speaker>DC|JE|JK|KL)_(?P<emotion>a|d|f|h|n|sa|su)\d\d")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip, by speaker and file name.

    Raises:
        DataError: no speakers' folders with recordings in `root`.
    """
    patterns = ("AudioData/[DJK]?/*", "[DJK]?/*", "ALL/*", "*")
    for path in recordings(root, patterns, "point data.root at the folder that holds AudioData/DC/a01.wav and the others."):
        identity = path.stem if "_" in path.stem else f"{path.parent.name}_{path.stem}"
        name = _NAME.fullmatch(identity)
        if name:
            yield Utterance(
                id=identity,
                audio=str(path),
                speaker=name["speaker"],
                gender="male",
                split=SPLITS[name["speaker"]],
                emotion=LABELS[name["emotion"]],
            )

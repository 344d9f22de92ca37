"""TESS, the Toronto emotional speech set: acted English, 200 words in one sentence, seven emotions, 2,800 clips.

Source: Pichora-Fuller & Dupuis 2020, https://doi.org/10.5683/SP2/E8H2MF. Licence: CC BY-NC-ND 4.0. Speakers: 2 women, 26
(YAF) and 64 (OAF) years old. Layout: `OAF_angry/OAF_back_angry.wav` = speaker, word, emotion; ps is pleasant surprise.

Traps: with two speakers there are no three speaker-disjoint splits, so it has none here: test each speaker with `data.folds`,
and expect little from the figures, which are near perfect where training has the same speaker. One file is
OA_bite_neutral: it is OAF's. A copy in circulation holds everything twice, one folder deeper; it is read once. Folders are
written in several ways (OAF_Sad, YAF_pleasant_surprised), so the label is the file's. Contempt is absent.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import recordings
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "angry": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
    "happy": "Happy",
    "neutral": "Neutral",
    "ps": "Surprise",
    "sad": "Sad",
}

_NAME = re.compile(rf"(?P<speaker>[OY]A)F?_(?P<word>[\w'-]+)_(?P<emotion>{'|'.join(LABELS)})")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip, by folder and file name.

    Raises:
        DataError: no `OAF_angry` and the like with recordings in `root`.
    """
    hint = "point data.root at the folder that holds OAF_angry and the others."
    for path in recordings(root, ("[OY]AF_*/*", "*/[OY]AF_*/*"), hint):
        name = _NAME.fullmatch(path.stem)
        if name:
            yield Utterance(
                id=path.stem,
                audio=str(path),
                text=f"Say the word {name['word']}",
                speaker=f"{name['speaker']}F",
                gender="female",
                emotion=LABELS[name["emotion"]],
            )

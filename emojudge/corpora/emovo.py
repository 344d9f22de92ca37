"""EMOVO: acted Italian, 14 sentences, seven emotions, 588 clips.

Source: Costantini et al. 2014, https://aclanthology.org/L14-1478. Licence: free to download, cite on use; the publisher's terms
decide. Speakers: 6 actors, 3 of them female. Layout: `f1/dis-f1-b1.wav` = emotion by its Italian start, speaker, sentence.

Traps: sor is surprise (sorpresa), not sorrow, and pau is fear (paura); gio is joy, rab anger, tri sadness. Some sentences are
meaningless on purpose; none is read as text. Contempt is absent. No split was published: f1, f2, m1, m2 train, m3 dev, f3 test
are ours, and six speakers say little: test each with `data.folds`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import recordings
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "dis": "Disgust",
    "gio": "Happy",
    "neu": "Neutral",
    "pau": "Fear",
    "rab": "Angry",
    "sor": "Surprise",
    "tri": "Sad",
}

SPLITS = {"m3": "dev", "f3": "test"}

_NAME = re.compile(r"(?P<emotion>[a-z]{3})-(?P<speaker>[fm][123])-[bdln]\d")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip, by speaker and file name.

    Raises:
        DataError: no speakers' folders with recordings in `root`.
    """
    hint = "point data.root at the folder that holds f1/dis-f1-b1.wav and the others."
    for path in recordings(root, ("[fm][123]/*", "*/[fm][123]/*"), hint):
        name = _NAME.fullmatch(path.stem)
        if name and name["emotion"] in LABELS:
            yield Utterance(
                id=path.stem,
                audio=str(path),
                speaker=name["speaker"],
                gender="female" if name["speaker"].startswith("f") else "male",
                split=SPLITS.get(name["speaker"], "train"),
                emotion=LABELS[name["emotion"]],
            )

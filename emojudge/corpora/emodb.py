"""EmoDB, the Berlin Database of Emotional Speech: acted German, ten sentences, seven emotions, 535 clips.

Source: Burkhardt et al. 2005, https://doi.org/10.21437/Interspeech.2005-446. Licence: free to download, cite on use; the
publisher's terms decide. Speakers: 10 actors, 5 of them female. Layout: `wav/SStttEv.wav` = speaker, text, emotion
(by its German initial), version.

Traps: Boredom has no class in MSP-Podcast; Surprise and Contempt are absent. E is disgust (Ekel) and A is fear (Angst),
not anger. The published folds (EmoBox) share speakers between training and test. No split was published: speakers 12
and 13 dev, 15 and 16 test are ours. A copy in which every clip was cut or padded to 2.0 s is in circulation.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import recordings
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "W": "Angry",
    "L": "Boredom",
    "E": "Disgust",
    "A": "Fear",
    "F": "Happy",
    "T": "Sad",
    "N": "Neutral",
}

SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}

FEMALE = {"08", "09", "13", "14", "16"}
SPLITS = {"12": "dev", "13": "dev", "15": "test", "16": "test"}

_NAME = re.compile(r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[WLEAFTN])[a-z]")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip, by file name.

    Raises:
        DataError: no `wav` folder with recordings in `root`.
    """
    for path in recordings(root, ("wav/*", "*"), "point data.root at the folder that holds wav/03a01Fa.wav and the others."):
        name = _NAME.fullmatch(path.stem)
        if name:
            yield Utterance(
                id=path.stem,
                audio=str(path),
                text=SENTENCES.get(name["text"]),
                speaker=name["speaker"],
                gender="female" if name["speaker"] in FEMALE else "male",
                split=SPLITS.get(name["speaker"], "train"),
                emotion=LABELS[name["emotion"]],
            )

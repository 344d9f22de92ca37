"""EmoryNLP: lines of the first four seasons of Friends in their scenes, seven emotions, 12,606 utterances; text only.

Source: Zahiri & Choi 2018, https://arxiv.org/abs/1708.04299, https://github.com/emorynlp/emotion-detection. Licence: none
stated with the data; ask the publisher. Speakers: 6 main characters, who say most, and many others. Layout:
`json/emotion-detection-{trn,dev,tst}.json`, episodes with scenes with utterances.

Traps: the classes are Willcox's feeling wheel: Joyful is our Happy, Mad our Angry, Scared our Fear; Peaceful and Powerful
have no counterpart and keep their names. The official splits share speakers. MELD has lines of the same series: train on one
and test on the other only after you looked for the same scenes. Some lines have several speakers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emojudge.corpora._reading import existing, known, read_json
from emojudge.errors import DataError
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "Joyful": "Happy",
    "Mad": "Angry",
    "Neutral": "Neutral",
    "Peaceful": "Peaceful",
    "Powerful": "Powerful",
    "Sad": "Sad",
    "Scared": "Fear",
}

FILES = {"train": "trn", "dev": "dev", "test": "tst"}
GENDERS = {"Monica": "female", "Phoebe": "female", "Rachel": "female", "Chandler": "male", "Joey": "male", "Ross": "male"}


def utterances(root: Path) -> Iterator[Utterance]:
    """Every line, by split, in the order of the files.

    Raises:
        DataError: a file or a field is missing, or an emotion is none of EmoryNLP's.
    """
    folder = root / "json" if (root / "json").is_dir() else root
    hint = "point data.root at the folder that holds json/emotion-detection-trn.json."
    for split, short in FILES.items():
        path = existing(folder / f"emotion-detection-{short}.json", hint)
        try:
            for episode in read_json(path, hint)["episodes"]:
                for scene in episode["scenes"]:
                    yield from (_utterance(item, split, path) for item in scene["utterances"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: an episode, scene or utterance lacks {error}; get the corpus anew.") from None


def _utterance(item: Mapping[str, Any], split: str, path: Path) -> Utterance:
    identity, speakers = item["utterance_id"], item["speakers"]
    return Utterance(
        id=identity,
        text=item["transcript"],
        speaker=", ".join(speakers) or None,
        gender=GENDERS.get(speakers[0].split()[0]) if len(speakers) == 1 and speakers[0] else None,
        split=split,
        emotion=known(LABELS, str(item["emotion"]), f"{path}, {identity}"),
        session=identity.rsplit("_", 1)[0],
    )

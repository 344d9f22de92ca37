"""ESD, the emotional speech database: acted English and Mandarin, the same 350 sentences in five emotions, 35,000 clips.

Source: Zhou et al. 2022, https://doi.org/10.1016/j.specom.2021.11.006, https://github.com/HLTSingapore/Emotional-Speech-Data.
Licence: research only, on request. Speakers: 20; 0001-0010 speak Mandarin, 0011-0020 English; 10 are female. Layout:
`0011/Angry/0011_000351.wav`, in some copies with a folder `train`, `evaluation` or `test` before the file; `0011/0011.txt`.

Splits: the folder's, else the published ones by number: of each speaker's 350 clips of an emotion the first 20 are dev, the
next 30 test, the rest train.

Traps: the official splits share all speakers: set `data.splits = "speaker"` for a fair figure. Each sentence is said in every
emotion, so the text tells nothing. It was recorded to convert voices: two languages are one corpus here, and no listener
judged the emotions. Transcripts are UTF-8, UTF-16 or GB18030. Fear, Disgust and Contempt are absent.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import recordings
from emojudge.errors import DataError
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "Angry": "Angry",
    "Happy": "Happy",
    "Neutral": "Neutral",
    "Sad": "Sad",
    "Surprise": "Surprise",
}

SPLITS = {"train": "train", "evaluation": "dev", "test": "test"}
FEMALE = {"0001", "0002", "0003", "0007", "0009", "0015", "0016", "0017", "0018", "0019"}

_NAME = re.compile(r"(?P<speaker>00[012]\d)_(?P<number>\d{6})")
_LINE = re.compile(r"(?P<id>\d{4}_\d{6})\s+(?P<text>.*\S)\s+\S+\s*")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip, by speaker, emotion and file name.

    Raises:
        DataError: no speakers' folders with recordings in `root`, or a transcript in another encoding.
    """
    patterns = ("00??/*/*", "00??/*/*/*", "*/00??/*/*", "*/00??/*/*/*")
    texts: dict[Path, dict[str, str]] = {}
    for path in recordings(root, patterns, "point data.root at the folder that holds 0001 to 0020."):
        name = _NAME.fullmatch(path.stem)
        inner = path.parent.name in SPLITS
        folder = path.parents[1] if inner else path.parent
        if name and folder.name in LABELS:
            file = folder.parent / f"{name['speaker']}.txt"
            if file not in texts:
                texts[file] = _transcripts(file)
            yield Utterance(
                id=path.stem,
                audio=str(path),
                text=texts[file].get(path.stem),
                speaker=name["speaker"],
                gender="female" if name["speaker"] in FEMALE else "male",
                split=SPLITS[path.parent.name] if inner else _published(int(name["number"])),
                emotion=LABELS[folder.name],
            )


def _published(number: int) -> str:
    """The split of a clip by its number.

    >>> [_published(number) for number in (1, 20, 21, 50, 51, 350, 351)]
    ['dev', 'dev', 'test', 'test', 'train', 'train', 'dev']
    """
    place = (number - 1) % 350
    return "dev" if place < 20 else "test" if place < 50 else "train"


def _transcripts(path: Path) -> dict[str, str]:
    """What is said in each of a speaker's clips; empty where there is no file."""
    content = path.read_bytes() if path.exists() else b""
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            lines = content.decode(encoding).splitlines()
        except UnicodeDecodeError:
            continue
        return {found["id"]: found["text"] for found in map(_LINE.fullmatch, lines) if found}
    raise DataError(f"{path} is neither UTF-8 nor UTF-16 nor GB18030; save it as UTF-8.")

"""IEMOCAP: acted and improvised English dialogues of two, five sessions, 10,039 utterances.

Source: Busso et al. 2008, https://doi.org/10.1007/s10579-008-9076-6, https://sail.usc.edu/iemocap. Licence: an agreement with
the University of Southern California (research only). Speakers: 10, a woman and a man in each session. Layout:
`Session{1..5}/dialog/EmoEvaluation/*.txt` with `[start - end] utterance emotion [V, A, D]` on 1-5 and each rater's choice
below, `dialog/transcriptions/*.txt`, `sentences/wav/<dialog>/<utterance>.wav`.

Traps: the speaker is the letter of the utterance's last part (`Ses01F_impro04_M003` is a man); the first letter says who
wears the markers, and public loaders that take it mix the two. Happy and Excited are two labels here, and the published
four classes put them together (5,531 utterances; docs/corpora.md has the label maps). xxx is no agreement. Raters may choose
several emotions, of which each counts; what actors say of themselves (C-F1, C-M1) is no vote. No split was published:
sessions 1-3 train, 4 dev, 5 test are ours; results are usually a mean over sessions.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from emojudge.corpora._reading import existing, known, number, read_text, recording
from emojudge.errors import DataError
from emojudge.types import ATTRIBUTES, Utterance

LABELS: Mapping[str, str] = {
    "ang": "Angry",
    "sad": "Sad",
    "hap": "Happy",
    "exc": "Excited",
    "sur": "Surprise",
    "fea": "Fear",
    "dis": "Disgust",
    "fru": "Frustrated",
    "neu": "Neutral",
    "oth": "Other",
    "xxx": "NoAgreement",
}

VOTES = {"Anger": "Angry", "Sadness": "Sad", "Happiness": "Happy", "Neutral state": "Neutral", "Frustration": "Frustrated"}
"""How raters' choices are written where it is not our name."""

SHORT = {"valence": "val", "arousal": "act", "dominance": "dom"}
"""How raters' lines call the attributes."""

SPLITS = {"4": "dev", "5": "test"}

_TURN = re.compile(
    r"\[[\d.]+ - [\d.]+\]\s+(?P<id>Ses0(?P<session>\d)\S+_(?P<letter>[FM])\d+\w*)\s+(?P<label>\w+)\s+\[(?P<ratings>.*)\]"
)
_CHOICE = re.compile(r"C-E\d+:\s*(?P<names>[^(\n]*)")
_SAID = re.compile(r"(?P<id>Ses0\S+) \[[\d.]+-[\d.]+\]:(?P<text>.*)")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every utterance, by session and dialog, in the order of the evaluations.

    Raises:
        DataError: there is no session, or an evaluation is not as it should be.
    """
    hint = "point data.root at the folder that holds Session1."
    sessions = sorted(path for path in existing(root, hint).glob("Session*") if path.is_dir())
    if not sessions:
        raise DataError(f"{root} holds no Session1; {hint}")
    for session in sessions:
        evaluations = existing(session / "dialog" / "EmoEvaluation", "unpack IEMOCAP again.")
        for path in sorted(evaluations.glob("Ses*.txt")):  # Macs leave files that begin with a dot
            yield from _dialog(session, path)


def _dialog(session: Path, path: Path) -> Iterator[Utterance]:
    """The utterances of one dialog: a line each, and raters' lines up to the next empty one."""
    said = _transcripts(session / "dialog" / "transcriptions" / path.name)
    blocks = re.split(r"\n(?=\[)", read_text(path))
    line = 1
    for block in blocks:
        if block.startswith("["):
            yield _utterance(session, path.stem, f"{path}, line {line}", block, said)
        line += block.count("\n") + 1


def _utterance(session: Path, dialog: str, where: str, block: str, said: Mapping[str, str]) -> Utterance:
    turn = _TURN.match(block)
    if not turn:
        raise DataError(f"{where} is not `[start - end], utterance, emotion, [V, A, D]`; unpack IEMOCAP again.")
    votes = Counter(
        VOTES.get(name, name) for names in _CHOICE.findall(block) for name in re.split(r"\s*;\s*", names.strip()) if name
    )
    ratings = zip(ATTRIBUTES, turn["ratings"].split(","), strict=False)  # both in the order valence, arousal, dominance
    values = {name: number(value, where) for name, value in ratings}
    stem = session / "sentences" / "wav" / dialog / turn["id"]
    return Utterance(
        id=turn["id"],
        audio=recording(stem) or f"{stem}.wav",
        text=said.get(turn["id"]),
        speaker=f"Ses0{turn['session']}{turn['letter']}",
        gender="female" if turn["letter"] == "F" else "male",
        split=SPLITS.get(turn["session"], "train"),
        emotion=known(LABELS, turn["label"], where),
        attributes={name: value for name, value in values.items() if value is not None},
        votes={name: float(count) for name, count in votes.items()},
        ratings={name: given for name in ATTRIBUTES if (given := _rated(block, name))},
        session=f"Ses0{turn['session']}",
    )


def _rated(block: str, attribute: str) -> list[float]:
    """What raters gave an attribute, as in `A-E3: val 3; act 2; dom  2; ()`; what actors gave themselves is left out."""
    return [float(value) for value in re.findall(rf"A-E\d+:.*\b{SHORT[attribute]} +([\d.]+)", block)]


def _transcripts(path: Path) -> dict[str, str]:
    """What is said in each utterance of a dialog; empty where the release has no transcript."""
    text = read_text(path) if path.exists() else ""
    return {found["id"]: found["text"].strip() for found in map(_SAID.match, text.splitlines()) if found}

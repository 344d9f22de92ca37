"""MSP-IMPROV: actors improvise until one of them says a given sentence with a given emotion; 8,438 turns.

Source: Busso et al. 2017, https://doi.org/10.1109/TAFFC.2016.2515617. Licence: an agreement with the University of Texas at
Dallas; nothing of it may be passed on. Speakers: 12, a woman and a man in each of six sessions. Layout:
`session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav` = sentence and meant emotion, speaker, scenario, turn; `Evalution.txt`, spelt
so, with a line for each turn (`UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.8; V:3.0; D:3.2; N:4.4;`) and one for each rater below it.

Traps: the label is the raters' (A, H, S, N; O another, X no agreement), not the letter of the meant emotion in the name. The
evaluation says UTD and .avi where recordings say MSP and .wav. N is a label and, as a rating, naturalness. Ratings are on 1-5;
NaN where nobody rated. No split was published: sessions 1-4 train, 5 dev, 6 test are ours. The corpus brings no transcripts.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from emojudge.corpora import _msp_raters as raters
from emojudge.corpora._reading import RECORDINGS, existing, known, number
from emojudge.errors import DataError
from emojudge.types import Utterance

LABELS: Mapping[str, str] = {
    "A": "Angry",
    "H": "Happy",
    "S": "Sad",
    "N": "Neutral",
    "O": "Other",
    "X": "NoAgreement",
}

RATINGS = {"valence": "V:", "arousal": "A:", "dominance": "D:"}
SPLITS = {"5": "dev", "6": "test"}


def utterances(root: Path) -> Iterator[Utterance]:
    """Every turn that was evaluated, in the order of the evaluation.

    Raises:
        DataError: the evaluation is missing, or a line of it is not as it should be.
    """
    correct = root / "Evaluation.txt"
    path = correct if correct.exists() else existing(root / "Evalution.txt", "point data.root at the folder that holds it.")
    told = raters.collected(raters.from_text(path), LABELS)
    files = {file.stem: file for file in sorted(root.rglob("MSP-IMPROV-*")) if file.suffix.lower() in RECORDINGS}
    for where, fields in raters.lines(path):
        if fields[0].endswith(raters.CLIPS):
            stem = Path(fields[0]).stem
            name = stem.replace("UTD", "MSP", 1)
            yield _utterance(where, fields, files.get(name, root / f"{name}.wav"), told.get(stem, raters.Raters()))


def _utterance(where: str, fields: Sequence[str], audio: Path, told: raters.Raters) -> Utterance:
    parts = audio.stem.split("-")
    if len(parts) != 6 or len(fields) < 5:
        raise DataError(f"{where} is no `UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2; V:3; D:3;`; unpack the corpus again.")
    speaker = parts[3]
    values = {name: _rating(fields, start, where) for name, start in RATINGS.items()}
    return Utterance(
        id=audio.stem,
        audio=str(audio),
        speaker=speaker,
        gender="female" if speaker.startswith("F") else "male",
        split=SPLITS.get(speaker[-1], "train"),
        emotion=known(LABELS, fields[1], where),
        attributes={name: value for name, value in values.items() if value is not None},
        votes=told.votes,
        ratings=told.ratings,
        session=f"session{int(speaker[1:])}",
    )


def _rating(fields: Sequence[str], start: str, where: str) -> float | None:
    """The rating of the field that begins with `start`."""
    field = next((field for field in fields[2:] if field.startswith(start)), start)
    return number(field.removeprefix(start), where)

"""The two files of the Interspeech 2025 challenge from a run's predictions, checked against the manifest before they are kept.

Task 1 is `FileName,EmoClass` with MSP-Podcast's letters, Task 2 `FileName,EmoAct,EmoVal,EmoDom` on 1-7. Columns are filled
by the attributes' names: their order is another one in training files (PAPER decision 22).
"""

import csv
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from emojudge.corpora.msp_podcast import LABELS, RATINGS
from emojudge.errors import DataError
from emojudge.runs import SYSTEMS, Part, RunFolder
from emojudge.storage import atomic
from emojudge.types import EMOTIONS, Prediction

LETTERS = {name: letter for letter, name in LABELS.items() if name in EMOTIONS}
"""The challenge's classes; other and no agreement are none."""

ATTRIBUTES = {column: name for name, column in RATINGS.items()}
COLUMNS = {"emotions": ("FileName", "EmoClass"), "attributes": ("FileName", "EmoAct", "EmoVal", "EmoDom")}
LOW, HIGH = 1.0, 7.0
FINAL = ("judge", "ensemble", "fusion", "early", "audio", "text")
"""Which system is handed in, if nobody says: the last stage that predicted the split."""
SHOWN = 5


def submit(run: RunFolder, split: str, system: str | None = None, seed: int | None = None) -> dict[str, str]:
    """Write `submission/task1_SPLIT.csv` and `task2_SPLIT.csv`, as far as the run has these tasks; return what each is.

    Args:
        run: a run with predictions.
        split: whose clips are handed in, as "test3".
        system: one of the run's systems; without it, the judge's labels, else those of the most joint system.
        seed: which training, where the run has several.

    Raises:
        DataError: there are several trainings, no such clips, no predictions of them, or a file would not be accepted.
    """
    part = _part(run, seed)
    clips = [f"{u.id}.wav" for u in part.manifest() if u.split == split]
    if not clips:
        known = sorted({u.split for u in part.manifest() if u.split})
        raise DataError(f"{run.root} has no clip in the split {split!r}; it has {', '.join(known)}.")
    made = {}
    for number, task in enumerate(COLUMNS, 1):
        if task in run.config.tasks:
            chosen, predictions = _predictions(part, task, clips, system)
            path = run.file("submission") / f"task{number}_{split}.csv"
            write(path, task, {f"{p.id}.wav": p for p in predictions}, clips)
            made[str(path)] = f"{chosen}, {len(clips):,} clips, checked"
    return made


def _part(run: RunFolder, seed: int | None) -> Part:
    parts = [part for part in run.parts() if seed in (None, part.seed)]
    if len(parts) != 1:
        names = ", ".join(part.name for part in run.parts()[:SHOWN])
        raise DataError(f"{run.root} has not one training to hand in but {len(parts)} ({names}); choose one with --seed.")
    return parts[0]


def _predictions(part: Part, task: str, clips: Collection[str], system: str | None) -> tuple[str, list[Prediction]]:
    """The system to hand in, and what it predicted of `clips`."""
    if system is not None and system not in SYSTEMS:
        raise DataError(f"There is no system {system!r}; there are {', '.join(SYSTEMS)}.")
    wanted = set(clips)
    for name in [system] if system else FINAL:
        found = [p for p in part.read_predictions(task, name).values() if f"{p.id}.wav" in wanted]
        if found:
            return name, found
    what = f"No {system or 'system'} has predicted the {task} of this split"
    raise DataError(f"{what}; finish the run with emojudge run, and where clips have no text, set transcripts.transcribe.")


def write(path: Path, task: str, predictions: Mapping[str, Prediction], clips: Sequence[str]) -> None:
    """One file, in the order of `clips`, kept only if `check` accepts it; `predictions` are by file name.

    Raises:
        DataError: it would not be accepted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(COLUMNS[task])
            writer.writerows([name, *_cells(task, predictions[name])] for name in clips if name in predictions)
        check(temporary, task, clips, str(path))


def _cells(task: str, prediction: Prediction) -> list[str]:
    if task == "emotions":
        return [LETTERS.get(prediction.label, prediction.label)]
    values = [prediction.scores.get(ATTRIBUTES[column], math.nan) for column in COLUMNS[task][1:]]
    return [f"{min(max(value, LOW), HIGH):.6f}" for value in values]


def check(path: Path, task: str, clips: Collection[str], name: str = "") -> None:
    """Whether the challenge would take a file: each clip once, none foreign, its columns, its letters or numbers.

    Raises:
        DataError: it would not; the first fault is named, with the clips that have it.
    """
    name = name or str(path)
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = [row for row in csv.reader(stream) if row] or [[]]
    if tuple(header) != COLUMNS[task]:
        raise DataError(f"{name} begins with {','.join(header)!r}; it must be {','.join(COLUMNS[task])}.")
    counts = Counter(row[0] for row in rows)
    faults = {
        "clips are missing": [clip for clip in clips if clip not in counts],
        "clips are not of this split": sorted(counts.keys() - set(clips)),
        "clips stand there more than once": [clip for clip, count in counts.items() if count > 1],
        f"clips have no {' and '.join(COLUMNS[task][1:])} that can be": [row[0] for row in rows if not _possible(task, row[1:])],
    }
    for fault, found in faults.items():
        if found:
            more = " …" if len(found) > SHOWN else ""
            raise DataError(f"{name} would be refused: {len(found)} {fault}: {', '.join(found[:SHOWN])}{more}.")


def _possible(task: str, cells: Sequence[str]) -> bool:
    if len(cells) != len(COLUMNS[task]) - 1:
        return False
    if task == "emotions":
        return cells[0] in LETTERS.values()
    try:
        return all(LOW <= float(cell) <= HIGH for cell in cells)
    except ValueError:
        return False

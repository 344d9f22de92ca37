"""`emojudge compare`: finished runs on the same clips, each before and after its judge, beside what others have published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emojudge import contrast
from emojudge.contrast import Entry, Line, names_of, seconds_of
from emojudge.errors import ConfigError, DataError
from emojudge.runs import JUDGED, SYSTEMS, RunFolder
from emojudge.tables import Table, published_rows


def compare(
    folders: Sequence[Path], baseline: Path | None = None, published: str | None = None, splits: Sequence[str] = ()
) -> tuple[list[Table], list[Line], list[dict[str, Any]]]:
    """Tables, their lines, and the published rows in them, for every task that all runs have.

    Args:
        folders: finished runs.
        baseline: the run that the others are compared with, by its system before the judge; the first where it is None.
        published: a corpus of `published.toml`; None takes the baseline's `evaluation.published`.
        splits: which; those that the baseline scores where there are none.

    Raises:
        ConfigError: the runs have no task in common, or nothing is published for that corpus.
        DataError: a folder is no run, or a run has no clip in common with the baseline.
        LeakageError: a system was fitted on what would be scored.
    """
    paths = dict.fromkeys([*([baseline] if baseline else []), *folders])
    runs = [RunFolder.open(folder) for folder in paths]
    first, named = runs[0].config, dict(zip(names_of(runs), runs, strict=True))
    tasks = [task for task in first.tasks if all(task in run.config.tasks for run in runs)]
    if not tasks:
        raise ConfigError("The runs have no task in common, so there is nothing to compare.")
    tables, lines, known = list[Table](), list[Line](), list[dict[str, Any]]()
    for task in tasks:
        entries = _entries(named, task)
        for split in splits or first.evaluation.splits:
            corpus = published or first.evaluation.published
            others = published_rows(corpus, task, split) if corpus else []
            if found := contrast.contrast(entries, task, split):
                tables.append(contrast.table(found, f"{task.capitalize()}, {split}: beside {entries[0].name}", others))
                lines += found
                known += others
    for name in named:
        if not any(line.name.removesuffix(AFTER) == name for line in lines):
            raise DataError(f"{name} has no scored clip in common with {names_of(runs)[0]}, so they cannot be compared.")
    return tables, lines, known


AFTER = ", judged"
"""What is added to a run's name for its system after the judge."""


def _entries(runs: dict[str, RunFolder], task: str) -> list[Entry]:
    """Each run's most joint system before the judge, and after it where there is one."""
    entries = []
    for name, run in runs.items():
        there = [system for system in SYSTEMS if run.parts()[0].predictions(task, system).exists()]
        before = [system for system in there if system not in JUDGED]
        if not before:
            raise DataError(f"{run.root} has no predictions of {task}; finish it with: emojudge run {run.root}")
        seconds = seconds_of(run)
        entries.append(Entry(name, run, before[-1], seconds))
        if "judge" in there:
            entries.append(Entry(name + AFTER, run, "judge", seconds))
    return entries

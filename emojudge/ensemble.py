"""`emojudge ensemble`: one system of several runs' predictions, as a run folder that evaluates and reports like any other.

A member is what a run predicts before its judge, once for each seed. Their weights are a late fusion fitted on dev, whose
stored dev predictions are out of fold; without dev it is the plain mean of the runs, each the mean of its seeds. The members
must be of one mind about the data: the same labels, folds, splits and truth; none was trained on what another is scored on.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

from emojudge import contrast
from emojudge.config import load_config
from emojudge.contrast import Entry, Line, names_of, seconds_of
from emojudge.errors import ConfigError, DataError, LeakageError, ModelError
from emojudge.experiment import Experiment
from emojudge.fusing import average, average_part, fuse_part
from emojudge.preflight import made
from emojudge.runs import Part, RunFolder
from emojudge.settings import Config, JudgeSettings
from emojudge.storage import file_digest, read_json, read_jsonl, write_jsonl
from emojudge.tables import Table
from emojudge.types import Prediction, Utterance

Members = Mapping[str, Path]
"""Files of predictions by the member's name, as "wavlm/fusion" or "wavlm/seed-1/fusion"."""


def ensemble(into: Path, folders: Sequence[Path], changes: Sequence[str] = ()) -> tuple[Experiment, list[Table], list[Line]]:
    """Fuse the runs in `folders` into the run folder `into`, score it, and compare it with each of them.

    Args:
        into: a new folder, or that of the same ensemble.
        folders: finished runs; the first gives the settings of fusion and evaluation, which `changes` change.
        changes: as "fusion.shrink_to=sum".

    Raises:
        ConfigError: fewer than two runs, or no task that all have.
        ModelError, DataError: they differ in labels, folds, splits or truth.
        LeakageError: one was trained on clips that another is scored on.
    """
    runs = [RunFolder.open(folder) for folder in folders]
    work = Experiment(_config(runs, into.name, changes), into)
    names = names_of(runs)
    for fold in runs[0].folds or (None,):
        _check_splits({name: _part(run, fold).manifest() for name, run in zip(names, runs, strict=True)})
    _adopt(work, runs[0], names)
    for part in work.run.parts():
        for task in work.config.tasks:
            members = _members(dict(zip(names, runs, strict=True)), task, part.fold)
            about = [work.config.fusion.model_dump(), {name: file_digest(path) for name, path in members.items()}]
            done = [part.predictions(task, "ensemble")]
            work.stages.do(f"fuse {task} {part.name}", about, [], done, partial(_mix, work, part, task, members))
    work.evaluate()
    work.report()
    entries = [Entry(into.name, work.run, "ensemble", seconds_of(work.run))]
    entries += [Entry(name, run, run.config.unjudged, seconds_of(run)) for name, run in zip(names, runs, strict=True)]
    return work, *_compare(work, entries)


def _config(runs: Sequence[RunFolder], name: str, changes: Sequence[str]) -> Config:
    """The first run's settings for what is left to do: no judge, one seed, the tasks that all have."""
    first = runs[0].config
    if len(runs) < 2:
        raise ConfigError("An ensemble needs two runs or more; name their folders.")
    tasks = tuple(task for task in first.tasks if all(task in run.config.tasks for run in runs))
    if not tasks:
        raise ConfigError("The runs have no task in common, so there is nothing to fuse.")
    for run in runs[1:]:
        if "emotions" in tasks and set(run.config.data.labels) != set(first.data.labels):
            raise ModelError(f"{run.root} has other labels than {runs[0].root}; an ensemble needs one label set.")
        if set(run.folds) != set(runs[0].folds):
            raise DataError(f"{run.root} has other folds than {runs[0].root}; an ensemble needs the same.")
    base = first.model_copy(update={"name": name, "tasks": tasks, "seeds": first.seeds[:1], "judge": JudgeSettings()})
    return load_config(changes=changes, base=base)


def _part(run: RunFolder, fold: str | None) -> Part:
    return next(part for part in run.parts() if part.fold == fold)


def _check_splits(manifests: Mapping[str, Sequence[Utterance]]) -> None:
    """No run trains on what another is scored on, and all agree on that part's splits and truth."""
    for (name, rows), (other, others) in permutations(manifests.items(), 2):
        learnt = {u.id for u in rows if u.split == "train"}
        leaked = [u.id for u in others if u.split != "train" and u.id in learnt]
        if leaked:
            about = f"{len(leaked)} clips that {other} is scored on (as {leaked[0]})"
            raise LeakageError(f"{name} was trained on {about}; make both on the same splits.")
    known = [{u.id: (u.split, u.emotion, u.attributes) for u in rows if u.split != "train"} for rows in manifests.values()]
    for name, theirs in zip(manifests, known, strict=True):
        apart = [id for id in {**known[0], **theirs} if known[0].get(id) != theirs.get(id)]
        if apart:
            about = f"{len(apart)} clips' split or truth (as {apart[0]})"
            raise DataError(f"{name} and {next(iter(manifests))} differ in {about}; make both from one corpus.")


def _adopt(work: Experiment, first: RunFolder, names: Sequence[str]) -> None:
    """Take over the manifests, and record whose predictions these are; a run that is none keeps its folder."""
    if work.stages.about and not work.stages.about.get("members"):
        raise DataError(f"{work.run.root} is a run of its own; name another folder for the ensemble.")
    for fold in (None, *first.folds):
        write_jsonl(work.run.manifest_file(fold), read_jsonl(first.manifest_file(fold), Utterance))
    work.stages.write(members=list(names), notice=read_json(first.file("run.json")).get("notice", ""))


def _members(runs: Mapping[str, RunFolder], task: str, fold: str | None) -> Members:
    """The predictions of every run and seed on one fold."""
    found = {}
    for name, run in runs.items():
        system = run.config.unjudged
        for part in run.parts():
            if part.fold == fold:
                seed = f"seed-{part.seed}/" if len(run.config.seeds) > 1 else ""
                found[f"{name}/{seed}{system}"] = made(part.predictions(task, system), f"run {run.root}")
    return found


def _mix(work: Experiment, part: Part, task: str, members: Members) -> None:
    outputs = {name: {row.id: row for row in read_jsonl(path, Prediction)} for name, path in members.items()}
    if any(u.split == "dev" for u in part.manifest()):
        fuse_part(part, task, outputs, work.names(task), work.config.fusion, "ensemble")
    else:
        rows, runs = part.manifest(), dict.fromkeys(name.split("/")[0] for name in outputs)
        seeds = {run: {name: rows for name, rows in outputs.items() if name.split("/")[0] == run} for run in runs}
        means = {run: {p.id: p for p in average(own, rows, run)} for run, own in seeds.items()}
        average_part(part, task, means, "ensemble")


def _compare(work: Experiment, entries: Sequence[Entry]) -> tuple[list[Table], list[Line]]:
    """The ensemble beside its members, written as ensemble.md and ensemble.json."""
    tables, lines = [], list[Line]()
    for task in work.config.tasks:
        for split in work.config.evaluation.splits:
            found = contrast.contrast(entries, task, split)
            lines += found
            tables.append(contrast.table(found, f"{entries[0].name} and its members: {task}, {split}"))
    about: dict[str, Any] = work.stages.about
    contrast.write(work.run.root, "ensemble", tables, lines, about.get("notice", ""))
    return tables, lines

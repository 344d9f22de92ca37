"""Several runs on the same clips: each one's score, and its difference to the first (PAPER decision 24).

Folds are pooled, so that every speaker is counted once however the folds were cut; seeds are averaged. Both runs of a
difference are scored on the clips that both predicted, under the same draws of speakers. p values are adjusted for the
number of runs that are compared with the first (Holm).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emojudge.aligned import Aligned, PartResults, check_unfitted, read_results
from emojudge.compare import (
    Estimate,
    Score,
    Tally,
    bootstrap_p,
    detectable,
    holm,
    interval,
    mcnemar,
    replicates,
    statistic,
    tally_labels,
    tally_values,
)
from emojudge.errors import DataError
from emojudge.metrics import ccc_from, macro_f1_from, uar_from
from emojudge.runs import RunFolder
from emojudge.settings import EvaluationSettings
from emojudge.storage import atomic, read_json, write_json
from emojudge.tables import Table, number, p_value, plain, to_markdown

SCORES: Mapping[str, Mapping[str, Score]] = {
    "emotions": {"Macro-F1": macro_f1_from, "UAR": uar_from},
    "attributes": {"Mean CCC": lambda sums: ccc_from(sums).mean(-1)},
}
"""What runs are compared by."""

Clips = Mapping[str | None, set[str]]
"""Ids by fold."""


@dataclass(frozen=True)
class Entry:
    """A run under the name that the table gives it, the system of it that is compared, and what making it took."""

    name: str
    run: RunFolder
    system: str
    seconds: float


@dataclass(frozen=True)
class Line:
    """One score of one run, and its `difference` to the first run on the clips of both.

    `p` is how likely that difference is by chance (`compare.bootstrap_p`), `holm` the same for all runs together, `mcnemar`
    the exact test of labels (one seed each), and `detectable` what such clips could show. All are None for the first run.
    """

    name: str
    task: str
    split: str
    metric: str
    value: Estimate
    difference: Estimate | None
    clips: int
    seconds: float
    p: float | None = None
    holm: float | None = None
    mcnemar: float | None = None
    detectable: float | None = None


def names_of(runs: Sequence[RunFolder]) -> list[str]:
    """What the runs' folders are called; their whole paths where two are called the same."""
    short = [run.root.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.root) for run in runs]


def seconds_of(run: RunFolder) -> float:
    """What all stages of a run took."""
    return sum(stage["seconds"] for stage in read_json(run.file("run.json"))["stages"].values())


def contrast(entries: Sequence[Entry], task: str, split: str) -> list[Line]:
    """Every score of every entry on `split`; none where the first has nothing to score there.

    Raises:
        DataError: an entry has other labels or another truth than the first.
        LeakageError: a fusion was fitted on what would be scored.
    """
    found = [_results(entry, task, split) for entry in entries]
    first = _predicted(found[0], entries[0].system, split)
    lines = []
    for entry, results in zip(entries, found, strict=True):
        if results[0].names != found[0][0].names:
            raise DataError(f"{entry.name} has other labels than {entries[0].name}, so their scores cannot be compared.")
        own = _predicted(results, entry.system, split)
        both = {fold: clips & first.get(fold, set()) for fold, clips in own.items()}
        if any(both.values()):
            _check_truth(entry, results, entries[0], found[0], both)
            lines += _lines(entry, results, own, None if entry is entries[0] else (entries[0], found[0], both), split)
    return _adjusted(lines)


Baseline = tuple[Entry, Sequence[PartResults], Clips]
"""The first run, what it holds, and the clips that both have."""


def _lines(entry: Entry, results: Sequence[PartResults], own: Clips, base: Baseline | None, split: str) -> list[Line]:
    """Every score of one entry, against `base` where that is another."""
    task, options = results[0].task, (base[0] if base else entry).run.config.evaluation
    made = []
    for metric, score in SCORES[task].items():
        value = interval(_values(results, entry.system, split, own, score, options), options.confidence)
        line = Line(entry.name, task, split, metric, value, None, len(set().union(*own.values())), entry.seconds)
        if base:
            first, theirs, both = base
            mine = _values(results, entry.system, split, both, score, options)
            values = mine - _values(theirs, first.system, split, both, score, options)
            clusters = len({name for tally in _pooled(results, entry.system, split, both) for name in tally.clusters})
            line = replace(
                line,
                difference=interval(values, options.confidence),
                p=bootstrap_p(values),
                mcnemar=_mcnemar((results, entry.system), (theirs, first.system), split, both),
                detectable=detectable(values, clusters, power=options.power, level=1 - options.confidence),
            )
        made.append(line)
    return made


def _adjusted(lines: Sequence[Line]) -> list[Line]:
    """Holm over the runs, for each metric of its own."""
    adjusted: dict[int, float] = {}
    for metric in {line.metric for line in lines}:
        family = [(k, line.p) for k, line in enumerate(lines) if line.metric == metric and line.p is not None]
        adjusted |= zip((k for k, _ in family), holm([p for _, p in family]), strict=True)
    return [replace(line, holm=adjusted.get(k)) for k, line in enumerate(lines)]


def _mcnemar(
    one: tuple[Sequence[PartResults], str], two: tuple[Sequence[PartResults], str], split: str, clips: Clips
) -> float | None:
    """Exact, over all folds; None for attributes, and where a run has several seeds."""
    if one[0][0].task != "emotions" or any(len(results[0].config.seeds) > 1 for results, _ in (one, two)):
        return None
    first, second = (_answers(results, system, split, clips) for results, system in (one, two))
    gold, ours = zip(*first.values(), strict=True)
    return mcnemar(gold, ours, [second[clip][1] for clip in first])


def _answers(
    results: Sequence[PartResults], system: str, split: str, clips: Clips
) -> dict[tuple[str | None, str], tuple[str, str]]:
    """True and given label by fold and clip."""
    found: dict[tuple[str | None, str], tuple[str, str]] = {}
    for result in results:
        fold = result.part.fold
        part = result.align(system, split, clips[fold])
        rows = zip(part.ids, part.gold, part.predicted, strict=True)
        found |= {(fold, clip): (gold, given) for clip, gold, given in rows}
    return found


def _check_truth(entry: Entry, mine: Sequence[PartResults], first: Entry, theirs: Sequence[PartResults], both: Clips) -> None:
    """Both must be scored against the same answers."""
    known = {(r.part.fold, id): r.utterances[id] for r in theirs for id in both.get(r.part.fold, ()) if id in r.utterances}
    for result in mine:
        for clip in both[result.part.fold]:
            one, two = result.utterances[clip], known[result.part.fold, clip]
            if (one.emotion, one.attributes) != (two.emotion, two.attributes):
                raise DataError(f"{entry.name} and {first.name} differ in the truth of {clip}; make both from one corpus.")


def _results(entry: Entry, task: str, split: str) -> list[PartResults]:
    results = read_results(entry.run, task)
    for result in results:
        check_unfitted(result, entry.system, split)
    return results


def _predicted(results: Sequence[PartResults], system: str, split: str) -> Clips:
    """The labelled clips of each fold that every seed predicted."""
    clips: dict[str | None, set[str]] = {}
    for result in results:
        here = set(result.align(system, split).ids)
        clips[result.part.fold] = clips.get(result.part.fold, here) & here
    return clips


def _values(
    results: Sequence[PartResults], system: str, split: str, clips: Clips, score: Score, options: EvaluationSettings
) -> np.ndarray:
    """The score on `clips`, then on every resample; the same clips have the same resamples."""
    tallies = _pooled(results, system, split, clips)
    return statistic(replicates(tallies, options.resamples, options.seed), score)


def _pooled(results: Sequence[PartResults], system: str, split: str, clips: Clips) -> list[Tally]:
    """One tally for each seed, over all folds."""
    seeds: dict[int, list[Aligned]] = {}
    for result in results:
        seeds.setdefault(result.part.seed, []).append(result.align(system, split, clips[result.part.fold]))
    return [_tally(parts) for parts in seeds.values()]


def _tally(parts: Sequence[Aligned]) -> Tally:
    clusters = [name for part in parts for name in part.clusters]
    if parts[0].values is None:
        gold, predicted = ([name for part in parts for name in getattr(part, names)] for names in ("gold", "predicted"))
        return tally_labels(gold, predicted, clusters, parts[0].names)
    truth = np.concatenate([part.values for part in parts if part.values is not None])
    return tally_values(truth, np.concatenate([part.scores for part in parts]), clusters)


def table(lines: Sequence[Line], title: str, others: Sequence[Mapping[str, Any]] = ()) -> Table:
    """One row an entry: each score with its interval, its difference to the first with p, what could be shown, and the seconds.

    Args:
        lines: of one task and split.
        title: of the table.
        others: rows of `published.toml`, to print below.
    """
    if not lines:
        return Table(title, ["Run"], [])
    first, *rest = metrics = list(dict.fromkeys(line.metric for line in lines))
    rows: dict[str, list[str]] = {}
    for line in lines:
        cells = rows.setdefault(line.name, [])
        if line.metric == first:
            cells += [
                _cell(line.value),
                _cell(line.difference, sign="+"),
                _p(line.holm),
                _p(line.mcnemar),
                plain(line.detectable),
            ]
        else:
            cells += [plain(line.value.value), _cell(line.difference, sign="+")]
    for line in lines[:: len(metrics)]:
        rows[line.name].append(f"{line.seconds:.0f}")
    for row in others:
        theirs = {metric: plain(row["scores"].get(PUBLISHED[metric])) for metric in metrics}
        rows[row["system"]] = [theirs[first], *["–"] * 4, *(cell for metric in rest for cell in (theirs[metric], "–")), "–"]
    headers = [first, f"Δ {first}", "Holm p", "McNemar p", "Shows from"]
    headers += [cell for metric in rest for cell in (metric, f"Δ {metric}")]
    sources = "; ".join(dict.fromkeys(row["source"] for row in others))
    note = f"As published, below ours: {sources}." if others else ""
    return Table(title, ["Run", *headers, "s"], [[name, *cells] for name, cells in rows.items()], note)


PUBLISHED = {"Macro-F1": "macro_f1", "UAR": "uar", "Mean CCC": "ccc.mean"}
"""What `published.toml` calls the scores."""


def _p(value: float | None) -> str:
    return p_value(None if value is None else {"value": value})


def _cell(estimate: Estimate | None, sign: str = "") -> str:
    """A score or a difference with its interval; a difference shows its sign."""
    if estimate is None or estimate.value is None:
        return "–"
    text = number(asdict(estimate), interval=True)
    return text if estimate.value < 0 else sign + text


def write(folder: Path, name: str, tables: Sequence[Table], lines: Sequence[Line], notice: str = "") -> list[dict[str, Any]]:
    """Write NAME.md and NAME.json into `folder`; return the JSON's rows."""
    rows = [asdict(line) for line in lines]
    write_json(folder / f"{name}.json", {"rows": rows, "notice": notice})
    with atomic(folder / f"{name}.md") as temporary:
        told = [f"**{notice}**\n"] if notice else []
        temporary.write_text("\n".join([*told, *map(to_markdown, tables)]), encoding="utf-8")
    return rows

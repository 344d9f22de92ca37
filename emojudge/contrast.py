"""Several runs on the same clips: each one's score, and its difference to the first (PAPER decision 24).

Folds are pooled, so that every speaker is counted once however the folds were cut; seeds are averaged. Both runs of a
difference are scored on the clips that both predicted, under the same draws of speakers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emojudge.aligned import Aligned, PartResults, check_unfitted, read_results
from emojudge.compare import Estimate, Score, Tally, interval, replicates, statistic, tally_labels, tally_values
from emojudge.errors import DataError
from emojudge.metrics import ccc_from, macro_f1_from, uar_from
from emojudge.runs import RunFolder
from emojudge.settings import EvaluationSettings
from emojudge.storage import atomic, write_json
from emojudge.tables import Table, number, to_markdown

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
    """One score of one run; `difference` is to the first run, on the clips of both, and None for the first itself."""

    name: str
    task: str
    split: str
    metric: str
    value: Estimate
    difference: Estimate | None
    clips: int
    seconds: float


def contrast(entries: Sequence[Entry], task: str, split: str) -> list[Line]:
    """Every score of every entry on `split`; none where the first has nothing to score there.

    Raises:
        DataError: an entry has other labels than the first.
        LeakageError: a fusion was fitted on what would be scored.
    """
    found = [_results(entry, task, split) for entry in entries]
    first, options = _predicted(found[0], entries[0].system, split), entries[0].run.config.evaluation
    lines = []
    for entry, results in zip(entries, found, strict=True):
        if results[0].names != found[0][0].names:
            raise DataError(f"{entry.name} has other labels than {entries[0].name}, so their scores cannot be compared.")
        own = _predicted(results, entry.system, split)
        both = {fold: clips & first.get(fold, set()) for fold, clips in own.items()}
        if not any(both.values()):
            continue
        for metric, score in SCORES[task].items():
            value = interval(_values(results, entry.system, split, own, score, options), options.confidence)
            difference = None
            if entry is not entries[0]:
                ours = _values(results, entry.system, split, both, score, options)
                theirs = _values(found[0], entries[0].system, split, both, score, options)
                difference = interval(ours - theirs, options.confidence)
            clips = len(set().union(*own.values()))
            lines.append(Line(entry.name, task, split, metric, value, difference, clips, entry.seconds))
    return lines


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


def table(lines: Sequence[Line], title: str) -> Table:
    """One row an entry: each score with its interval, its difference to the first, and the seconds."""
    metrics = list(dict.fromkeys(line.metric for line in lines))
    rows: dict[str, list[str]] = {}
    for line in lines:
        cells = rows.setdefault(line.name, [])
        cells += [_cell(line.value), _cell(line.difference, sign="+")]
    for line in lines[:: len(metrics) or 1]:
        rows[line.name].append(f"{line.seconds:.0f}")
    headers = ["Run", *(cell for metric in metrics for cell in (metric, f"Δ {metric}")), "s"]
    return Table(title, headers, [[name, *cells] for name, cells in rows.items()])


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

"""What is tested: a system's predictions on the clips of one split, the folds of a seed put together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emojudge.aligned import Aligned, PartResults, check_unfitted, read_results, together
from emojudge.compare import Estimate, Tally, interval, replicates, statistic
from emojudge.errors import DataError
from emojudge.runs import JUDGED, SYSTEMS, RunFolder
from emojudge.settings.stages import EvaluationSettings
from emojudge.storage import read_jsonl
from emojudge.types import Utterance

Row = dict[str, Any]

SEED = 0
"""Of samples and simulations (ours)."""


@dataclass(frozen=True)
class Subject:
    """One system of a run. `seeds` has one `Aligned` a seed, `scale` the lowest and highest known value of any attribute."""

    task: str
    system: str
    split: str
    seeds: tuple[Aligned, ...]
    utterances: Mapping[str, Utterance]
    scale: tuple[float, float]
    options: EvaluationSettings

    @property
    def first(self) -> Aligned:
        """The first seed's clips."""
        return self.seeds[0]

    @property
    def width(self) -> float:
        """Of the attributes' scale."""
        return self.scale[1] - self.scale[0]

    def estimates(self, tallies: Sequence[Tally], score: Any) -> list[Estimate]:
        """Mean over seeds of each of the scores, (..., M), with its interval when clusters are drawn anew."""
        values = statistic(replicates(tallies, self.options.resamples, self.options.seed), score)
        return [interval(column, self.options.confidence) for column in values.reshape(len(values), -1).T]

    def mean(self, values: Sequence[np.ndarray]) -> Estimate:
        """Mean over clips and seeds, with its interval; `values` is (N,) for each seed."""
        tallies = [tally(np.stack([row, np.ones_like(row)], 1), a.clusters) for row, a in zip(values, self.seeds, strict=True)]
        return self.estimates(tallies, lambda total: ratio(total)[..., None])[0]

    def row(self, battery: str, test: str, estimate: Estimate, **about: Any) -> Row:
        """A result; `about` may give group, name (the class), threshold, sense and n."""
        threshold, sense = about.get("threshold"), about.get("sense", "")
        return {
            "battery": battery,
            "task": self.task,
            "system": self.system,
            "test": test,
            "group": about.get("group", ""),
            "class": about.get("name", ""),
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "threshold": threshold,
            "sense": sense,
            "passed": passes(estimate.value, threshold, sense),
            "n": about.get("n", len(self.first.ids)),
        }


def passes(value: float | None, threshold: float | None, sense: str) -> bool | None:
    """Whether a value keeps to its threshold; None where there is nothing to compare.

    >>> passes(0.6, 0.5, "least"), passes(-0.1, 0.05, "within"), passes(None, 0.5, "most")
    (True, False, None)
    """
    if value is None or threshold is None:
        return None
    return {"least": value >= threshold, "most": value <= threshold, "within": abs(value) <= threshold}[sense]


def tally(values: np.ndarray, clusters: Sequence[str]) -> Tally:
    """The sum of (N, ...) values over each cluster.

    >>> tally(np.array([[1.0], [2.0], [3.0]]), ["x", "y", "y"]).totals.tolist()
    [[1.0], [5.0]]
    """
    names, owner = np.unique(np.asarray(clusters), return_inverse=True)
    totals = np.zeros((len(names), *values.shape[1:]))
    np.add.at(totals, owner, values)
    return Tally(tuple(names.tolist()), totals)


def ratio(pair: np.ndarray) -> np.ndarray:
    """(..., 2) → (...): the first by the second, NaN where that is 0, as a resample without such clips is."""
    return np.divide(pair[..., 0], pair[..., 1], out=np.full(pair.shape[:-1], np.nan), where=pair[..., 1] > 0)


def subjects(run: RunFolder) -> list[Subject]:
    """The last system of each task, and before it the one whose labels its judge was shown.

    Raises:
        DataError: nothing with a known answer was predicted.
        LeakageError: a system was fitted on the clips.
    """
    found = []
    for task in run.config.tasks:
        results = read_results(run, task)
        split = tested_split(results)
        present = [s for s in SYSTEMS if split and all(s in r.predictions for r in results)]
        for system in [s for s in present if s not in JUDGED][-1:] + [s for s in present if s == "judge"]:
            for result in results:
                check_unfitted(result, system, str(split))
            found.append(subject(results, system, str(split)))
    if not found:
        raise DataError(f"{run.root} has no predictions of clips whose answer is known; finish it with: emojudge run {run.root}")
    return found


def tested_split(results: Sequence[PartResults]) -> str | None:
    """The test split where something of it is predicted and known, else the last such of `evaluation.splits`."""
    splits = [s for s in results[0].config.evaluation.splits if any(True for _ in _predicted(results, s))]
    return "test" if "test" in splits else splits[-1] if splits else None


def _predicted(results: Sequence[PartResults], split: str) -> Iterator[Utterance]:
    for result in results:
        known = {id for rows in result.predictions.values() for id in rows}
        yield from (u for u in result.labelled(split) if u.id in known)


def subject(results: Sequence[PartResults], system: str, split: str, only: Collection[str] | None = None) -> Subject:
    """A system on `split`, or on those of its clips that are in `only`."""
    seeds = dict.fromkeys(result.part.seed for result in results)
    aligned = [
        together([r.align(system, split, only) for r in results if r.part.seed == seed and r.predictions[system]])
        for seed in seeds
    ]
    everyone = {u.id: u for result in results for u in result.utterances.values()}
    values = [value for u in everyone.values() for value in u.attributes.values()] or [0.0, 1.0]
    options = results[0].config.evaluation
    return Subject(results[0].task, system, split, tuple(aligned), everyone, (min(values), max(values)), options)


def read_rows(path: Any) -> list[Row]:
    """JSON Lines of plain rows."""
    return list(read_jsonl(path, dict))

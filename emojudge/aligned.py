"""Predictions beside the truth, and the guards before anything is scored.

Two things are refused here: scores on clips that a system was fitted on (`LeakageError`), and systems
whose labels are not the experiment's (`ModelError`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from emojudge.errors import DataError, LeakageError, ModelError
from emojudge.probabilities import vote_shares
from emojudge.runs import JUDGED, SYSTEMS, Part, RunFolder
from emojudge.settings import Config
from emojudge.storage import read_json
from emojudge.types import ATTRIBUTES, Prediction, Utterance

FITTED_ON_TRAIN = ("audio", "text", "early")
"""Systems whose weights have seen the training split; the others are fitted on what fusion.json lists."""


@dataclass(frozen=True)
class Aligned:
    """One system on the N labelled clips of one part and split that it predicted.

    `names` are the K labels or attributes. Emotions: `gold` and `predicted` are N labels, `scores` (N, K)
    probabilities, `votes` (N, K) the raters' shares or NaN. Attributes: `values` are the true (N, K) and `scores` the
    predicted ones.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    scores: np.ndarray
    gold: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()
    values: np.ndarray | None = None
    votes: np.ndarray | None = None


@dataclass(frozen=True)
class PartResults:
    """Everything one part of a run holds for one task."""

    part: Part
    task: str
    config: Config
    utterances: Mapping[str, Utterance]
    predictions: Mapping[str, Mapping[str, Prediction]]

    def unlabelled(self, split: str) -> list[Utterance]:
        """The clips of `split` that cannot be scored: nobody knows the answer."""
        return [u for u in self.utterances.values() if u.split in split.split("+") and not self._labelled(u)]

    def labelled(self, split: str) -> list[Utterance]:
        """The clips of `split` that can be scored."""
        return [u for u in self.utterances.values() if u.split in split.split("+") and self._labelled(u)]

    def _labelled(self, utterance: Utterance) -> bool:
        if self.task == "emotions":
            return utterance.emotion is not None
        return bool(self.names) and set(self.names) <= utterance.attributes.keys()

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, or the attributes that the systems predict."""
        if self.task == "emotions":
            return self.config.data.labels
        first = next((p for rows in self.predictions.values() for p in rows.values()), None)
        return tuple(name for name in ATTRIBUTES if first and name in first.scores)

    def align(self, system: str, split: str, only: Collection[str] | None = None) -> Aligned:
        """`system` beside the truth on `split`, or on those of its clips whose ids are in `only`."""
        predictions = self.predictions[system]
        clips = [u for u in self.labelled(split) if u.id in predictions and (only is None or u.id in only)]
        rows = [predictions[u.id] for u in clips]
        emotions = self.task == "emotions"
        return Aligned(
            names=self.names,
            ids=tuple(u.id for u in clips),
            clusters=tuple(self._cluster(u) for u in clips),
            scores=self._array([row.scores for row in rows]),
            gold=tuple(str(u.emotion) for u in clips) if emotions else (),
            predicted=tuple(row.label for row in rows) if emotions else (),
            values=None if emotions else self._array([u.attributes for u in clips]),
            votes=vote_shares([u.votes for u in clips], self.names) if emotions and any(u.votes for u in clips) else None,
        )

    def _array(self, rows: Sequence[Mapping[str, float]]) -> np.ndarray:
        """(N, K) numbers by name."""
        return np.array([[row[name] for name in self.names] for row in rows], dtype=float).reshape(-1, len(self.names))

    def _cluster(self, utterance: Utterance) -> str:
        """What is resampled: the session or the speaker; a clip of which neither is known stands for itself."""
        cluster = self.config.evaluation.cluster
        if cluster == "session" and utterance.session:
            return f"session {utterance.session}"
        if cluster != "item" and utterance.speaker:
            return f"speaker {utterance.speaker}"
        return f"clip {utterance.id}"


def read_results(run: RunFolder, task: str) -> list[PartResults]:
    """Read every part's manifest and predictions.

    Raises:
        DataError: a system has run on some parts only.
        ModelError: a system's labels are not the experiment's.
    """
    results = []
    for part in run.parts():
        predictions = {system: rows for system in SYSTEMS if (rows := part.read_predictions(task, system))}
        results.append(PartResults(part, task, run.config, {u.id: u for u in part.manifest()}, predictions))
    _check_complete(results)
    for result in results:
        _check_names(result)
    return results


def together(parts: Sequence[Aligned]) -> Aligned:
    """Several folds as one."""

    def joined(name: str) -> Any:
        found = [getattr(part, name) for part in parts]
        if isinstance(found[0], tuple):
            return tuple(chain(*found))
        return None if any(one is None for one in found) else np.concatenate(found)

    return Aligned(parts[0].names, **{field.name: joined(field.name) for field in fields(Aligned) if field.name != "names"})


def pool(results: Sequence[PartResults], system: str, split: str) -> Aligned:
    """`system` on all folds of the first seed as one: for plots and counts, which a mean over folds cannot give."""
    return together([r.align(system, split) for r in results if r.part.seed == results[0].part.seed and r.labelled(split)])


def _check_complete(results: Sequence[PartResults]) -> None:
    for system in {name for result in results for name in result.predictions}:
        missing = [result.part.name for result in results if system not in result.predictions]
        if missing:
            raise DataError(
                f"There are no {system} predictions for {missing[0]} ({len(missing)} of {len(results)} parts lack them); "
                "finish the run with: emojudge run"
            )


def _check_names(result: PartResults) -> None:
    """All systems must speak of the same labels, or their scores would mean different things."""
    names = set(result.names)
    for system, rows in result.predictions.items():
        for row in rows.values():
            if row.scores.keys() != names:
                raise ModelError(
                    f"{result.part.predictions(result.task, system)} scores {', '.join(row.scores)} for {row.id}, "
                    f"not {', '.join(result.names)}; predict again with the models of this run."
                )
    if result.task == "emotions":
        strange = sorted({u.emotion for u in result.utterances.values() if u.emotion} - names)
        if strange:
            raise ModelError(
                f"{result.part.manifest_file} has clips labelled {strange[0]!r}, which is not among data.labels; "
                "prepare the data again or add the label."
            )


def check_unfitted(result: PartResults, system: str, split: str) -> None:
    """Refuse `split` where `system` was fitted on some of it.

    `fusion.json` names the ids the fusion was `fitted_on`, and those whose stored predictions are
    nevertheless out-of-fold (`cross_fitted`). The judge passes fused labels on, so it inherits them; a calibrated judge
    has a `calibration.json` as well, and where a person chose the judge's threshold `evaluation.judge_chosen_on` tells.

    Raises:
        LeakageError: the score would be taken on what was fitted.
    """
    parts = set(split.split("+"))
    if system in FITTED_ON_TRAIN:
        if "train" in parts:
            raise LeakageError(
                f"The {system} model was trained on the train split, so a score there says nothing; "
                "leave it out of evaluation.splits or allow fitted clips."
            )
        return
    chosen_on = parts & set(result.config.evaluation.judge_chosen_on) if system in JUDGED else ()
    if chosen_on:
        raise LeakageError(
            f"The judge's threshold was chosen on {min(chosen_on)} (evaluation.judge_chosen_on), so the {system} score there "
            f"would flatter; leave {split!r} out of evaluation.splits or allow fitted clips."
        )
    for name, path in _fitted(result, system).items():
        about = read_json(path) if path.exists() else {}
        seen = set(about.get("fitted_on", ())) - set(about.get("cross_fitted", ()))
        leaked = [u.id for u in result.labelled(split) if u.id in seen and u.id in result.predictions[system]]
        if leaked:
            raise LeakageError(
                f"{len(leaked)} clips of the {split} split (as {leaked[0]}) were used to fit the {name} of {result.part.name}, "
                f"so the {system} score there would flatter; leave {split!r} out of evaluation.splits or allow fitted clips."
            )


def _fitted(result: PartResults, system: str) -> dict[str, Path]:
    """What `system` was made with that names the clips it was fitted on."""
    found = {"fusion": result.part.fusion(result.task)}
    if system == "calibrated" or (system == "judge" and result.config.judge.policy == "calibrated"):
        found["calibrated judge"] = result.part.calibration()
    return found

"""Late fusion (paper 4.5): logistic regression over both models' log-probabilities, ridge for attributes.

C is searched by speaker-grouped cross-validation on dev. What was fitted is plain numbers in `fusion.json`,
applied with numpy alone. Stored dev predictions are out-of-fold, so that they may be scored honestly.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import metrics
from emojudge.errors import DataError, ModelError
from emojudge.settings import FusionSettings
from emojudge.storage import read_json, write_json
from emojudge.types import Prediction, Utterance

Outputs = Mapping[str, Mapping[str, Prediction]]
"""Predictions by system ("audio", "text"), then by utterance id."""


@dataclass(frozen=True)
class Fusion:
    """A fitted fusion. `weights` (K, F) and `bias` (K,) act on standardised features, F = systems × K.

    `cost` is C for each output (one C for all emotions). `log_prior_shift` is added to the emotions' scores
    to move from dev's class frequencies to the target prior (PAPER decision 12). `search` holds the
    cross-validated score of each C tried.
    """

    task: str
    outputs: tuple[str, ...]
    systems: tuple[str, ...]
    mean: list[float]
    deviation: list[float]
    weights: list[list[float]]
    bias: list[float]
    cost: list[float]
    search: dict[str, list[float]]
    log_prior_shift: list[float] = field(default_factory=list)
    fitted_on: list[str] = field(default_factory=list)
    cross_fitted: list[str] = field(default_factory=list)

    def predict(self, outputs: Outputs, ids: Sequence[str]) -> Iterator[Prediction]:
        """Fuse `ids`; where a model has no prediction (unreadable audio, say) the other's stands, with a note."""
        for id in ids:
            there = [outputs[system][id] for system in self.systems if id in outputs[system]]
            if len(there) < len(self.systems):
                yield from (Prediction(id, "fusion", p.scores, f"{p.source} alone") for p in there[:1])
                continue
            row = features(outputs, [id], self.systems, self.outputs, self.task)
            yield Prediction(id, "fusion", dict(zip(self.outputs, self._scores(row)[0].tolist(), strict=True)))

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        raw = (rows - np.array(self.mean)) / np.array(self.deviation) @ np.array(self.weights).T + np.array(self.bias)
        return softmax(raw + np.array(self.log_prior_shift)) if self.task == "emotions" else raw


def softmax(scores: np.ndarray) -> np.ndarray:
    """Along the last axis.

    >>> softmax(np.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def features(outputs: Outputs, ids: Sequence[str], systems: Sequence[str], names: Sequence[str], task: str) -> np.ndarray:
    """Fusion inputs (len(ids), systems × names): log-probabilities of emotions, or values of attributes.

    Raises:
        ModelError: a system has other labels than `names`.
    """
    for system in systems:
        found = set(outputs[system][ids[0]].scores) if ids else set(names)
        if found != set(names):
            raise ModelError(
                f"The {system} model's labels {sorted(found)} are not the fusion's {sorted(names)}; train both on one label set."
            )
    table = np.array([[outputs[s][id].scores[name] for s in systems for name in names] for id in ids], dtype=np.float64)
    return np.log(np.clip(table, 1e-12, None)) if task == "emotions" else table


def fit(
    outputs: Outputs,
    dev: Sequence[Utterance],
    task: str,
    names: Sequence[str],
    settings: FusionSettings,
    prior: Mapping[str, float],
) -> tuple[Fusion, list[Prediction]]:
    """Fit on dev; return the fusion and dev's out-of-fold predictions.

    `prior` holds the training split's class frequencies, for `target_prior = "train"`.

    Raises:
        DataError: too few dev clips or groups to search C.
    """
    systems = tuple(outputs)
    dev = [u for u in dev if all(u.id in outputs[s] for s in systems) and (u.emotion if task == "emotions" else u.attributes)]
    if len(dev) < 2 * settings.folds:
        raise DataError(f"Fusion has {len(dev)} dev clips with {task}, too few for {settings.folds} folds; make dev larger.")
    x = features(outputs, [u.id for u in dev], systems, names, task)
    splits = list(_folds(dev, settings.folds, task))
    grid = np.geomspace(settings.low, settings.high, settings.steps)
    mean, deviation = x.mean(0), np.where(x.std(0) > 1e-9, x.std(0), 1.0)
    solve = _emotions if task == "emotions" else _attributes
    shift = _prior_shift(dev, names, settings, prior) if task == "emotions" else []
    solved = solve((x - mean) / deviation, dev, list(names), splits, grid, settings.class_weight)
    fusion = Fusion(
        task,
        tuple(names),
        systems,
        mean.tolist(),
        deviation.tolist(),
        **{key: solved[key] for key in ("weights", "bias", "cost", "search")},
        log_prior_shift=shift,
        fitted_on=[u.id for u in dev],
        cross_fitted=[u.id for u in dev],
    )
    held_out = softmax(solved["held_out"] + np.array(shift)) if task == "emotions" else solved["held_out"]
    rows = zip(dev, held_out.tolist(), strict=True)
    return fusion, [Prediction(u.id, "fusion", dict(zip(names, row, strict=True)), "out of fold") for u, row in rows]


def _folds(dev: Sequence[Utterance], folds: int, task: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Speaker-grouped folds, stratified by emotion; where no speaker is known every clip is its own group."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    groups = [u.speaker or u.id for u in dev]
    folds = min(folds, len(set(groups)))
    if folds < 2:
        raise DataError("Fusion needs dev clips of at least two speakers to search C; use another split.")
    if task == "emotions":
        yield from StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(groups, [str(u.emotion) for u in dev], groups)
    else:
        yield from GroupKFold(folds).split(groups, groups=groups)


def _emotions(
    x: np.ndarray, dev: Sequence[Utterance], names: list[str], splits: Any, grid: np.ndarray, weight: str
) -> dict[str, Any]:
    """Multinomial logistic regression; C by cross-validated macro-F1."""
    from sklearn.linear_model import LogisticRegression

    gold = np.array([names.index(str(u.emotion)) for u in dev])

    def scores(c: float, fit_on: np.ndarray, apply_to: np.ndarray) -> np.ndarray:
        model = LogisticRegression(C=c, max_iter=2000, class_weight=None if weight == "none" else weight).fit(
            x[fit_on], gold[fit_on]
        )
        w, b = _full(model, len(names), x.shape[1])
        return x[apply_to] @ w.T + b

    tried = {}
    for c in grid:
        held_out = np.zeros((len(dev), len(names)))
        for fit_on, apply_to in splits:
            held_out[apply_to] = scores(c, fit_on, apply_to)
        predicted = [names[k] for k in held_out.argmax(1)]
        tried[float(c)] = (metrics.macro_f1([names[k] for k in gold], predicted, names), held_out)
    best = max(tried, key=lambda c: (tried[c][0], -c))
    final = LogisticRegression(C=best, max_iter=2000, class_weight=None if weight == "none" else weight).fit(x, gold)
    w, b = _full(final, len(names), x.shape[1])
    search = {"C": list(tried), "macro_f1": [score for score, _ in tried.values()]}
    return {"weights": w.tolist(), "bias": b.tolist(), "cost": [best], "search": search, "held_out": tried[best][1]}


def _full(model: Any, classes: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients with a row for every class; a class that dev lacks can never win (bias -30)."""
    weights, bias = np.zeros((classes, size)), np.full(classes, -30.0)
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
        weights[model.classes_] = np.stack([-model.coef_[0], model.coef_[0]]) / 2
        bias[model.classes_] = np.array([-model.intercept_[0], model.intercept_[0]]) / 2
    else:
        weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weights, bias


def _attributes(
    x: np.ndarray, dev: Sequence[Utterance], names: list[str], splits: Any, grid: np.ndarray, weight: str
) -> dict[str, Any]:
    """Ridge for each attribute over all inputs, α = 1/C; C by cross-validated CCC (PAPER decision 10)."""
    from sklearn.linear_model import Ridge

    solved: dict[str, Any] = {"weights": [], "bias": [], "cost": [], "search": {"C": grid.tolist()}}
    held_out_all = np.zeros((len(dev), len(names)))
    for k, name in enumerate(names):
        gold = np.array([u.attributes.get(name, np.nan) for u in dev])
        known = ~np.isnan(gold)
        tried = {}
        for c in grid:
            held_out = np.zeros(len(dev))
            for fit_on, apply_to in splits:
                rows = fit_on[known[fit_on]]
                held_out[apply_to] = Ridge(alpha=1 / c).fit(x[rows], gold[rows]).predict(x[apply_to])
            tried[float(c)] = (metrics.ccc(gold[known], held_out[known]), held_out)
        best = max(tried, key=lambda c: (tried[c][0], -c))
        final = Ridge(alpha=1 / best).fit(x[known], gold[known])
        solved["weights"].append(final.coef_.tolist())
        solved["bias"].append(float(final.intercept_))
        solved["cost"].append(best)
        solved["search"][name] = [score for score, _ in tried.values()]
        held_out_all[:, k] = tried[best][1]
    return {**solved, "held_out": held_out_all}


def _prior_shift(
    dev: Sequence[Utterance], names: Sequence[str], settings: FusionSettings, prior: Mapping[str, float]
) -> list[float]:
    """Difference log target(y) - log dev(y): Bayes' rule moves the fused posterior to the target prior (PAPER decision 12)."""
    if settings.target_prior == "uniform":
        wanted: Mapping[str, float] = dict.fromkeys(names, 1.0)
    else:
        wanted = prior if settings.target_prior == "train" else settings.target_prior
    counts = np.array([sum(u.emotion == name for u in dev) for name in names], dtype=np.float64)
    target = np.array([wanted.get(name, 0.0) for name in names])
    shift = np.log(np.clip(target / target.sum(), 1e-6, None)) - np.log(np.clip(counts / counts.sum(), 1e-6, None))
    # A class that dev lacks has no learnt score to correct.
    return np.where(counts > 0, shift, 0.0).tolist()


def save(fusion: Fusion, path: str | Path) -> None:
    """Write it as JSON."""
    write_json(path, asdict(fusion))


def load(path: str | Path) -> Fusion:
    """Read what `save` wrote.

    Raises:
        DataError: missing or unreadable.
    """
    content = read_json(path)
    return Fusion(**{**content, "outputs": tuple(content["outputs"]), "systems": tuple(content["systems"])})

"""Late fusion (paper 4.5): logistic regression over both models' log-probabilities, ridge for attributes.

C is searched by speaker-grouped cross-validation on dev. What was fitted is plain numbers in `fusion.json`,
applied with numpy alone. Stored dev predictions are out-of-fold, so that they may be scored honestly.
"""

import warnings
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
    splits = list(grouped_folds(dev, settings.folds, task))
    grid = np.geomspace(settings.low, settings.high, settings.steps)
    mean, deviation = x.mean(0), np.where(x.std(0) > 1e-9, x.std(0), 1.0)
    solve = _emotions if task == "emotions" else _attributes
    start = _start(mean, deviation, len(names), task, settings)
    shift = _prior_shift(dev, names, settings, prior) if task == "emotions" else []
    solved = solve((x - mean) / deviation, dev, list(names), splits, grid, start)
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


def grouped_folds(dev: Sequence[Utterance], folds: int, task: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Speaker-grouped folds, stratified by emotion; where no speaker is known every clip is its own group."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    groups = [u.speaker or u.id for u in dev]
    folds = min(folds, len(set(groups)))
    if folds < 2:
        raise DataError("Fusion needs dev clips of at least two speakers to search C; use another split.")
    labels = [str(u.emotion) for u in dev]
    if task == "emotions" and max(map(labels.count, labels)) >= folds:
        with warnings.catch_warnings():  # a label that is rarer than that is in some folds only
            warnings.simplefilter("ignore", UserWarning)
            yield from list(StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(groups, labels, groups))
    else:
        yield from GroupKFold(folds).split(groups, groups=groups)


Start = tuple[np.ndarray, np.ndarray]
"""Weights (K, F) and bias (K,) that the penalty pulls to."""


def _start(mean: np.ndarray, deviation: np.ndarray, size: int, task: str, settings: FusionSettings) -> Start:
    """Nothing, the sum of log-probabilities (mean of values), or the first system, written for standardised features."""
    weights, bias = np.zeros((size, len(mean))), np.zeros(size)
    if settings.shrink_to != "zero":
        count = len(mean) if settings.shrink_to == "sum" else size
        share = 1.0 if task == "emotions" else size / count
        place = np.arange(len(mean))
        own = (place % size == np.arange(size)[:, None]) & (place < count)  # each system's score of the same name
        weights, bias = own * deviation * share, own @ mean * share
    return weights, bias


def _emotions(
    x: np.ndarray, dev: Sequence[Utterance], names: list[str], splits: Any, grid: np.ndarray, start: Start
) -> dict[str, Any]:
    """Multinomial logistic regression; C by cross-validated macro-F1."""
    gold = np.array([names.index(str(u.emotion)) for u in dev])
    tried = {}
    for c in grid:
        held_out = np.zeros((len(dev), len(names)))
        for fit_on, apply_to in splits:
            weights, bias = logistic(x[fit_on], gold[fit_on], c, start)
            held_out[apply_to] = x[apply_to] @ weights.T + bias
        predicted = [names[k] for k in held_out.argmax(1)]
        tried[float(c)] = (metrics.macro_f1([names[k] for k in gold], predicted, names), held_out)
    best = max(tried, key=lambda c: (tried[c][0], -c))
    weights, bias = logistic(x, gold, best, start)
    search = {"C": list(tried), "macro_f1": [score for score, _ in tried.values()]}
    return {"weights": weights.tolist(), "bias": bias.tolist(), "cost": [best], "search": search, "held_out": tried[best][1]}


def logistic(x: np.ndarray, gold: np.ndarray, cost: float, start: Start) -> Start:
    """Minimise C · Σ cross-entropy + ½‖W - W₀‖² by L-BFGS; with W₀ = 0 this is scikit-learn's `LogisticRegression(C)`.

    Args:
        x: standardised features (N, F).
        gold: class numbers (N,).
        cost: C.
        start: W₀ and b₀; a class without an example keeps b₀, or can never win where W₀ is nothing.
    """
    from scipy.optimize import minimize

    first, bias = start
    present = np.bincount(gold, minlength=len(bias)) > 0
    if not first.any():
        bias = np.where(present, bias, -30.0)
    wanted = np.eye(len(bias))[gold]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        change = flat.reshape(len(bias), -1)
        scores = x @ (first + change[:, 1:]).T + bias + change[:, 0]
        top = scores.max(1, keepdims=True)
        log_p = scores - top - np.log(np.exp(scores - top).sum(1, keepdims=True))
        error = cost * (np.exp(log_p) - wanted)
        slope = np.column_stack([error.sum(0) * present, error.T @ x + change[:, 1:]])
        return -cost * (log_p * wanted).sum() + 0.5 * np.square(change[:, 1:]).sum(), slope.ravel()

    found = minimize(
        loss,
        np.zeros(len(bias) * (x.shape[1] + 1)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "ftol": 1e-13, "gtol": 1e-8},
    )
    change = found.x.reshape(len(bias), -1)
    return first + change[:, 1:], bias + change[:, 0]


def _attributes(
    x: np.ndarray, dev: Sequence[Utterance], names: list[str], splits: Any, grid: np.ndarray, start: Start
) -> dict[str, Any]:
    """Ridge for each attribute over all inputs, α = 1/C; C by cross-validated CCC (PAPER decision 10)."""
    solved: dict[str, Any] = {"weights": [], "bias": [], "cost": [], "search": {"C": grid.tolist()}}
    held_out_all = np.zeros((len(dev), len(names)))
    for k, name in enumerate(names):
        gold = np.array([u.attributes.get(name, np.nan) for u in dev])
        known = np.flatnonzero(~np.isnan(gold))
        own = (start[0][k], start[1][k])
        tried = {}
        for c in grid:
            held_out = np.zeros(len(dev))
            for fit_on, apply_to in splits:
                weights, bias = _ridge(x, gold, np.intersect1d(fit_on, known), c, own)
                held_out[apply_to] = x[apply_to] @ weights + bias
            tried[float(c)] = (metrics.ccc(gold[known], held_out[known]), held_out)
        best = max(tried, key=lambda c: (tried[c][0], -c))
        weights, bias = _ridge(x, gold, known, best, own)
        solved["weights"].append(weights.tolist())
        solved["bias"].append(float(bias))
        solved["cost"].append(best)
        solved["search"][name] = [score for score, _ in tried.values()]
        held_out_all[:, k] = tried[best][1]
    return {**solved, "held_out": held_out_all}


def _ridge(
    x: np.ndarray, gold: np.ndarray, rows: np.ndarray, cost: float, start: tuple[np.ndarray, float]
) -> tuple[np.ndarray, float]:
    """Ridge on what the starting weights leave over, so that the penalty pulls to them."""
    from sklearn.linear_model import Ridge

    left = gold[rows] - x[rows] @ start[0] - start[1]
    model = Ridge(alpha=1 / cost).fit(x[rows], left)
    return start[0] + model.coef_, start[1] + float(model.intercept_)


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

"""Scores of labels and of attributes (paper 3.2; PAPER decisions 20–22); those of probabilities are in `probabilities.py`.

Label scores are functions of a confusion matrix, attribute scores of six sums; both add up over
clips, so that `emojudge.compare` can resample thousands of times without touching a clip again.
Each name ending in `_from` takes such counts or sums, with any number of leading dimensions.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from emojudge.errors import ModelError

Counts = np.ndarray
"""(..., K, K): clips with gold label i (row) and predicted label j (column)."""

Sums = np.ndarray
"""(..., 6): n, Σx, Σy, Σx², Σy², Σxy of gold x and predicted y."""


def confusion(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Counts:
    """Count (K, K) clips by gold label (row) and predicted label (column), both in the order of `labels`.

    >>> confusion(["a", "a", "b"], ["a", "b", "b"], labels=["a", "b"]).tolist()
    [[1, 1], [0, 1]]

    Raises:
        ModelError: a label is not among `labels`.
    """
    size = len(labels)
    cells = indices(gold, labels) * size + indices(predicted, labels)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def indices(names: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Position of each name in `labels`, (N,) integers.

    Raises:
        ModelError: a name is not among `labels`.
    """
    place = {label: index for index, label in enumerate(labels)}
    strange = sorted(set(names) - place.keys())
    if strange:
        raise ModelError(f"Label {strange[0]!r} is not among {', '.join(labels)}; map it or add it to data.labels.")
    return np.array([place[name] for name in names], dtype=np.int64)


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float) -> np.ndarray:
    """`above / below`, and `otherwise` where `below` is 0."""
    below = np.asarray(below, dtype=float)
    return np.divide(above, below, out=np.full(below.shape, otherwise), where=below != 0)


def _hits(counts: Counts) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def precision_from(counts: Counts) -> np.ndarray:
    """(..., K): of the clips given a label, the share that have it; 0 where it was never given."""
    return _ratio(_hits(counts), counts.sum(-2), 0.0)


def recall_from(counts: Counts) -> np.ndarray:
    """(..., K): of the clips that have a label, the share given it; 0 where none has it."""
    return _ratio(_hits(counts), counts.sum(-1), 0.0)


def f1_from(counts: Counts) -> np.ndarray:
    """(..., K): harmonic mean of precision and recall; 0 for a label that is neither given nor there."""
    return _ratio(2 * _hits(counts), counts.sum(-1) + counts.sum(-2), 0.0)


def macro_f1_from(counts: Counts) -> np.ndarray:
    """(...): mean F1 over all K labels."""
    return f1_from(counts).mean(-1)


def weighted_f1_from(counts: Counts) -> np.ndarray:
    """(...): F1 averaged with the number of clips of each label, as MELD's literature reports it."""
    support = counts.sum(-1)
    return _ratio((f1_from(counts) * support).sum(-1), support.sum(-1), np.nan)


def uar_from(counts: Counts) -> np.ndarray:
    """(...): mean recall over the labels that some clip has."""
    return _ratio(recall_from(counts).sum(-1), (counts.sum(-1) > 0).sum(-1), np.nan)


def accuracy_from(counts: Counts) -> np.ndarray:
    """(...): share of clips given their label, which is also micro-averaged F1."""
    return _ratio(_hits(counts).sum(-1), counts.sum((-2, -1)), np.nan)


def confusion_shares(counts: Counts) -> np.ndarray:
    """(..., K, K): each row as shares of its true label; 0 where no clip has it.

    >>> confusion_shares(np.array([[1, 3], [0, 0]])).tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    return _ratio(counts, np.broadcast_to(counts.sum(-1, keepdims=True), counts.shape), 0.0)


def macro_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> float:
    """Mean F1 over all of `labels`, the paper's score for Task 1 (3.2).

    As scikit-learn's `f1_score(average="macro", labels=labels, zero_division=0)`: a label that no clip
    has and no prediction gives counts as 0. Pass the labels of the corpus, not those of the model.

    >>> round(macro_f1(["a", "a", "b"], ["a", "b", "b"], labels=["a", "b"]), 3)
    0.667
    """
    return float(macro_f1_from(confusion(gold, predicted, labels)))


def weighted_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> float:
    """F1 averaged over `labels` with their numbers of clips."""
    return float(weighted_f1_from(confusion(gold, predicted, labels)))


def uar(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> float:
    """Unweighted average recall, over the labels that some clip has (balanced accuracy; "UA").

    >>> uar(["a", "a", "b"], ["a", "b", "b"], labels=["a", "b", "c"])
    0.75
    """
    return float(uar_from(confusion(gold, predicted, labels)))


def accuracy(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> float:
    """Share of clips given their own label ("WA")."""
    return float(accuracy_from(confusion(gold, predicted, labels)))


def per_class_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and number of clips of each label.

    >>> per_class_f1(["a", "a", "b"], ["a", "b", "b"], labels=["a", "b"])["a"]
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'n': 2.0}
    """
    counts = confusion(gold, predicted, labels)
    columns = np.stack([precision_from(counts), recall_from(counts), f1_from(counts), counts.sum(-1)], axis=-1)
    return {
        label: dict(zip(("precision", "recall", "f1", "n"), row.tolist(), strict=True))
        for label, row in zip(labels, columns, strict=True)
    }


def sums(gold: np.ndarray, predicted: np.ndarray) -> Sums:
    """(..., 6) sums of each pair of values; added up over clips they give every attribute score.

    Add them in float64 and after taking the same constant from both, or Σx² swallows the variance.
    """
    x, y = np.asarray(gold, dtype=float), np.asarray(predicted, dtype=float)
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)


def _moments(total: Sums) -> tuple[np.ndarray, ...]:
    """Means, population variances and covariance."""
    n, *rest = np.moveaxis(np.asarray(total, dtype=float), -1, 0)
    x, y, xx, yy, xy = (_ratio(part, n, np.nan) for part in rest)
    return x, y, _variance(x, xx), _variance(y, yy), xy - x * y


def _variance(mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Population variance; what is left of a constant by rounding is 0."""
    variance = square - mean * mean
    return np.where(variance > 1e-12 * square, variance, 0.0)


def ccc_from(total: Sums) -> np.ndarray:
    """(...): concordance, 2σxy / (σx² + σy² + (μx − μy)²); NaN where both are one and the same constant."""
    x, y, xx, yy, xy = _moments(total)
    return _ratio(2 * xy, xx + yy + (x - y) ** 2, np.nan)


def pearson_from(total: Sums) -> np.ndarray:
    """(...): correlation; NaN where either is constant."""
    _, _, xx, yy, xy = _moments(total)
    return _ratio(xy, np.sqrt(xx * yy), np.nan)


def rmse_from(total: Sums) -> np.ndarray:
    """(...): root of the mean squared error; both series may have been shifted by one constant."""
    n, _, _, xx, yy, xy = np.moveaxis(np.asarray(total, dtype=float), -1, 0)
    return np.sqrt(np.clip(_ratio(xx + yy - 2 * xy, n, np.nan), 0, None))


def ccc(gold: Sequence[float] | np.ndarray, predicted: Sequence[float] | np.ndarray) -> float:
    """Concordance correlation coefficient of two (N,) series, the paper's score for Task 2 (3.2).

    Population variances and covariance throughout, in float64, over the whole split at once: a mixture
    of biased and unbiased moments gives CCC(x, x) = 0.94 for 16 clips.

    >>> ccc([1, 2, 3], [1, 2, 3])
    1.0
    """
    x, y = _centred(gold, predicted)
    return float(ccc_from(sums(x, y).sum(0)))


def pearson(gold: Sequence[float] | np.ndarray, predicted: Sequence[float] | np.ndarray) -> float:
    """Correlation r of two (N,) series."""
    x, y = _centred(gold, predicted)
    return float(pearson_from(sums(x - x.mean(), y - y.mean()).sum(0)))


def _centred(gold: Sequence[float] | np.ndarray, predicted: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both series less the mean of `gold`, which changes neither score and keeps the digits."""
    x, y = np.asarray(gold, dtype=float), np.asarray(predicted, dtype=float)
    return x - x.mean(), y - x.mean()


def rmse(gold: Sequence[float] | np.ndarray, predicted: Sequence[float] | np.ndarray) -> float:
    """Root of the mean squared error, in the attribute's own unit.

    >>> rmse([1, 2], [1, 4]) == 2 ** 0.5
    True
    """
    return float(rmse_from(sums(*_centred(gold, predicted)).sum(0)))


LABEL_SCORES: Mapping[str, Callable[[Counts], np.ndarray]] = {
    "macro_f1": macro_f1_from,
    "uar": uar_from,
    "accuracy": accuracy_from,
    "weighted_f1": weighted_f1_from,
}
"""Scores of a confusion matrix that are one number."""

CLASS_SCORES: Mapping[str, Callable[[Counts], np.ndarray]] = {
    "f1": f1_from,
    "precision": precision_from,
    "recall": recall_from,
}
"""Scores of a confusion matrix that are one number for each label."""

ATTRIBUTE_SCORES: Mapping[str, Callable[[Sums], np.ndarray]] = {"ccc": ccc_from, "pearson": pearson_from, "rmse": rmse_from}
"""Scores of one attribute's sums."""

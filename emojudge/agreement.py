"""How far raters agree, and the human ceiling: what one of them would score if he were a system. Pure.

The ceiling leaves one rater out at a time: his choice is the prediction, the majority of the others is the truth (for
attributes, their mean). From counts of votes this is exact, since who chose the same is left out with the same result:
each label weighs as many raters as chose it, and a majority that ties is shared among those that tie. Truths outside
the labels are left out, as they are for systems; a choice outside them is a miss.

Raters' own label sets differ from corpus to corpus, and where the corpus's label is made from these votes a model can
score higher than any rater: it is scored against all of them, and has seen thousands.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from emojudge.metrics import accuracy_from, ccc, f1_from, uar_from
from emojudge.types import ATTRIBUTES, Utterance

Row = dict[str, Any]
"""{task, metric, class, value, n}; n counts clips, and value is None where it cannot be told."""


def entropy(votes: Mapping[str, float]) -> float:
    """Entropy of the votes in bits: 0 where all agree, 1 where two labels share them.

    >>> entropy({"Sad": 2, "Happy": 2}), entropy({"Sad": 5})
    (1.0, 0.0)
    """
    counts = np.array([count for count in votes.values() if count], dtype=float)
    shares = counts / counts.sum()
    return float(abs((shares * np.log2(shares)).sum()))


def rows(utterances: Sequence[Utterance], labels: Sequence[str]) -> list[Row]:
    """Agreement and human ceiling of everything that at least two raters judged; nothing where there is no such clip."""
    voted = [u for u in utterances if _raters(u.votes) >= 2]
    found = list(_of_votes(voted, labels)) if voted else []
    ceilings = []
    for name in ATTRIBUTES:
        rated = [u for u in utterances if len(u.ratings.get(name, ())) >= 2]
        if rated:
            found += _of_ratings(rated, name)
            ceilings.append(next(row for row in found if (row["metric"], row["class"]) == ("ccc", name)))
    if ceilings:
        mean = float(np.mean([row["value"] for row in ceilings]))
        found.append(_row("attributes", "ccc", mean, min(row["n"] for row in ceilings), "mean"))
    return found


def _raters(votes: Mapping[str, float]) -> int:
    """How many raters there were; 0 where votes are shares and not counts."""
    return int(sum(votes.values())) if all(float(count).is_integer() for count in votes.values()) else 0


def _row(task: str, metric: str, value: float | None, n: int, name: str = "") -> Row:
    return {"task": task, "metric": metric, "class": name, "value": value, "n": n}


# -- votes


def _of_votes(utterances: Sequence[Utterance], labels: Sequence[str]) -> Iterator[Row]:
    names, counts = _counted(utterances, labels)
    facts = {
        "raters": counts.sum(1).mean(),
        "unanimous": (counts.max(1) == counts.sum(1)).mean(),
        "entropy": np.mean([entropy(u.votes) for u in utterances]),
        "alpha": alpha(counts, np.arange(len(names)), "nominal"),
    }
    for metric, value in facts.items():
        yield _row("emotions", metric, value if value is None else float(value), len(utterances))
    yield from _scores(left_out(counts, len(labels)), len(labels), len(utterances))
    known = [number for number, u in enumerate(utterances) if u.emotion in labels]
    table = np.zeros((len(names), len(names)))
    for number in known:
        table[names.index(str(utterances[number].emotion))] += counts[number]
    yield from _scores(table, len(labels), len(known), "_to_label") if known else ()


def _counted(utterances: Sequence[Utterance], labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Names that were voted for, `labels` first, and (N, V) votes."""
    names = list(dict.fromkeys([*labels, *(name for u in utterances for name in u.votes)]))
    return names, np.array([[u.votes.get(name, 0.0) for name in names] for u in utterances])


def left_out(counts: np.ndarray, labels: int) -> np.ndarray:
    """Choices of each rater (columns) by the majority of the others (rows), from (N, V) counts of votes.

    Rows after the first `labels` are 0: truths outside the labels are left out.

    >>> left_out(np.array([[2, 1]]), 2).tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    table = np.zeros((counts.shape[1], counts.shape[1]))
    for chosen in range(counts.shape[1]):
        with_it = counts[counts[:, chosen] > 0]
        others = with_it - np.eye(counts.shape[1])[chosen]
        winners = others == others.max(1, keepdims=True)
        table[:, chosen] = (winners * (with_it[:, chosen] / winners.sum(1))[:, None]).sum(0)
    table[labels:] = 0
    return table


def _scores(table: np.ndarray, labels: int, n: int, suffix: str = "") -> Iterator[Row]:
    """Macro-F1, UAR and accuracy of a table whose first `labels` rows and columns are the labels."""
    values = {"macro_f1": f1_from(table)[:labels].mean(), "uar": uar_from(table), "accuracy": accuracy_from(table)}
    for metric, value in values.items():
        yield _row("emotions", metric + suffix, float(value) if np.isfinite(value) else None, n)


# -- ratings


def _of_ratings(utterances: Sequence[Utterance], name: str) -> Iterator[Row]:
    ratings = [np.asarray(u.ratings[name], dtype=float) for u in utterances]
    values, places = np.unique(np.concatenate(ratings), return_inverse=True)
    counts = np.zeros((len(ratings), len(values)))
    np.add.at(counts, (np.repeat(np.arange(len(ratings)), [len(r) for r in ratings]), places), 1)
    others = [(r.sum() - r) / (len(r) - 1) for r in ratings]
    facts = {
        "raters": float(counts.sum(1).mean()),
        "sd": float(np.mean([r.std(ddof=1) for r in ratings])),
        "alpha": alpha(counts, values, "interval"),
        "ccc": ccc(np.concatenate(others), np.concatenate(ratings)),
    }
    for metric, value in facts.items():
        yield _row("attributes", metric, value, len(utterances), name)
    known = [(r, u.attributes[name]) for r, u in zip(ratings, utterances, strict=True) if name in u.attributes]
    if known:
        truth = np.concatenate([np.full(len(r), value) for r, value in known])
        yield _row("attributes", "ccc_to_label", ccc(truth, np.concatenate([r for r, _ in known])), len(known), name)


def alpha(counts: np.ndarray, values: np.ndarray, level: Literal["nominal", "interval"]) -> float | None:
    """Krippendorff's alpha of (N, V) counts of raters by value; None without the extra `agreement`, or of a single value.

    1 is perfect agreement, 0 what chance gives. `level` is "nominal" for labels, "interval" for ratings.
    """
    used = counts.sum(0) > 0
    if used.sum() < 2 or find_spec("krippendorff") is None:
        return None
    import krippendorff

    known = counts[:, used].astype(int)
    return float(krippendorff.alpha(value_counts=known, value_domain=values[used], level_of_measurement=level))

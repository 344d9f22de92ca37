"""Verdict → refined prediction (paper 4.6; PAPER decision 19). Pure, so thresholds can be swept at no cost."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emojudge.types import Prediction, Verdict

REASONS = (
    "not_asked",
    "kept_agree",
    "kept_low_confidence",
    "kept_margin",
    "kept_topk",
    "kept_invalid",
    "kept_refusal",
    "kept_truncated",
    "kept_error",
    "kept_budget",
    "changed",
)
"""Why a label is what it is; `Prediction.note` of every judged prediction is one of these."""

_FAILED = {
    "invalid": "kept_invalid",
    "refusal": "kept_refusal",
    "truncated": "kept_truncated",
    "error": "kept_error",
}


def margin(prediction: Prediction) -> float:
    """The highest score less the second highest; 1 where there is only one.

    >>> round(margin(Prediction("a", "fusion", {"Sad": 0.7, "Happy": 0.2, "Angry": 0.1})), 3)
    0.5
    """
    first, second, *_ = [*sorted(prediction.scores.values(), reverse=True), 0.0]
    return first - second


def refine(
    prediction: Prediction,
    verdict: Verdict | None,
    threshold: float,
    *,
    max_margin: float | None = None,
    top_k: int | None = None,
) -> Prediction:
    """The judge's prediction: the old one, or with the label changed if its confidence is above `threshold`, strictly.

    Two more gates, where they are given: the old scores' `margin` must be below `max_margin`, and the new label among the
    `top_k` highest of the old scores (equal scores stand together).

    A change swaps the scores of the old and the new label, so that the sum stays and the new label is on top; the other
    scores are untouched. (The judge's own probabilities are in the verdict; they do not enter here.)

    >>> old = Prediction("a", "fusion", {"Sad": 0.5, "Happy": 0.3, "Angry": 0.2})
    >>> new = refine(old, Verdict("a", "Happy", confidence=0.9), threshold=0.8)
    >>> new.label, new.note, round(new.scores["Sad"], 3)
    ('Happy', 'changed', 0.3)
    >>> refine(old, Verdict("a", "Happy", confidence=0.8), threshold=0.8).note
    'kept_low_confidence'
    """
    note = decide(prediction, verdict, threshold, max_margin=max_margin, top_k=top_k)
    scores = dict(prediction.scores)
    if verdict is not None and verdict.label is not None and note == "changed":
        top = scores[prediction.label]
        scores[prediction.label] = scores[verdict.label]
        # One step above, so that a third label with an equal score cannot come first.
        scores[verdict.label] = math.nextafter(top, math.inf)
    return replace(prediction, source="judge", scores=scores, note=note)


def decide(
    prediction: Prediction,
    verdict: Verdict | None,
    threshold: float,
    *,
    max_margin: float | None = None,
    top_k: int | None = None,
) -> str:
    """One of `REASONS`; a verdict about another clip or with a foreign label changes nothing."""
    if verdict is None or verdict.outcome != "ok":
        return _FAILED.get(verdict.outcome, "kept_invalid") if verdict else "not_asked"
    if verdict.id != prediction.id or verdict.label is None or verdict.label not in prediction.scores:
        return "kept_invalid"
    if verdict.label == prediction.label:
        return "kept_agree"
    above = sum(score > prediction.scores[verdict.label] for score in prediction.scores.values())
    kept = {
        "kept_low_confidence": not verdict.confidence > threshold,
        "kept_margin": max_margin is not None and not margin(prediction) < max_margin,
        "kept_topk": top_k is not None and above >= top_k,
    }
    return next((reason for reason, so in kept.items() if so), "changed")


def refine_all(
    predictions: Iterable[Prediction], verdicts: Iterable[Verdict], threshold: float, **gates: Any
) -> Iterator[Prediction]:
    """Refine each prediction with the verdict of its id, if there is one; order and number stay. `gates` are `refine`'s.

    >>> [p.note for p in refine_all([Prediction("a", "fusion", {"Sad": 1.0})], [], 0.8)]
    ['not_asked']
    """
    by_id = {verdict.id: verdict for verdict in verdicts}
    for prediction in predictions:
        yield refine(prediction, by_id.get(prediction.id), threshold, **gates)


def sweep(
    predictions: Sequence[Prediction], verdicts: Sequence[Verdict], thresholds: Iterable[float], **gates: Any
) -> Mapping[float, list[Prediction]]:
    """What the judge would have made of the predictions at other thresholds (and `gates` of `refine`); nothing is asked.

    >>> old = [Prediction("a", "fusion", {"Sad": 0.6, "Happy": 0.4})]
    >>> swept = sweep(old, [Verdict("a", "Happy", confidence=0.7)], (0.6, 0.8))
    >>> {threshold: new[0].label for threshold, new in swept.items()}
    {0.6: 'Happy', 0.8: 'Sad'}
    """
    return {threshold: list(refine_all(predictions, verdicts, threshold, **gates)) for threshold in thresholds}

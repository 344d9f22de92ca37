"""Verdict → refined prediction (paper 4.6; PAPER decision 19). Pure, so thresholds can be swept at no cost."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

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


def refine(prediction: Prediction, verdict: Verdict | None, threshold: float) -> Prediction:
    """The judge's prediction: the old one, or with the label changed if its confidence is above `threshold`, strictly.

    A change swaps the scores of the old and the new label, so that the sum stays and the new label is on top; the other
    scores are untouched. (The judge's own probabilities are in the verdict; they do not enter here.)

    >>> old = Prediction("a", "fusion", {"Sad": 0.5, "Happy": 0.3, "Angry": 0.2})
    >>> new = refine(old, Verdict("a", "Happy", confidence=0.9), threshold=0.8)
    >>> new.label, new.note, round(new.scores["Sad"], 3)
    ('Happy', 'changed', 0.3)
    >>> refine(old, Verdict("a", "Happy", confidence=0.8), threshold=0.8).note
    'kept_low_confidence'
    """
    note = _decide(prediction, verdict, threshold)
    scores = dict(prediction.scores)
    if verdict is not None and verdict.label is not None and note == "changed":
        top = scores[prediction.label]
        scores[prediction.label] = scores[verdict.label]
        # One step above, so that a third label with an equal score cannot come first.
        scores[verdict.label] = math.nextafter(top, math.inf)
    return replace(prediction, source="judge", scores=scores, note=note)


def _decide(prediction: Prediction, verdict: Verdict | None, threshold: float) -> str:
    """One of `REASONS`; a verdict about another clip or with a foreign label changes nothing."""
    if verdict is None:
        return "not_asked"
    if verdict.outcome != "ok":
        return _FAILED.get(verdict.outcome, "kept_invalid")
    if verdict.id != prediction.id or verdict.label not in prediction.scores:
        return "kept_invalid"
    if verdict.label == prediction.label:
        return "kept_agree"
    return "changed" if verdict.confidence > threshold else "kept_low_confidence"


def refine_all(predictions: Iterable[Prediction], verdicts: Iterable[Verdict], threshold: float) -> Iterator[Prediction]:
    """Refine each prediction with the verdict of its id, if there is one; order and number stay.

    >>> [p.note for p in refine_all([Prediction("a", "fusion", {"Sad": 1.0})], [], 0.8)]
    ['not_asked']
    """
    by_id = {verdict.id: verdict for verdict in verdicts}
    for prediction in predictions:
        yield refine(prediction, by_id.get(prediction.id), threshold)


def sweep(
    predictions: Sequence[Prediction], verdicts: Sequence[Verdict], thresholds: Iterable[float]
) -> Mapping[float, list[Prediction]]:
    """What the judge would have made of the predictions at other thresholds; nothing is asked.

    >>> old = [Prediction("a", "fusion", {"Sad": 0.6, "Happy": 0.4})]
    >>> swept = sweep(old, [Verdict("a", "Happy", confidence=0.7)], (0.6, 0.8))
    >>> {threshold: new[0].label for threshold, new in swept.items()}
    {0.6: 'Happy', 0.8: 'Sad'}
    """
    return {threshold: list(refine_all(predictions, verdicts, threshold)) for threshold in thresholds}

"""How well a confidence tells right answers from wrong ones: risk by coverage, and AUGRC.

AUGRC is the area under the generalised risk (Traub 2024, https://arxiv.org/abs/2407.01032): the share of all clips that are
accepted and wrong, averaged over how many are accepted. 0 is best; a coin's confidence gives half the error rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RiskCurve:
    """One point a distinct confidence, the highest first: the share of clips accepted, and of those the share that is wrong."""

    coverage: np.ndarray
    risk: np.ndarray

    @property
    def augrc(self) -> float:
        """Area under coverage × risk over coverage; equal confidences count as if in random order."""
        coverage, wrong = np.append(0.0, self.coverage), np.append(0.0, self.coverage * self.risk)
        return float(np.trapezoid(wrong, coverage))


def risk_curve(right: Sequence[bool], confidence: Sequence[float]) -> RiskCurve:
    """The curve of N answers.

    >>> curve = risk_curve([True, True, False], [0.9, 0.8, 0.7])
    >>> curve.risk.round(2).tolist(), round(curve.augrc, 3)
    ([0.0, 0.0, 0.33], 0.056)
    """
    values, place = np.unique(-np.asarray(confidence, dtype=float), return_inverse=True)
    accepted = np.bincount(place, minlength=len(values)).cumsum()
    wrong = np.bincount(place, weights=~np.asarray(right, dtype=bool), minlength=len(values)).cumsum()
    return RiskCurve(accepted / len(right), wrong / accepted)

"""What a model is to learn: the targets of utterances, and the loss of its outputs against them (paper 5.1).

A model has one row of outputs: those of its task, then those of what it learns beside it (`auxiliary`). Targets
are rows of the same width: shares of classes, and values of attributes with NaN where they are unknown.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from emojudge import losses
from emojudge.models import ModelCard
from emojudge.settings import Config
from emojudge.types import ATTRIBUTES, Utterance

GENDERS = ("female", "male")
"""As every corpus loader writes them."""


def names_of(task: str, config: Config, utterances: Iterable[Utterance]) -> tuple[str, ...]:
    """The outputs of a task: the labels, the attributes that the corpus has, or the two genders it states.

    >>> names_of("attributes", Config(), [Utterance("a", attributes={"arousal": 2.0})])
    ('arousal',)
    """
    if task == "emotions":
        return config.data.labels
    if task == "gender":
        return GENDERS
    there = {name for u in utterances for name in u.attributes}
    return tuple(name for name in ATTRIBUTES if name in there)


def target(utterance: Utterance, task: str, names: Sequence[str], votes: bool = False) -> list[float] | None:
    """Shares of classes or values of attributes (NaN where unknown); None where the utterance has no target.

    With `votes`, the share of all its votes that each class got, if it has votes.

    >>> target(Utterance("a", attributes={"valence": 3.0}), "attributes", ("valence", "arousal"))
    [3.0, nan]
    >>> target(Utterance("a", votes={"Sad": 2, "Other": 2}), "emotions", ("Sad", "Happy"), votes=True)
    [0.5, 0.0]
    """
    if task == "attributes":
        known = any(name in utterance.attributes for name in names)
        return [utterance.attributes.get(name, math.nan) for name in names] if known else None
    counts = utterance.votes if votes and task == "emotions" else {}
    if counts:
        total = sum(counts.values())
    else:
        counts, total = {str(utterance.gender if task == "gender" else utterance.emotion): 1.0}, 1.0
    shares = [counts.get(name, 0.0) / total for name in names]
    return shares if any(shares) else None


class Objective:
    """Targets and loss of one model.

    Attributes: `additive` says whether the loss of a batch is a mean over its clips; the CCC is not.
    """

    def __init__(self, card: ModelCard, train: Sequence[Utterance]) -> None:
        self.card, self.settings = card, card.settings_of(card.modalities[0])
        self.additive = "attributes" not in card.heads
        self.shares: dict[str, float] = dict(self.settings.auxiliary) | {card.task: 1.0}
        self.class_weights = self._class_weights(train)

    def _class_weights(self, train: Sequence[Utterance]) -> Tensor | None:
        """Of the emotions, from the targets' own frequencies."""
        if self.settings.class_weights == "none" or "emotions" not in self.card.heads:
            return None
        names, votes = self.card.heads["emotions"], self.settings.targets == "votes"
        rows = [row for u in train if (row := target(u, "emotions", names, votes))]
        power = 0.5 if self.settings.class_weights == "sqrt" else 1.0
        return losses.class_weights(torch.tensor(rows).sum(0).tolist(), power) if rows else None

    def targets(self, utterances: Sequence[Utterance]) -> Tensor:
        """Rows as wide as the model's outputs: (B, outputs)."""
        votes = self.settings.targets == "votes"
        return torch.tensor(
            [
                value
                for u in utterances
                for task, names in self.card.heads.items()
                for value in target(u, task, names, votes) or [math.nan if task == "attributes" else 0.0] * len(names)
            ]
        ).reshape(len(utterances), -1)

    def loss(self, out: Tensor, wanted: Tensor, size: int, balanced: bool = False) -> Tensor:
        """Weighted sum over tasks: the focal losses of these clips over `size`, and the CCC losses.

        Args:
            out: (B, outputs), what the model says.
            wanted: (B, outputs), what `targets` gave.
            size: clips in the whole effective batch, of which these may be a part.
            balanced: the clips were drawn in balance, so classes weigh alike.
        """
        total, start = out.new_zeros(()), 0
        for task, names in self.card.heads.items():
            said, right = out[:, start : start + len(names)], wanted[:, start : start + len(names)]
            total = total + self.shares[task] * self._one(task, said, right, size, balanced)
            start += len(names)
        return total

    def _one(self, task: str, said: Tensor, right: Tensor, size: int, balanced: bool) -> Tensor:
        if task == "attributes":
            return losses.ccc_loss(said, right)
        gamma = self.settings.focal_gamma if self.settings.loss == "focal" else 0.0
        weights = self.class_weights if task == "emotions" and not balanced else None
        return losses.focal(said, right, weights, gamma, self.settings.label_smoothing).sum() / size

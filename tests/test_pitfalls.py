"""Mistakes that published systems of this field have made (design/PEERS.md), each as a test of ours.

CCC(x, x) = 0.94 at n = 16 and one sample at a time are in test_metrics.py; labels of the corpus, not of the data, are there too.
"""

import inspect

import numpy as np
import pytest
import torch

from emojudge import metrics, probabilities, training
from emojudge.losses import focal
from emojudge.types import ATTRIBUTES, Prediction, Utterance
from tests.made_up import LABELS


class Model:
    """All that `dev_score` asks of a model."""

    def __init__(self, task, outputs):
        self.card = type("Card", (), {"task": task, "outputs": outputs})
        self.target_mean = torch.zeros(1)


def test_a_checkpoint_is_chosen_by_all_of_dev_and_not_its_last_clip(monkeypatch):
    """The IS2025 baseline scores what its loop left over, the last clip; here the last alone would say 1 or 0."""
    rng = np.random.default_rng(0)
    rows = [Utterance(f"c{n}", emotion=str(rng.choice(LABELS)), split="dev") for n in range(40)]
    said = [str(rng.choice(LABELS)) for _ in rows[:-1]] + [str(rows[-1].emotion)]
    answers = {
        u.id: Prediction(u.id, "dev", {name: float(name == label) for name in LABELS})
        for u, label in zip(rows, said, strict=True)
    }
    monkeypatch.setattr(training, "predict", lambda model, sources, ids, name: (answers[id] for id in ids))
    from sklearn.metrics import f1_score

    expected = f1_score([u.emotion for u in rows], said, labels=LABELS, average="macro", zero_division=0)
    assert training.dev_score(Model("emotions", LABELS), {}, rows) == pytest.approx(expected) and 0 < expected < 1


def test_a_checkpoint_is_chosen_by_ccc_over_all_of_dev(monkeypatch):
    """A mean over batches of CCC is another number, and of single clips none at all."""
    rng = np.random.default_rng(1)
    truth, said = rng.normal(4, 1, (2, 30, 3))
    said = 0.5 * truth + 0.5 * said
    rows = [Utterance(f"c{n}", attributes=dict(zip(ATTRIBUTES, row.tolist(), strict=True))) for n, row in enumerate(truth)]
    answers = {
        f"c{n}": Prediction(f"c{n}", "dev", dict(zip(ATTRIBUTES, row.tolist(), strict=True))) for n, row in enumerate(said)
    }
    monkeypatch.setattr(training, "predict", lambda model, sources, ids, name: (answers[id] for id in ids))
    moments = [(np.cov(x, y, bias=True), x.mean(), y.mean()) for x, y in zip(truth.T, said.T, strict=True)]
    expected = np.mean([2 * c[0, 1] / (c[0, 0] + c[1, 1] + (a - b) ** 2) for c, a, b in moments])
    assert training.dev_score(Model("attributes", ATTRIBUTES), {}, rows) == pytest.approx(expected)


def test_focal_loss_is_of_many_classes():
    """A binary focal loss on one-hot targets also pays for the classes that are not there; ours for the true one alone."""
    logits, gold = torch.randn(50, 8), torch.randint(8, (50,))
    p = logits.softmax(1)[torch.arange(50), gold]
    wanted = torch.eye(8)[gold]
    assert torch.allclose(focal(logits, wanted, gamma=2.0), -((1 - p) ** 2) * p.log(), atol=1e-6)
    shifted = logits + 3.0  # a sigmoid sees this, a softmax does not
    assert torch.allclose(focal(shifted, wanted, gamma=2.0), focal(logits, wanted, gamma=2.0), atol=1e-5)


@pytest.mark.parametrize(
    "name", ["macro_f1", "weighted_f1", "uar", "accuracy", "confusion", "per_class_f1", "ece", "classwise_ece"]
)
def test_labels_are_always_passed(name):
    """Guessed from the data, a label that no clip has would leave the mean."""
    function = getattr(metrics, name, None) or getattr(probabilities, name)
    assert inspect.signature(function).parameters["labels"].default is inspect.Parameter.empty


def test_a_failed_answer_is_no_prediction():
    """GenSEC's baseline writes truth and prediction as neutral where the service failed."""
    from emojudge.refine import refine
    from emojudge.types import Verdict

    shown = Prediction("a", "fusion", {"Sad": 0.6, "Neutral": 0.4})
    for outcome in ("error", "refusal", "invalid", "truncated"):
        after = refine(shown, Verdict("a", None, outcome=outcome), threshold=0.0)
        assert after.label == "Sad" and after.note == f"kept_{outcome}"

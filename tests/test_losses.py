import numpy as np
import torch
from torch.nn import functional

from emojudge.losses import ccc_loss, class_weights, focal
from emojudge.metrics import ccc


def test_focal_with_gamma_zero_is_weighted_cross_entropy():
    logits, target = torch.randn(20, 4), torch.randint(4, (20,))
    weights = torch.tensor([0.5, 1.0, 2.0, 0.5])
    wanted = functional.one_hot(target, 4).float()
    ours = focal(logits, wanted, weights, gamma=0.0)
    assert torch.allclose(ours, functional.cross_entropy(logits, target, weight=weights, reduction="none"))
    smooth = focal(logits, wanted, weights, gamma=0.0, smoothing=0.1)
    theirs = functional.cross_entropy(logits, target, weight=weights, label_smoothing=0.1, reduction="none")
    assert torch.allclose(smooth, theirs)


def test_shares_of_votes_are_soft_targets_and_weigh_the_clip():
    logits, votes = torch.randn(20, 4), torch.rand(20, 4).softmax(1)
    assert torch.allclose(focal(logits, votes, gamma=0.0), functional.cross_entropy(logits, votes, reduction="none"))
    assert torch.allclose(focal(logits, votes / 2), focal(logits, votes) / 2)
    assert focal(logits, torch.zeros(20, 4)).abs().sum() == 0


def test_focal_looks_away_from_easy_clips():
    target = torch.tensor([[1.0, 0.0]])
    easy, hard = torch.tensor([[4.0, 0.0]]), torch.tensor([[-4.0, 0.0]])
    ratio = focal(easy, target, gamma=2.0) / focal(easy, target, gamma=0.0)
    assert ratio < 0.001 < 0.9 < focal(hard, target, gamma=2.0) / focal(hard, target, gamma=0.0)


def test_class_weights_balance_and_average_one():
    weights = class_weights([100, 10, 0, 50])
    assert weights[2] == 0 and abs(weights.sum() / 3 - 1) < 1e-6
    assert torch.allclose(weights * torch.tensor([100.0, 10.0, 0.0, 50.0]), torch.tensor([1.0, 1.0, 0.0, 1.0]) * weights[0] * 100)


def test_ccc_loss_is_the_metric_and_skips_unknown_targets():
    x, y = torch.randn(30, 2), torch.randn(30, 2)
    y[3, 0] = torch.nan
    known = ~y[:, 0].isnan()
    expected = 2 - ccc(y[known, 0].numpy(), x[known, 0].numpy()) - ccc(y[:, 1].numpy(), x[:, 1].numpy())
    assert abs(ccc_loss(x, y).item() - expected) < 1e-5


def test_ccc_loss_of_constant_output_has_finite_gradients():
    x = torch.zeros(8, 1, requires_grad=True)
    ccc_loss(x, torch.randn(8, 1)).backward()
    assert np.isfinite(x.grad.numpy()).all()

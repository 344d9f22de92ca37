"""Weighted focal loss and CCC loss (paper 5.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def class_weights(counts: Sequence[float], power: float = 1.0) -> Tensor:
    """α_c = (N / (K n_c))^power, scaled to mean 1 over the classes that occur (PAPER decision 6); absent ones get 0.

    >>> class_weights([10, 30]).tolist()
    [1.5, 0.5]
    """
    n = torch.tensor(counts, dtype=torch.float32)
    weights = torch.where(n > 0, (n.sum() / (len(counts) * n.clamp_min(1e-6))) ** power, 0.0)
    return weights * (n > 0).sum() / weights.sum()


def focal(logits: Tensor, wanted: Tensor, weights: Tensor | None = None, gamma: float = 2.0, smoothing: float = 0.0) -> Tensor:
    """Weighted focal loss of each clip, -Σ_c α_c w_c (1 - p_c)^γ log p_c (paper 5.1; Lin et al. 2017).

    With γ = 0 this is weighted cross-entropy. `logits` (B, K); `wanted` (B, K) is the share of each class: one
    for the consensus label, or those of annotators' votes, whose sum below one weighs a clip less. `smoothing`
    is the part of that sum which is spread evenly over all classes. Returns (B,).

    >>> even = torch.zeros(1, 2)
    >>> round(focal(even, torch.tensor([[1.0, 0.0]]), gamma=2.0).item(), 4)  # (1 - .5)² · ln 2
    0.1733
    """
    log_p = functional.log_softmax(logits.float(), dim=1)
    wanted = wanted * (1 - smoothing) + wanted.sum(1, keepdim=True) * smoothing / logits.shape[1]
    if weights is not None:
        wanted = wanted * weights.to(logits.device)
    return -(wanted * (1 - log_p.exp()).pow(gamma) * log_p).sum(1)


def ccc_loss(values: Tensor, target: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Σ over dimensions of 1 - CCC, both (B, A), over the items whose target is known (paper 5.1).

    Population variance throughout and float32, with ε in the denominator (PAPER decision 21). Unknown
    targets are NaN.

    >>> x = torch.tensor([[1.0], [2.0], [4.0]])
    >>> abs(ccc_loss(x, x).item()) < 1e-6
    True
    """
    total = values.sum() * 0.0  # keeps the graph where a batch holds no target
    for dimension in range(values.shape[1]):
        known = ~target[:, dimension].isnan()
        x, y = values[known, dimension].float(), target[known, dimension].float()
        if len(y) > 1:
            covariance = ((x - x.mean()) * (y - y.mean())).mean()
            spread = x.var(correction=0) + y.var(correction=0) + (x.mean() - y.mean()).square()
            total = total + 1 - 2 * covariance / (spread + epsilon)
    return total

"""What stands on an encoder: weighted sum of its layers, pooling over time, and the head (paper 4.3, 4.4)."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class LayerSum(nn.Module):
    """Softmax-weighted sum of encoder layers: (B, L, T, D) → (B, T, D); the weights are learnt.

    >>> LayerSum(3)(torch.ones(2, 3, 5, 4)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(layers))

    def forward(self, frames: Tensor) -> Tensor:
        """Sum over L; a single layer is passed on, its weight being one."""
        if frames.shape[1] == 1:
            return frames[:, 0]
        return torch.einsum("l,bltd->btd", self.weight.softmax(0), frames)


class LayerConcat(nn.Module):
    """Encoder layers side by side: (B, L, T, D) → (B, T, L · D).

    >>> LayerConcat()(torch.ones(2, 3, 5, 4)).shape
    torch.Size([2, 5, 12])
    """

    def forward(self, frames: Tensor) -> Tensor:
        """Move L next to D."""
        return frames.transpose(1, 2).flatten(2)


class Scale(nn.Module):
    """Vectors less their training mean, over their training deviation, for each of the numbers in `shape`.

    The statistics are set once, by `fit`, and saved with the weights; before that it changes nothing. For
    frames (B, L, T, D) `shape` is (L, 1, D), for pooled vectors (B, D) it is (D,).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def fit(self, mean: Tensor, deviation: Tensor) -> None:
        """Set both, each of `shape`; a dimension that never varies is only centred."""
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-5, deviation, 1.0))

    def forward(self, vectors: Tensor) -> Tensor:
        """Scale (B, ...)."""
        return (vectors - self.mean) / self.deviation


class Hide(nn.Module):
    """Hides stretches of time and bands of channels while training, as SpecAugment does (Park et al. 2019).

    `time` and `channels` are the shares that are set to zero; a stretch has STRETCH frames, a band that
    many channels. (B, L, T, D) → the same; every layer of a clip is hidden alike. In evaluation nothing is.

    >>> frames = torch.ones(1, 2, 400, 8)
    >>> torch.equal(Hide(0.5, 0.5).eval()(frames), frames)
    True
    """

    STRETCH = 10

    def __init__(self, time: float, channels: float) -> None:
        super().__init__()
        self.time, self.channels = time, channels

    def forward(self, frames: Tensor) -> Tensor:
        """Draw anew for each clip."""
        if not self.training or not (self.time or self.channels):
            return frames
        batch, _, steps, size = frames.shape
        shown = ~self._drawn(batch, steps, self.time)[:, None, :, None] & ~self._drawn(batch, size, self.channels)[:, None, None]
        return frames * shown.to(frames.device)

    def _drawn(self, batch: int, length: int, share: float) -> Tensor:
        """True in `share` of (batch, length) on average, in stretches, which may touch and overlap."""
        begins = (torch.rand(batch, 1, length + self.STRETCH - 1) < 1 - (1 - share) ** (1 / self.STRETCH)).float()
        return nn.functional.max_pool1d(begins, self.STRETCH, stride=1)[:, 0] > 0


class Mixup:
    """One draw of mixup (Zhang et al. 2018; here on pooled vectors, Verma et al. 2019): every row joins another one.

    Called on vectors and again on their targets, it mixes both alike: (B, …) → (B, …).

    >>> Mixup(3, 0.4)(torch.ones(3, 2)).sum().item()
    6.0
    """

    def __init__(self, count: int, alpha: float) -> None:
        self.share = torch.distributions.Beta(alpha, alpha).sample((count, 1))
        self.partner = torch.randperm(count)

    def __call__(self, rows: Tensor) -> Tensor:
        """Share · row + (1 - share) · partner."""
        share = self.share.to(rows.device, rows.dtype)
        return share * rows + (1 - share) * rows[self.partner.to(rows.device)]


class AttentiveStatistics(nn.Module):
    """Attentive statistics pooling: weighted mean and deviation over time (paper 4.3; Okabe et al. 2018).

    With A (attention_size × D): e_t = V tanh(A h_t + b), weights softmax over the real frames, for each of
    `heads` rows of V. (B, T, D), mask (B, T) → (B, 2 · heads · D).

    >>> pool = AttentiveStatistics(size=4, attention_size=3, heads=2)
    >>> pool(torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)).shape
    torch.Size([2, 16])
    """

    def __init__(self, size: int, attention_size: int, heads: int = 1) -> None:
        super().__init__()
        self.attention = nn.Linear(size, attention_size)
        self.score = nn.Linear(attention_size, heads, bias=False)
        self.output_size = 2 * heads * size

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Pool the frames where `mask` is true."""
        return weighted_statistics(frames, self.weights(frames, mask))

    def weights(self, frames: Tensor, mask: Tensor) -> Tensor:
        """How much each frame counts, (B, T, heads); they sum to one over T, and are zero where `mask` is false."""
        scores = self.score(torch.tanh(self.attention(frames)))
        return scores.masked_fill(~mask.unsqueeze(-1), float("-inf")).softmax(1)

    def penalty(self) -> Tensor:
        """‖A‖², to be scaled by λ and added to the loss (PAPER decision 4)."""
        return self.attention.weight.square().sum()


class MeanStatistics(nn.Module):
    """Plain mean and deviation over the real frames: (B, T, D) → (B, 2D)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = 2 * size

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Pool the frames where `mask` is true."""
        real = mask.unsqueeze(-1).to(frames.dtype)
        return weighted_statistics(frames, real / real.sum(1, keepdim=True))


def weighted_statistics(frames: Tensor, weights: Tensor) -> Tensor:
    """Mean and deviation of (B, T, D) under weights (B, T, H) that sum to one over T: (B, 2HD).

    >>> even = torch.full((1, 2, 1), 0.5)
    >>> weighted_statistics(torch.tensor([[[1.0], [3.0]]]), even).tolist()
    [[2.0, 1.0]]
    """
    mean = torch.einsum("bth,btd->bhd", weights, frames)
    square = torch.einsum("bth,btd->bhd", weights, frames.square())
    # The floor keeps the square root's gradient finite where all frames are alike.
    deviation = (square - mean.square()).clamp_min(1e-7).sqrt()
    return torch.cat([mean.flatten(1), deviation.flatten(1)], dim=1)


class FirstToken(nn.Module):
    """The state of the first token, `<s>` or `[CLS]` (paper 4.4): (B, T, D) → (B, D)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Take it; `mask` plays no part."""
        return frames[:, 0]


class MeanToken(nn.Module):
    """The mean over real tokens, as sentence encoders such as MiniLM are trained to be read: (B, T, D) → (B, D)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Average the tokens where `mask` is true."""
        real = mask.unsqueeze(-1).to(frames.dtype)
        return (frames * real).sum(1) / real.sum(1).clamp_min(1)


class ResidualHead(nn.Module):
    """Blocks of Linear → LayerNorm → ReLU → Dropout, with a skip wherever widths match, then the output (paper 4.3)."""

    def __init__(self, size: int, hidden: int, blocks: int, outputs: int, dropout: float, residual: bool = True) -> None:
        super().__init__()
        widths = [size] + [hidden] * blocks
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.ReLU(), nn.Dropout(dropout)) for a, b in pairwise(widths)
        )
        self.residual = residual
        self.output = nn.Linear(widths[-1], outputs)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, size) → (B, outputs)."""
        for block in self.blocks:
            out = block(pooled)
            pooled = pooled + out if self.residual and out.shape == pooled.shape else out
        return self.output(pooled)


class ClassifierHead(nn.Sequential):
    """RoBERTa's classification head: dropout → dense → tanh → dropout → output (paper 4.4; PAPER decision 7)."""

    def __init__(self, size: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__(nn.Dropout(dropout), nn.Linear(size, hidden), nn.Tanh(), nn.Dropout(dropout), nn.Linear(hidden, outputs))

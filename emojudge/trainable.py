"""How much of an encoder learns: nothing, its top blocks, thin matrices beside its weights (LoRA), or all of it.

LoRA: Hu et al. 2021 (https://arxiv.org/abs/2106.09685). The thin matrices are parametrisations of the weights, not
layers around the layers: WavLM's attention reads `q_proj.weight` and never calls `q_proj`, so adapters that wrap
layers, as the package peft's, stay without effect there.
"""

import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from emojudge.errors import ConfigError

if TYPE_CHECKING:
    from emojudge.settings import AudioSettings, TextSettings

ORIGINAL, ADAPTER = ".parametrizations.weight.original", ".parametrizations.weight.0."
"""How torch names a weight that has an adapter, and the adapter's own matrices."""


def prepare(
    module: nn.Module, blocks: Sequence[nn.Module], settings: "AudioSettings | TextSettings", never: Iterable[nn.Module] = ()
) -> None:
    """Set which parameters learn, by `settings.train`, and whether activations are kept.

    Args:
        module: the whole encoder.
        blocks: those that are run, in order.
        settings: `train`, `lora_rank` and `gradient_checkpointing` count.
        never: parts that never learn: convolutions in front (PAPER decision 2), and what is not run.

    Raises:
        ConfigError: more blocks are to learn than are run.
    """
    kind, _, count = settings.train.partition(":")
    if (kind == "top" and int(count) > len(blocks)) or (kind == "lora" and not blocks):
        raise ConfigError(f"train = {settings.train!r} cannot be: the layers asked for run {len(blocks)} blocks of this encoder.")
    module.requires_grad_(kind == "all")
    for part in never:
        part.requires_grad_(False)
    for block in blocks[-int(count) :] if kind == "top" else ():
        block.requires_grad_(True)
    for number, block in enumerate(blocks if kind == "lora" else ()):
        _adapt(block, settings.lora_rank, number)
    for block in blocks if settings.gradient_checkpointing and kind != "none" else ():
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=_quietly)


def _quietly() -> tuple[AbstractContextManager[None], AbstractContextManager[Any]]:
    """A block's two runs: the way back repeats no warning of the way there, where callers have their say on it."""
    return nullcontext(), warnings.catch_warnings(action="ignore", category=UserWarning)


class LowRank(nn.Module):
    """W → W + (α/r)·B·A with α = 2r; B is zero at first, so that nothing changes before training.

    >>> weight = torch.ones(4, 6)
    >>> torch.equal(LowRank(weight, rank=2, seed=0)(weight), weight)
    True
    """

    def __init__(self, weight: Tensor, rank: int, seed: int) -> None:
        super().__init__()
        inputs = weight[0].numel()
        down = torch.randn(rank, inputs, generator=torch.Generator().manual_seed(seed)) / inputs**0.5
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(len(weight), rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight that is used, of the same shape."""
        return weight + 2.0 * (self.up @ self.down).view_as(weight)


def _adapt(block: nn.Module, rank: int, seed: int) -> None:
    """An adapter for every projection and convolution of a block that two thin matrices are smaller than."""
    layers = [layer for layer in block.modules() if isinstance(layer, nn.Linear | nn.Conv1d)]
    for number, layer in enumerate(layers):
        outputs, inputs = len(layer.weight), layer.weight[0].numel()
        if rank * (outputs + inputs) < outputs * inputs:
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, 1000 * seed + number))


def original_state(module: nn.Module) -> dict[str, Tensor]:
    """Every weight under the name it had without adapters, and none of theirs."""
    state = module.state_dict().items()
    return {name.replace(ORIGINAL, ".weight") if name.endswith(ORIGINAL) else name: t for name, t in state if ADAPTER not in name}

"""Pretrained models from a folder or a hub: loading, layers, freezing, and a digest that names them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emojudge.errors import ConfigError, MissingWeights
from emojudge.storage import digest

if TYPE_CHECKING:
    from torch import nn

FIRST_LINE = 200
"""Characters of a library's own message that are passed on."""


def load(kind: Any, argument: str, revision: str | None = None, **options: Any) -> Any:
    """`kind.from_pretrained` on a folder or a hub id, with safetensors weights only and one sentence where it fails.

    Args:
        kind: a transformers class, as `AutoModel` or `AutoTokenizer`.
        argument: a folder, or an id as "microsoft/wavlm-large".
        revision: branch, tag or commit of a hub id.
        options: passed on.

    Raises:
        MissingWeights: no such folder or id, an unreachable hub, or weights that are no safetensors.
    """
    from transformers.utils import logging

    if not argument:
        raise ConfigError("The encoder lacks its weights; name them after a colon, as hf_text:FacebookAI/roberta-large.")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(argument, revision=revision or "main", trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:FIRST_LINE] if str(error).strip() else type(error).__name__
        where = "the folder" if Path(argument).is_dir() else "that folder or hub id"
        raise MissingWeights(
            f"Nothing could be loaded from {argument!r} ({reason}); check {where}, that it holds safetensors weights, "
            "and the connection; encoders that need no hub are whisper:offline and hf_text:offline-minilm."
        ) from None


def load_model(kind: Any, argument: str, revision: str | None = None) -> "nn.Module":
    """The model in float32 and evaluation mode."""
    import torch

    return load(kind, argument, revision, use_safetensors=True, dtype=torch.float32).eval()


def chosen(layers: Literal["all", "last"] | Sequence[int], blocks: int) -> tuple[int, ...]:
    """Which hidden states to take, of `blocks` + 1: 0 is the input of the first block, `blocks` the model's output.

    >>> chosen("all", 2), chosen("last", 2), chosen((0, 2), 2)
    ((0, 1, 2), (2,), (0, 2))

    Raises:
        ConfigError: a layer that the model does not have, or none.
    """
    if layers == "all":
        return tuple(range(blocks + 1))
    if layers == "last":
        return (blocks,)
    if not layers or any(not 0 <= int(layer) <= blocks for layer in layers):
        raise ConfigError(f"layers = {list(layers)} cannot be: this encoder has layers 0 to {blocks}.")
    return tuple(int(layer) for layer in layers)


def freeze(module: "nn.Module", blocks: Sequence["nn.Module"], train: str, front: Sequence["nn.Module"] = ()) -> None:
    """Set which parameters learn: "none", "top:K" (the last K of `blocks`) or "all"; `front` never learns (decision 2).

    Raises:
        ConfigError: another word, or more blocks than there are.
    """
    kind, _, count = train.partition(":")
    if train not in ("none", "all") and not (kind == "top" and count.isdecimal() and 1 <= int(count) <= len(blocks)):
        raise ConfigError(f"train = {train!r} cannot be; take none, all, or top:K with K from 1 to {len(blocks)}.")
    module.requires_grad_(train == "all")
    for block in blocks[-int(count) :] if kind == "top" else ():
        block.requires_grad_(True)
    for part in front:
        part.requires_grad_(False)


def fingerprint(module: "nn.Module", about: dict[str, Any]) -> str:
    """Digest of every weight and of `about`, which holds all else that changes the output."""
    total = hashlib.sha256(digest(about).encode())
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().reshape(-1).view("u1").data)
    return total.hexdigest()

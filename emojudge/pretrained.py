"""Pretrained models from a folder or a hub: loading, layers, and a digest that names them."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emojudge.conversion import converted
from emojudge.errors import ConfigError, MissingWeights
from emojudge.storage import digest
from emojudge.trainable import original_state

if TYPE_CHECKING:
    from torch import Tensor, nn

FIRST_LINE = 200
"""Characters of a library's own message that are passed on."""
SAFE = ("*.json", "model.safetensors", "model-?????-of-?????.safetensors")
PICKLE = "pytorch_model.bin"
"""What is fetched of a hub's model: the second only where the first brings no weights."""

UNREAD = ("pooler.", "masked_spec_embed")
"""Weights of pretraining or of heads that are never read here, and which many checkpoints lack."""


def load(kind: Any, argument: str, revision: str | None = None, **options: Any) -> Any:
    """`kind.from_pretrained` on a folder or a hub id; what fails is one sentence.

    Args:
        kind: a transformers class, as `AutoConfig` or `AutoTokenizer`.
        argument: a folder, or an id as "microsoft/wavlm-large".
        revision: branch, tag or commit of a hub id.
        options: passed on.

    Raises:
        MissingWeights: no such folder or id, or an unreachable hub.
    """
    with _told(argument):
        return kind.from_pretrained(argument, revision=revision or "main", trust_remote_code=False, **options)


def load_model(kind: Any, argument: str, revision: str | None = None) -> "nn.Module":
    """The model in float32 and evaluation mode, from safetensors, or from a pickle that was converted to it.

    Raises:
        MissingWeights: as for `load`, or there are no weights.
        ModelError: the weights are a pickle of something else than tensors.
    """
    folder = fetch(argument, revision, SAFE, PICKLE)
    with _told(argument):
        if next(folder.glob("*.safetensors"), None):
            return _open(kind, folder)
        if not (folder / PICKLE).exists():
            raise FileNotFoundError(f"neither model.safetensors nor {PICKLE} is there")
        with tempfile.TemporaryDirectory() as beside:
            shutil.copyfile(folder / "config.json", Path(beside) / "config.json")
            (Path(beside) / "model.safetensors").symlink_to(converted(folder / PICKLE, revision))
            return _open(kind, Path(beside))


def _open(kind: Any, folder: Path) -> "nn.Module":
    """A folder of config.json and safetensors; weights that are not there are not made up."""
    import torch

    options = {"use_safetensors": True, "dtype": torch.float32, "trust_remote_code": False, "output_loading_info": True}
    module, found = kind.from_pretrained(folder, **options)
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(UNREAD))
    if missing:
        raise ValueError(f"{len(missing)} weights are missing, as {missing[0]}")
    return module.eval()


def load_weights(argument: str, revision: str | None, name: str) -> dict[str, "Tensor"]:
    """The tensors of a checkpoint that transformers does not know: `name`.safetensors, else `name`.ckpt, converted.

    Raises:
        MissingWeights: no such folder or id, an unreachable hub, or neither file there.
        ModelError: the .ckpt is no pickle of tensors.
    """
    from safetensors.torch import load_file

    folder = fetch(argument, revision, [f"{name}.safetensors"], f"{name}.ckpt")
    with _told(argument):
        safe, pickled = folder / f"{name}.safetensors", folder / f"{name}.ckpt"
        if not safe.exists() and not pickled.exists():
            raise FileNotFoundError(f"neither {safe.name} nor {pickled.name} is there")
        return load_file(safe if safe.exists() else converted(pickled, revision))


def fetch(argument: str, revision: str | None, wanted: Sequence[str], pickle: str) -> Path:
    """The folder itself, or the hub's files that match `wanted`, and `pickle` only where no safetensors are among them.

    Raises:
        MissingWeights: no such folder or id, or an unreachable hub.
    """
    from huggingface_hub import snapshot_download

    with _told(argument):
        if Path(argument).is_dir():
            return Path(argument)
        folder = Path(snapshot_download(argument, revision=revision, allow_patterns=list(wanted)))
        if not next(folder.glob("*.safetensors"), None):
            snapshot_download(argument, revision=revision, allow_patterns=[pickle])
        return folder


@contextmanager
def _told(argument: str) -> Iterator[None]:
    """Libraries' many errors about what `argument` names, as one sentence."""
    from transformers.utils import logging

    if not argument:
        raise ConfigError("The encoder lacks its weights; name them after a colon, as hf_text:FacebookAI/roberta-large.")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:FIRST_LINE] if str(error).strip() else type(error).__name__
        where = "the folder" if Path(argument).is_dir() else "that folder or hub id"
        raise MissingWeights(
            f"Nothing could be loaded from {argument!r} ({reason}); check {where}, that it holds weights, "
            "and the connection; encoders that need no hub are whisper:offline and hf_text:offline-minilm."
        ) from None


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


def fingerprint(module: "nn.Module", about: dict[str, Any]) -> str:
    """Digest of every pretrained weight and of `about`, which holds all else that changes the output."""
    import torch

    total = hashlib.sha256(digest(about).encode())
    for name, tensor in sorted(original_state(module).items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()

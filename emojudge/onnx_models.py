"""Exported models run by ONNX Runtime (`runtime = "onnx"`): the place of an encoder, and that of a model on top of it.

`emojudge export` writes both: `encoder.onnx` with `encoder.json`, which says what stands before the network, and `model.onnx`
beside the model's own `config.json`. They are used where the others are, batch by batch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emojudge.errors import MissingExtra, ModelError
from emojudge.models import Frames, read_card
from emojudge.registry import resolve
from emojudge.storage import read_json

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""What runs a network: the first that ONNX Runtime has."""


def session(file: Path) -> Any:
    """A network, ready to run on as many threads as PyTorch has.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        ModelError: there is no such network, or it cannot be read.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("runtime = 'onnx'", "onnx") from None
    if not file.exists():
        raise ModelError(f"{file} does not exist; write it with: emojudge export RUN --output DIR")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait let others work
    have = onnxruntime.get_available_providers()
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=[name for name in PROVIDERS if name in have])
    except Exception as error:  # it has classes of errors for all kinds of damage
        raise ModelError(f"{file} cannot be read ({error}); export the run again.") from None


def run(network: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Its one output."""
    return torch.from_numpy(network.run(None, {name: value.numpy() for name, value in inputs.items()})[0])


class OnnxEncoder:
    """An exported encoder: `encode` as that of the module it was exported from."""

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / "encoder.json")
        self.modality, self.size, self.layers = about["modality"], about["size"], about["layers"]
        self.fingerprint = about["fingerprint"]
        module, _ = resolve("encoders", about["encoder"])
        self.front, self.mask = module.front(about["front"], folder), about["mask"]
        self.network = session(folder / "encoder.onnx")
        self.on_cpu = self.network.get_providers()[0] == PROVIDERS[-1]

    def encode(self, batch: Sequence[Any]) -> Frames:
        """Frames (B, L, T, D) and mask (B, T)."""
        inputs = self.front(batch)
        return run(self.network, inputs), inputs[self.mask].bool()


class OnnxModel:
    """An exported model: `scores` as that of an `EmotionModel`."""

    def __init__(self, folder: Path) -> None:
        self.card = read_card(folder)
        self.network = session(folder / "model.onnx")
        self.target_mean = torch.zeros(1)
        """Where frames are wanted: in main memory."""

    def eval(self) -> "OnnxModel":
        """It cannot learn."""
        return self

    def scores(self, inputs: Mapping[str, Frames]) -> Tensor:
        """Probabilities of emotions, or values of attributes: (B, outputs)."""
        given: dict[str, Tensor] = {}
        for modality, (frames, mask) in inputs.items():
            given |= {f"{modality}_frames": frames, f"{modality}_mask": mask}
        out = run(self.network, given).double()
        return out.softmax(-1) if self.card.task == "emotions" else out


def load(folder: Path, opened: dict[Path, OnnxEncoder]) -> tuple[OnnxModel, dict[str, OnnxEncoder]]:
    """The model in `folder`, RUN/TASK/SYSTEM, and its encoders: its own, or those of the run; `opened` keeps them for others.

    Raises:
        ModelError: something is not there.
    """
    model, encoders = OnnxModel(folder), {}
    for modality in model.card.modalities:
        own = folder / f"{modality}_encoder"
        home = own if own.exists() else folder.parents[1] / "encoders" / modality
        encoder = encoders[modality] = opened[home] if home in opened else OnnxEncoder(home)
        if encoder.fingerprint != model.card.encoders[modality]:
            raise ModelError(f"{folder} was exported with another {modality} encoder; export the run again.")
        opened[home] = encoder
    return model, encoders

"""`emojudge export RUN`: a run as a folder that predicts without PyTorch's networks, for ONNX Runtime (extra `onnx`).

The folder is a run folder with `runtime = "onnx"` that holds what predicting needs and nothing of its corpus: encoders and
models as ONNX, fusion, calibration and quantiles. A frozen encoder is there once, one that learnt with each of its models.
Weights lie beside each network as plain numbers (`.onnx.data`); nothing is pickled. Of a run with folds or seeds, the first is
taken.
"""

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from emojudge.config import load_config
from emojudge.errors import ConfigError, DataError, MissingExtra
from emojudge.hearing import Models
from emojudge.models import EmotionModel, Encoder
from emojudge.progress import say
from emojudge.runs import RunFolder
from emojudge.storage import atomic, read_json, write_json

SAMPLES: dict[str, list[Any]] = {"audio": [torch.zeros(n).numpy() for n in (4000, 8000)], "text": ["Yes, well.", "No."]}
"""What is shown to an encoder while it is written down: two of each, of two lengths."""
BATCH = torch.export.Dim("batch")


class Network(nn.Module):
    """A function of a module's, as what is exported."""

    def __init__(self, module: nn.Module, call: Callable[..., Tensor], names: Sequence[str]) -> None:
        super().__init__()
        self.module, self.call, self.names = module, call, tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        """By name."""
        return self.call(**dict(zip(self.names, inputs, strict=True)))


def export(run: RunFolder, into: Path, int8: bool = False) -> list[Path]:
    """Write `run` to `into`, and return the networks.

    Args:
        run: a trained run.
        into: a new folder.
        int8: weights of the encoders' linear layers as 8-bit integers: smaller, faster, and not the same.

    Raises:
        MissingExtra: onnx is not installed.
        DataError: `into` exists.
        ConfigError: an encoder that cannot be exported.
        ModelError: the run is not trained.
    """
    try:
        import onnxruntime.quantization  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtra("Exporting a run", "onnx") from None
    if into.exists():
        raise DataError(f"{into} exists; name a new folder for --output.")
    config = run.config.model_copy(update={"seeds": run.config.seeds[:1]})
    config = load_config(base=config, changes=[f"{name}.encoder_precision=float32" for name in config.modalities])
    part, models, written = run.parts()[0], Models(run.parts()[0], config), []
    for task in config.tasks:
        for system in config.systems_of(task):
            model, encoders = models.model(task, system)
            folder = into / task / system
            written.append(_write_model(model, folder))
            shutil.copyfile(part.model(task, system) / "config.json", folder / "config.json")
            for modality, encoder in encoders.items():
                learnt = model.card.settings_of(modality).train != "none"
                home = folder / f"{modality}_encoder" if learnt else into / "encoders" / modality
                if not home.exists():
                    written.append(_write_encoder(encoder, model.card.settings[modality]["encoder"], home, int8))
        _copy(part.fusion(task), into / task / "fusion.json")
    _copy(part.calibration(), into / "emotions" / "calibration.json")
    _copy(run.file("quantiles.json"), into / "quantiles.json")
    about = read_json(run.file("run.json"))
    settings = about["config"] | {"runtime": "onnx", "seeds": config.seeds}
    write_json(into / "run.json", {"config": settings, "notice": about.get("notice", ""), "exported": {"int8": int8}})
    return written


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copyfile(source, target)


def _write_model(model: EmotionModel, folder: Path) -> Path:
    """Frames and mask of each modality → the task's own outputs (B, outputs)."""
    inputs: dict[str, Tensor] = {}
    shapes: dict[str, Any] = {}
    for modality, (layers, size) in model.card.shapes.items():
        steps = torch.export.Dim(f"{modality}_steps", min=2, max=1 << 16)
        inputs[f"{modality}_frames"] = torch.zeros(2, layers, 7, size)
        inputs[f"{modality}_mask"] = torch.ones(2, 7, dtype=torch.bool)
        shapes |= {f"{modality}_frames": {0: BATCH, 2: steps}, f"{modality}_mask": {0: BATCH, 1: steps}}

    def outputs(**given: Tensor) -> Tensor:
        frames = {m: (given[f"{m}_frames"], given[f"{m}_mask"]) for m in model.card.modalities}
        return model(frames)[:, : len(model.card.outputs)]

    return _write(Network(model, outputs, list(inputs)), inputs, shapes, folder / "model.onnx")


def _write_encoder(encoder: Encoder, spec: str, folder: Path, int8: bool) -> Path:
    name, known = spec.partition(":")[0], cast(Any, encoder)
    if not hasattr(known, "states"):
        raise ConfigError(f"The encoder {name} cannot be exported; whisper and hf_text can.")
    inputs = known.front(SAMPLES[encoder.modality])
    mask = "mask" if "mask" in inputs else "attention_mask"
    steps = torch.export.Dim("steps", min=2, max=known.steps)
    shapes = {key: {0: BATCH, value.dim() - 1: 2 * steps if key == "mel" else steps} for key, value in inputs.items()}
    folder.mkdir(parents=True)
    about = {"encoder": name, "modality": encoder.modality, "size": encoder.size, "layers": encoder.layers, "mask": mask}
    file = _write(Network(encoder.module, known.states, list(inputs)), inputs, shapes, folder / "encoder.onnx")
    if int8:
        _quantise(file)
    write_json(folder / "encoder.json", about | {"fingerprint": encoder.fingerprint, "front": known.keep(folder)})
    return file


def _write(network: Network, inputs: dict[str, Tensor], shapes: dict[str, Any], file: Path) -> Path:
    """The network as ONNX."""
    say(f"export {file} …")
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        program: Any = torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=["out"],
            dynamic_shapes={"inputs": tuple(shapes.values())},
        )
        program.save(file, external_data=True)
    return file


def _quantise(file: Path) -> None:
    """The weights of its matrix products as 8-bit integers; what flows through is quantised as it comes.

    Without signs and with one scale: signed products overflow on processors without VNNI (2.6 % off where this is 1.0 %).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with atomic(file) as temporary:
        quantize_dynamic(file, temporary, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QUInt8)
    file.with_name(f"{file.name}.data").unlink()

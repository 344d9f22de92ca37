"""Audio model, text model and early fusion: encoder → layer sum → pooling → head (paper 4.3, 4.4).

All three are one `EmotionModel`, which has one `Body` for each modality and one head. On disk a model is a
folder of `config.json` (what it is) and `model.safetensors` (its weights; the encoder's only if it was trained).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from emojudge.errors import ModelError
from emojudge.layers import (
    AttentiveStatistics,
    ClassifierHead,
    FirstToken,
    Hide,
    LayerConcat,
    LayerSum,
    MeanStatistics,
    MeanToken,
    ResidualHead,
    Scale,
)
from emojudge.settings import AudioSettings, TextSettings
from emojudge.storage import digest_tensors, read_json, read_tensors, write_json, write_tensors

Frames = tuple[Tensor, Tensor]
"""Encoder output (B, L, T, D) and its mask (B, T), true where frames are real."""


class Encoder(Protocol):
    """What a module under `emojudge/encoders/` opens."""

    modality: str
    size: int
    layers: int
    fingerprint: str
    module: nn.Module

    def encode(self, batch: Sequence[Any]) -> Frames:
        """Encode waveforms (1-D float32 at 16 kHz) or texts."""

    def prepare(self, settings: Any) -> None:
        """Let as much of it learn as `settings.train` says; a CNN front end never does."""


@dataclass(frozen=True)
class ModelCard:
    """What a model is: enough to build it again and to refuse what does not fit."""

    task: str
    outputs: tuple[str, ...]
    modalities: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    encoders: Mapping[str, str]
    shapes: Mapping[str, tuple[int, int]]
    normaliser: Mapping[str, Any] = field(default_factory=dict)
    trained_on: str = ""
    auxiliary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """Every task that is learnt, the model's own first, and its outputs."""
        return {self.task: self.outputs, **self.auxiliary}

    def settings_of(self, modality: str) -> AudioSettings | TextSettings:
        """The validated settings of one modality."""
        kind = AudioSettings if modality == "audio" else TextSettings
        return kind.model_validate(self.settings[modality])

    @property
    def copies(self) -> int:
        """Of how many copies of a clip a prediction is the mean."""
        settings = self.settings_of(self.modalities[0])  # audio, wherever there is audio
        return 1 + len(settings.augment) if isinstance(settings, AudioSettings) and settings.average_copies else 1


class Body(nn.Module):
    """One modality up to its pooled vector: (scale) → layer sum or concatenation → pooling → (scale).

    `encoder` is part of the weights only where it is trained.
    """

    def __init__(self, settings: AudioSettings | TextSettings, shape: tuple[int, int], encoder: nn.Module | None = None) -> None:
        super().__init__()
        layers, size = shape
        self.encoder = encoder
        self.scale = Scale(layers, 1, size)
        self.mix = LayerSum(layers) if settings.layer_mix == "sum" else LayerConcat()
        self.pooling = _pooling(settings, size if settings.layer_mix == "sum" else layers * size)
        self.pooled_scale = Scale(self.pooling.output_size)
        self.output_size: int = self.pooling.output_size
        self.hide = Hide(settings.mask_time, settings.mask_channels)
        self.scaled = settings.scale_frames, settings.scale_pooled

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """(B, L, T, D) → (B, output_size)."""
        scaled, scaled_pooled = self.scaled  # a scale that was never fitted changes nothing, and takes its time
        pooled = self.pooling(self.mix(self.hide(self.scale(frames) if scaled else frames)), mask)
        return self.pooled_scale(pooled) if scaled_pooled else pooled


def _pooling(settings: AudioSettings | TextSettings, size: int) -> Any:
    if isinstance(settings, AudioSettings) and settings.pooling == "attentive":
        return AttentiveStatistics(size, settings.attention_size, settings.attention_heads)
    return {"first": FirstToken, "mean": MeanToken, "mean_std": MeanStatistics}[settings.pooling](size)


class EmotionModel(nn.Module):
    """Logits of emotions, or values of attributes in the corpus's own units, from encoder frames.

    Attributes leave the head standardised and are put back by the training mean and deviation, so that the
    head starts near the right place whatever the scale (ours).
    """

    target_mean: Tensor
    target_deviation: Tensor

    def __init__(self, card: ModelCard, encoders: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.card = card
        self.bodies = nn.ModuleDict(
            {m: Body(card.settings_of(m), card.shapes[m], (encoders or {}).get(m)) for m in card.modalities}
        )
        outputs = sum(map(len, card.heads.values()))
        self.head = self._head(sum(body.output_size for body in self._bodies()), outputs)
        self.register_buffer("target_mean", torch.zeros(outputs))
        self.register_buffer("target_deviation", torch.ones(outputs))
        self.frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}

    def _bodies(self) -> list[Body]:
        return [body for body in self.bodies.values() if isinstance(body, Body)]

    def _head(self, size: int, outputs: int) -> nn.Module:
        """The residual head wherever there is audio; text alone has RoBERTa's (paper 4.3, 4.4)."""
        settings = self.card.settings_of(self.card.modalities[0])
        if isinstance(settings, AudioSettings):
            return ResidualHead(size, settings.hidden_size, settings.blocks, outputs, settings.dropout, settings.residual)
        return ClassifierHead(size, settings.hidden_size or size, outputs, settings.dropout)

    def forward(self, inputs: Mapping[str, Frames], mix: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Frames of each modality → (B, outputs), the task's own first; `mix` may change the pooled vectors (mixup)."""
        pooled = torch.cat([body(*inputs[modality]) for modality, body in self.bodies.items()], dim=1)
        return self.head(mix(pooled) if mix else pooled) * self.target_deviation + self.target_mean

    def penalty(self) -> Tensor:
        """λ‖A‖² of the attention (PAPER decision 4)."""
        total = self.target_mean.new_zeros(())
        for modality, body in self.bodies.items():
            settings = self.card.settings_of(modality)
            if isinstance(settings, AudioSettings) and isinstance(body.pooling, AttentiveStatistics):
                total = total + settings.attention_l2 * body.pooling.penalty()
        return total

    def scores(self, inputs: Mapping[str, Frames]) -> Tensor:
        """Probabilities of emotions, or values of attributes: (B, outputs)."""
        out = self(inputs)[:, : len(self.card.outputs)].double()
        return out.softmax(-1) if self.card.task == "emotions" else out

    def learnt(self) -> dict[str, Tensor]:
        """The state that training makes: all but the frozen parameters of a pretrained encoder."""
        return {name: value.detach() for name, value in self.state_dict().items() if name not in self.frozen}

    def put_back(self, learnt: Mapping[str, Tensor]) -> None:
        """Take in what `learnt` gave.

        Raises:
            RuntimeError: a tensor is missing, unknown or of another shape.
        """
        missing, unexpected = self.load_state_dict(dict(learnt), strict=False)
        if unexpected or not self.frozen.issuperset(missing):
            raise RuntimeError(f"missing {sorted(set(missing) - self.frozen)[:3]}, unknown {unexpected[:3]}")


def save(model: EmotionModel, folder: str | Path) -> None:
    """Write what was learnt, then what it is, with the digest of what was learnt: a folder with a config.json is complete."""
    weights = {name: value.cpu().contiguous().numpy() for name, value in model.learnt().items()}
    write_tensors(Path(folder) / "model.safetensors", weights)
    write_json(Path(folder) / "config.json", {**asdict(model.card), "sha256": digest_tensors(weights)})


def read_card(folder: str | Path) -> ModelCard:
    """The card of a saved model.

    Raises:
        DataError: the file cannot be read.
        ModelError: there is none, or it lacks a field.
    """
    if not (Path(folder) / "config.json").exists():
        raise ModelError(f"There is no trained model in {folder}; finish its run with: emojudge run RUN")
    content = read_json(Path(folder) / "config.json")
    content.pop("sha256", None)
    try:
        content["outputs"], content["modalities"] = tuple(content["outputs"]), tuple(content["modalities"])
        content["shapes"] = {name: tuple(shape) for name, shape in content["shapes"].items()}
        content["auxiliary"] = {task: tuple(names) for task, names in content["auxiliary"].items()}
        for name in content["modalities"]:
            _ = content["encoders"][name], content["settings"][name], content["shapes"][name]
        return ModelCard(**content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder}/config.json does not describe a model of ours ({error}); train it again.") from None


def load(folder: str | Path, encoders: Mapping[str, Encoder]) -> EmotionModel:
    """Build the model in `folder` on `encoders`, one for each of its modalities, and fill in its weights.

    Raises:
        ModelError: an encoder is not the one it was trained on, or weights are damaged, missing or of another shape.
    """
    card = read_card(folder)
    for modality in card.modalities:
        if encoders[modality].fingerprint != card.encoders[modality]:
            raise ModelError(
                f"{folder} was trained on another {modality} encoder than {card.settings[modality]['encoder']} is now; "
                "use the weights it was trained on, or train it again."
            )
    model = EmotionModel(card, trained_encoders(card, encoders))
    weights = read_tensors(Path(folder) / "model.safetensors")
    if read_json(Path(folder) / "config.json").get("sha256", found := digest_tensors(weights)) != found:
        raise ModelError(f"{folder}/model.safetensors is not what its training wrote (its SHA-256 differs); restore it.")
    try:
        model.put_back({name: torch.from_numpy(value) for name, value in weights.items()})
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise ModelError(f"{folder}/model.safetensors does not fit its config.json ({why}); train it again.") from None
    return model.eval()


def trained_encoders(card: ModelCard, encoders: Mapping[str, Encoder]) -> dict[str, nn.Module]:
    """The encoder modules that are trained, and so belong to the model's weights."""
    return {m: encoders[m].module for m in card.modalities if card.settings_of(m).train != "none"}

"""How weights are moved: parameter groups, the schedule of the learning rate, mixed precision (paper 5.2)."""

import math
from typing import Any

import torch
from torch import nn

from emojudge.models import EmotionModel
from emojudge.settings import AudioSettings, TextSettings


def parameter_groups(model: EmotionModel) -> list[dict[str, Any]]:
    """Encoder, pooling and head, each an AdamW group of its own (paper 5.2; PAPER decision 2); `full` is its highest rate.

    In early fusion each modality's encoder and pooling learn at that modality's rates, and the head at the first's.
    Biases, norms and the attention matrix A, which has an L2 of its own (decision 4), are spared AdamW's decay.
    """
    groups: dict[tuple[str, str, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "head" if name.startswith("head.") else "encoder" if ".encoder." in name else "pooling"
            modality = model.card.modalities[0] if part == "head" else name.split(".")[1]
            spared = parameter.dim() < 2 or name.endswith("pooling.attention.weight")
            decay = 0.0 if spared else model.card.settings_of(modality).weight_decay
            groups.setdefault((part, modality, decay), []).append(parameter)
    return [_group(part, model.card.settings_of(modality), decay, rows) for (part, modality, decay), rows in groups.items()]


def _group(part: str, settings: AudioSettings | TextSettings, decay: float, parameters: list[nn.Parameter]) -> dict[str, Any]:
    full = settings.learning_rate if part == "encoder" else settings.head_learning_rate or settings.learning_rate
    return {"params": parameters, "lr": full, "full": full, "weight_decay": decay, "name": part}


def rate(step: int, total: int, settings: AudioSettings | TextSettings) -> float:
    """Factor on the learning rate at a step: linear warm-up, then constant, linear or cosine.

    >>> [round(rate(step, 10, AudioSettings(warmup=0.2)), 2) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warm = max(1, math.ceil(total * settings.warmup))
    if step < warm and settings.warmup:
        return (step + 1) / warm
    done = min(1.0, (step - warm) / max(1, total - warm))
    return {"none": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[settings.decay]


def mixed_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """The type that autocast takes; None is float32 throughout.

    >>> mixed_precision("auto", torch.device("cpu")), mixed_precision("bfloat16", torch.device("cpu"))
    (None, torch.bfloat16)
    """
    if precision == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]

"""How weights are moved: parameter groups, the schedule of the learning rate, mixed precision (paper 5.2)."""

import math
from typing import Any

import torch
from torch import nn

from emojudge.settings import AudioSettings, TextSettings


def parameter_groups(model: nn.Module, settings: AudioSettings | TextSettings) -> list[dict[str, Any]]:
    """Encoder, pooling and head, each an AdamW group of its own (paper 5.2; PAPER decision 2); `full` is its highest rate."""
    groups: dict[str, list[Any]] = {"encoder": [], "pooling": [], "head": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "head" if name.startswith("head.") else "encoder" if ".encoder." in name else "pooling"
            groups[part].append(parameter)
    head_rate = settings.head_learning_rate or settings.learning_rate
    rates = {"encoder": settings.learning_rate, "pooling": head_rate, "head": head_rate}
    return [
        {"params": parameters, "lr": rates[part], "full": rates[part], "name": part}
        for part, parameters in groups.items()
        if parameters
    ]


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

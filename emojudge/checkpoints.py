"""The whole state of a training in one file, from which it goes on exactly as if it had never stopped.

Nothing random is kept in it: order, dropout and augmentation are functions of the seed and the step alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from json import dumps, loads
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emojudge.errors import DataError
from emojudge.storage import read_metadata, read_tensors, write_tensors

FILE = "checkpoint.safetensors"


@dataclass
class Progress:
    """How far a training is: the epoch it is in, batches done in it and their summed loss, and optimiser steps in all."""

    epoch: int = 1
    batches: int = 0
    loss: float = 0.0
    step: int = 0
    best: float | None = None
    waiting: int = 0
    seconds: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)


@dataclass
class State:
    """What a checkpoint holds: `about` names the training, the rest is how far it is."""

    about: str
    progress: Progress
    weights: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimiser: Mapping[int, Mapping[str, Tensor]]
    scaler: Mapping[str, Any]


def write(folder: Path, state: State) -> None:
    """Write it whole or not at all."""
    tensors = {f"weights/{name}": value for name, value in state.weights.items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    tensors |= {f"optimiser/{i}/{name}": value for i, values in state.optimiser.items() for name, value in values.items()}
    facts = {"about": state.about, "progress": dumps(asdict(state.progress)), "scaler": dumps(state.scaler)}
    write_tensors(folder / FILE, {name: value.detach().cpu().contiguous().numpy() for name, value in tensors.items()}, facts)


def read(folder: Path, about: str) -> State | None:
    """The state of the training that is named `about`, if it was interrupted here; another one's is of no use."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        facts = read_metadata(path)
        tensors = read_tensors(path)
    except DataError:
        return None
    if facts.get("about") != about:
        return None
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimiser": {}}
    for name, array in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = torch.from_numpy(array)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, moment in parts["optimiser"].items():
        number, _, kind = name.partition("/")
        moments.setdefault(int(number), {})[kind] = moment
    progress = Progress(**loads(facts["progress"]))
    return State(about, progress, parts["weights"], parts["best"], moments, loads(facts["scaler"]))


def remove(folder: Path) -> None:
    """The training is done."""
    (folder / FILE).unlink(missing_ok=True)

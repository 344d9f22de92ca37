"""A linear probe in closed form (solver = "ridge"): least squares on the pooled vectors of a frozen encoder (ours).

Every clip and copy is seen once: no epochs, no seed. What it learns is the output layer of the same `EmotionModel`, so saving,
predicting and everything after them are as ever. Least squares gives no probabilities; the outputs are multiplied by the number
under which clips of speakers left out (or of sessions, where these are balanced) are most probable, which changes no label.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from emojudge import scaling
from emojudge.decisions import fit_temperature
from emojudge.fusion import grouped_folds
from emojudge.inference import Source, frames_of, pick_device
from emojudge.models import EmotionModel, save
from emojudge.objective import Objective
from emojudge.settings import AudioSettings
from emojudge.training import Examples
from emojudge.types import Utterance

FOLDS = 5
"""Groups of speakers, each left out once."""


def solve(model: EmotionModel, sources: Mapping[str, Source], examples: Examples, folder: Path) -> None:
    """Solve the output layer of `model`, and save it in `folder`.

    Raises:
        DataError: all training clips are of one speaker.
    """
    settings = AudioSettings.model_validate(model.card.settings["audio"])
    model.to(pick_device(settings.device)).eval()
    objective = Objective(model.card, examples.train)
    scaling.fit(model, sources, objective, examples.train)
    pooled = [_pooled(model, sources, examples.train, copy) for copy in range(1 + len(settings.augment))]
    wanted = (objective.targets(examples.train).double() - model.target_mean.cpu()) / model.target_deviation.cpu()
    weights = torch.ones(len(wanted), dtype=torch.float64)
    if objective.class_weights is not None:
        weights = wanted @ objective.class_weights.double()
    by_session = settings.sampling == "balanced_sessions"
    if settings.sampling != "shuffled":
        weights = _even(examples.train, by_session)
    people = [replace(u, speaker=u.session or u.speaker) for u in examples.train] if by_session else examples.train
    left_out = torch.zeros_like(wanted)
    shown = pooled if settings.average_copies else pooled[:1]  # as predictions are made
    for fitted, held in grouped_folds(people, FOLDS, model.card.task):
        weight, bias = ridge([one[fitted] for one in pooled], wanted[fitted], weights[fitted], settings.ridge)
        left_out[held] = torch.stack([one[held] @ weight.T + bias for one in shown]).mean(0)
    weight, bias = ridge(pooled, wanted, weights, settings.ridge)
    factor = 1 / fit_temperature(left_out.numpy(), wanted.argmax(1).numpy()) if model.card.task == "emotions" else 1.0
    model.head.load_state_dict({"output.weight": weight * factor, "output.bias": bias * factor})
    save(model, folder)


def _even(utterances: Sequence[Utterance], by_session: bool) -> torch.Tensor:
    """How much each clip counts, (N,), so that every class, or every class of every session, counts alike."""
    cells = [(u.emotion, u.session if by_session else None) for u in utterances]
    counts = Counter(cells)
    return torch.tensor([1 / counts[cell] for cell in cells], dtype=torch.float64)


def _pooled(model: EmotionModel, sources: Mapping[str, Source], utterances: Sequence[Utterance], copy: int) -> torch.Tensor:
    """(N, D) in float64."""
    ids, device = [u.id for u in utterances], model.target_mean.device
    batches = (ids[start : start + scaling.BATCH] for start in range(0, len(ids), scaling.BATCH))
    with torch.no_grad():
        return torch.cat(
            [model.bodies["audio"](*frames_of(sources, part, device, copy=copy)["audio"]).double().cpu() for part in batches]
        )


def ridge(
    copies: Sequence[torch.Tensor], wanted: torch.Tensor, weights: torch.Tensor, penalty: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted least squares with an intercept: weight (K, D) and bias (K,).

    Args:
        copies: vectors (N, D) of the clips, once for each copy of them.
        wanted: targets (N, K).
        weights: how much each clip counts, (N,).
        penalty: of ‖weight‖², in mean squared lengths of a vector about their mean.

    >>> x = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    >>> weight, bias = ridge([x], 3 * x + 1, torch.ones(3, dtype=torch.float64), 1e-9)
    >>> round(weight.item(), 3), round(bias.item(), 3)
    (3.0, 1.0)
    """
    x, y, w = torch.cat(list(copies)), wanted.repeat(len(copies), 1), weights.repeat(len(copies))
    w = w / w.sum() * len(wanted)
    x_mean, y_mean = (w @ x) / w.sum(), (w @ y) / w.sum()
    x, y, root = x - x_mean, y - y_mean, w.sqrt().unsqueeze(1)
    x, y = x * root, y * root
    size = x.square().sum() / len(wanted)
    if x.shape[1] <= len(x):
        gram = x.T @ x + penalty * size * torch.eye(x.shape[1], dtype=x.dtype)
        weight = torch.linalg.solve(gram, x.T @ y).T
    else:
        gram = x @ x.T + penalty * size * torch.eye(len(x), dtype=x.dtype)
        weight = (x.T @ torch.linalg.solve(gram, y)).T
    return weight, y_mean - weight @ x_mean

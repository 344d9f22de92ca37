"""Statistics of the training clips that a model is given before any learning: of frames, pooled vectors, and targets."""

from collections.abc import Mapping, Sequence

import torch

from emojudge.inference import Source, frames_of
from emojudge.layers import Scale
from emojudge.models import EmotionModel
from emojudge.objective import Objective
from emojudge.types import Utterance

BATCH = 32
"""Clips looked at together."""


def fit(model: EmotionModel, sources: Mapping[str, Source], objective: Objective, utterances: Sequence[Utterance]) -> None:
    """Set every scale of `model` that its settings ask for from `utterances`."""
    model.eval()
    ids = [u.id for u in utterances]
    for modality, body in model.bodies.items():
        settings = model.card.settings_of(modality)
        if settings.scale_frames and isinstance(body.scale, Scale):
            _fit_frames(body.scale, sources[modality], ids)
        if settings.scale_pooled and isinstance(body.pooled_scale, Scale):
            _fit_pooled(model, modality, body.pooled_scale, sources[modality], ids)
    _fit_targets(model, objective, utterances)


def _fit_frames(scale: Scale, source: Source, ids: Sequence[str]) -> None:
    """Mean and deviation of every layer and dimension over the frames, in float64, one batch at a time."""
    count = 0
    total = square = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(ids), BATCH):
        with torch.no_grad():
            frames, mask = source(ids[start : start + BATCH])
        real = frames.transpose(1, 2)[mask].double().cpu()
        count += len(real)
        total, square = total + real.sum(0), square + real.square().sum(0)
    mean = total / count
    deviation = (square / count - mean.square()).clamp_min(0).sqrt()
    scale.fit(mean.float().unsqueeze(1), deviation.float().unsqueeze(1))


def _fit_pooled(model: EmotionModel, modality: str, scale: Scale, source: Source, ids: Sequence[str]) -> None:
    """Mean and deviation of pooled vectors, as the untrained pooling gives them."""
    body, device = model.bodies[modality], model.target_mean.device
    batches = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
    with torch.no_grad():
        pooled = torch.cat([body(*frames_of({modality: source}, part, device)[modality]) for part in batches])
    scale.fit(pooled.mean(0), pooled.std(0, correction=0))


def _fit_targets(model: EmotionModel, objective: Objective, utterances: Sequence[Utterance]) -> None:
    """Mean and deviation of each attribute, which the model's outputs are put back by; classes stay as they are."""
    start, values = 0, objective.targets(utterances).double()
    for task, names in model.card.heads.items():
        here = slice(start, start + len(names))
        if task == "attributes":
            mean = values[:, here].nanmean(0)
            model.target_mean[here] = mean
            model.target_deviation[here] = (values[:, here] - mean).square().nanmean(0).sqrt().clamp_min(1e-6)
        start += len(names)

"""One loop for every model: AdamW in groups, accumulation, warm-up, best checkpoint on dev (paper 5.2)."""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from emojudge import losses, metrics
from emojudge.inference import Source, frames_of, pick_device, predict
from emojudge.layers import Scale
from emojudge.models import EmotionModel, save
from emojudge.progress import track
from emojudge.settings import AudioSettings, TextSettings
from emojudge.storage import write_jsonl
from emojudge.types import Utterance


@dataclass(frozen=True)
class Examples:
    """What a model is trained on and chosen by: utterances that have the task's targets."""

    train: Sequence[Utterance]
    dev: Sequence[Utterance]


def target(utterance: Utterance, task: str, outputs: Sequence[str]) -> list[float]:
    """The class number of an emotion, or the values of attributes (NaN where unknown).

    >>> target(Utterance("a", attributes={"valence": 3.0}), "attributes", ("valence", "arousal"))
    [3.0, nan]
    """
    if task == "emotions":
        return [outputs.index(utterance.emotion)] if utterance.emotion in outputs else []
    return [utterance.attributes.get(name, math.nan) for name in outputs] if utterance.attributes else []


def train(model: EmotionModel, sources: Mapping[str, Source], examples: Examples, folder: Path, seed: int) -> float:
    """Train `model`, keep the best checkpoint by dev macro-F1 or mean CCC in `folder`, and return its score.

    Without dev clips the last state is kept. `log.jsonl` gets a row for each evaluation.
    """
    card = model.card
    settings = card.settings_of(card.modalities[0])
    torch.manual_seed(seed)
    random = Random(seed)
    model.to(pick_device(settings.device))
    _fit_scales(model, sources, [u.id for u in examples.train])
    _fit_pooled_scales(model, sources, [u.id for u in examples.train])
    _fit_targets(model, examples.train)
    run = _Run(model, sources, settings, random, steps_per_epoch=math.ceil(len(examples.train) / settings.effective_batch))
    weights = _weights(model, examples.train, settings)
    best, best_state, rows, waiting = -math.inf, None, [], 0
    started = time.monotonic()
    for epoch in track(range(1, settings.epochs + 1), f"Training {'+'.join(card.modalities)} for {card.task}"):
        for last, loss in run.epoch(examples.train, weights):
            if not last and run.step % settings.evaluate_every:
                continue
            score = dev_score(model, sources, examples.dev) if examples.dev else -loss
            rows.append({"epoch": epoch, "step": run.step, "loss": loss, "score": score, "seconds": time.monotonic() - started})
            waiting += 1
            if score > best or not examples.dev:
                best, best_state, waiting = score, copy.deepcopy(model.state_dict()), 0
        if settings.patience and waiting >= settings.patience:
            break
    if best_state is not None:
        model.load_state_dict(best_state)
    write_jsonl(folder / "log.jsonl", rows)
    save(model, folder)
    return best


class _Run:
    """The optimiser and the schedule of one training."""

    def __init__(
        self,
        model: EmotionModel,
        sources: Mapping[str, Source],
        settings: AudioSettings | TextSettings,
        random: Random,
        steps_per_epoch: int,
    ) -> None:
        self.model, self.sources, self.settings, self.random, self.step = model, sources, settings, random, 0
        self.optimiser = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=settings.weight_decay)
        total = steps_per_epoch * settings.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: rate(step, total, settings))
        self.device = model.target_mean.device

    def epoch(self, utterances: Sequence[Utterance], weights: Tensor | None) -> Iterator[tuple[bool, float]]:
        """One pass; yields (is it the epoch's last step, mean loss so far) after each optimiser step."""
        self.model.train()
        order = self.random.sample(list(utterances), len(utterances))
        size, total = self.settings.effective_batch, 0.0
        for start in range(0, len(order), size):
            total += self.update(order[start : start + size], weights)
            yield start + size >= len(order), total / (start // size + 1)
            self.model.train()

    def update(self, batch: Sequence[Utterance], weights: Tensor | None) -> float:
        """One optimiser step over the effective batch, in micro-batches.

        A frozen encoder leaves room for the whole effective batch at once, which the CCC loss needs to mean
        anything (PAPER decision 21).
        """
        size = self.settings.effective_batch if self.settings.train == "none" else self.settings.micro_batch
        total = 0.0
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            with self._precision():
                out = self.model(frames_of(self.sources, [u.id for u in part], self.device, self.random))
            loss = self._loss(out, part, weights) * (len(part) / len(batch))
            loss.backward()
            total += loss.item()
        penalty = self.model.penalty()
        if penalty.requires_grad:
            penalty.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        self.step += 1
        return total

    def _loss(self, out: Tensor, batch: Sequence[Utterance], weights: Tensor | None) -> Tensor:
        card, settings = self.model.card, self.settings
        wanted = torch.tensor([target(u, card.task, card.outputs) for u in batch], device=self.device)
        if card.task == "attributes":
            return losses.ccc_loss(out, wanted.float())
        gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
        return losses.focal(out, wanted[:, 0].long(), weights, gamma, settings.label_smoothing)

    def _precision(self) -> Any:
        """Autocast where asked, or where the device is made for it (paper 5.2)."""
        mixed = self.settings.precision == "bfloat16" or (self.settings.precision == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, torch.bfloat16) if mixed else nullcontext()


def parameter_groups(model: EmotionModel, settings: AudioSettings | TextSettings) -> list[dict[str, Any]]:
    """Encoder, pooling and head, each an AdamW group of its own (paper 5.2; PAPER decision 2)."""
    groups: dict[str, list[Any]] = {"encoder": [], "pooling": [], "head": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "head" if name.startswith("head.") else "encoder" if ".encoder." in name else "pooling"
            groups[part].append(parameter)
    head_rate = settings.head_learning_rate or settings.learning_rate
    rates = {"encoder": settings.learning_rate, "pooling": head_rate, "head": head_rate}
    return [{"params": parameters, "lr": rates[part], "name": part} for part, parameters in groups.items() if parameters]


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


def dev_score(model: EmotionModel, sources: Mapping[str, Source], utterances: Sequence[Utterance]) -> float:
    """Macro-F1, or mean CCC, over the whole of `utterances` (not per batch; see docs/paper.md, decision 21)."""
    card = model.card
    found = {p.id: p for p in predict(model, sources, [u.id for u in utterances], "dev")}
    if card.task == "emotions":
        gold = [str(u.emotion) for u in utterances]
        return metrics.macro_f1(gold, [found[u.id].label for u in utterances], card.outputs)
    values = []
    for name in card.outputs:
        known = [u for u in utterances if name in u.attributes]
        values.append(metrics.ccc([u.attributes[name] for u in known], [found[u.id].scores[name] for u in known]))
    return sum(values) / len(values)


def _weights(model: EmotionModel, utterances: Sequence[Utterance], settings: AudioSettings | TextSettings) -> Tensor | None:
    if model.card.task != "emotions" or settings.class_weights == "none":
        return None
    return losses.class_weights([sum(u.emotion == label for u in utterances) for label in model.card.outputs])


def _fit_targets(model: EmotionModel, utterances: Sequence[Utterance]) -> None:
    """Training mean and deviation of each attribute, which the model's output is put back by."""
    if model.card.task == "attributes":
        values = torch.tensor([target(u, "attributes", model.card.outputs) for u in utterances], dtype=torch.float64)
        mean = values.nanmean(0)
        model.target_mean.copy_(mean)
        model.target_deviation.copy_((values - mean).square().nanmean(0).sqrt().clamp_min(1e-6))


def _fit_scales(model: EmotionModel, sources: Mapping[str, Source], ids: Sequence[str]) -> None:
    """Mean and deviation of every layer and dimension over the training frames, in float64, one batch at a time."""
    for modality, body in model.bodies.items():
        scale = body.scale
        if not model.card.settings_of(modality).scale_frames or not isinstance(scale, Scale):
            continue
        count = 0
        total = square = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(ids), 32):
            with torch.no_grad():
                frames, mask = sources[modality](ids[start : start + 32])
            real = frames.transpose(1, 2)[mask].double()
            count += len(real)
            total, square = total + real.sum(0), square + real.square().sum(0)
        mean = total / count
        deviation = (square / count - mean.square()).clamp_min(0).sqrt()
        scale.fit(mean.float().unsqueeze(1), deviation.float().unsqueeze(1))


def _fit_pooled_scales(model: EmotionModel, sources: Mapping[str, Source], ids: Sequence[str]) -> None:
    """Mean and deviation of pooled vectors over the training clips, as the untrained pooling gives them."""
    for modality, body in model.bodies.items():
        scale = body.pooled_scale
        if not model.card.settings_of(modality).scale_pooled or not isinstance(scale, Scale):
            continue
        with torch.no_grad():
            batches = (ids[start : start + 32] for start in range(0, len(ids), 32))
            device = model.target_mean.device
            pooled = torch.cat([body(*frames_of({modality: sources[modality]}, part, device)[modality]) for part in batches])
        scale.fit(pooled.mean(0), pooled.std(0, correction=0))

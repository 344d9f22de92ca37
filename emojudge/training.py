"""One loop for every model: AdamW in groups, accumulation, warm-up, best checkpoint on dev (paper 5.2).

All that is random in a step is drawn from the seed and the step, and in an epoch from the seed and the epoch. So
a training that was killed goes on from its last checkpoint to the very weights it would have reached.
"""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from emojudge import checkpoints, distributed, metrics, scaling
from emojudge.batches import epoch_batches
from emojudge.checkpoints import Progress, State
from emojudge.errors import MissingExtra
from emojudge.inference import Source, frames_of, pick_device, predict
from emojudge.layers import Mixup
from emojudge.models import EmotionModel, save
from emojudge.objective import Objective
from emojudge.optimisation import mixed_precision, parameter_groups, rate
from emojudge.progress import track
from emojudge.storage import digest, write_jsonl
from emojudge.types import Utterance


@dataclass(frozen=True)
class Examples:
    """What a model is trained on and chosen by: utterances that have the task's targets."""

    train: Sequence[Utterance]
    dev: Sequence[Utterance]


def train(model: EmotionModel, sources: Mapping[str, Source], examples: Examples, folder: Path, seed: int) -> float:
    """Train `model`, keep the best state by dev macro-F1 or mean CCC in `folder`, and return its score.

    Without dev clips the last state is kept. `log.jsonl` gets a row for each evaluation. A training that was
    interrupted in `folder` goes on.
    """
    training = Training(model, sources, examples, folder, seed)
    training.resume()
    training.run()
    model.put_back(training.best)
    if distributed.leads():
        save(model, folder)
        checkpoints.remove(folder)
    return training.progress.best if training.progress.best is not None else -math.inf


class Training:
    """One training: what it is made of, and how far it is."""

    def __init__(self, model: EmotionModel, sources: Mapping[str, Source], examples: Examples, folder: Path, seed: int) -> None:
        self.model, self.sources, self.examples, self.folder, self.seed = model, sources, examples, folder, seed
        self.settings = model.card.settings_of(model.card.modalities[0])
        model.to(pick_device(self.settings.device))
        self.device = model.target_mean.device
        # Frozen encoders leave room for the whole effective batch at once.
        learning = [one.micro_batch for m in model.card.modalities if (one := model.card.settings_of(m)).train != "none"]
        self.micro_batch = min([self.settings.effective_batch, *learning])
        self.objective = Objective(model.card, examples.train)
        scaling.fit(model, sources, self.objective, examples.train)
        self.optimiser = torch.optim.AdamW(parameter_groups(model), fused=True)
        self.parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.mixed = mixed_precision(self.settings.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.mixed is torch.float16)
        self.progress, self.best = Progress(), model.learnt()
        about = [asdict(model.card), [u.id for u in (*examples.train, *examples.dev)], seed, distributed.world()]
        self.about = digest(about)

    # -- one epoch after another

    def run(self) -> None:
        """Train to the end, or to the end of patience."""
        progress, settings = self.progress, self.settings
        began, saved = time.monotonic() - progress.seconds, time.monotonic()
        for epoch in track(range(progress.epoch, settings.epochs + settings.balanced_epochs + 1), self._title()):
            batches = self._batches(epoch)
            self._enter(epoch)
            for number in range(progress.batches, len(batches)):
                self._set_rates(progress.epoch, number, len(batches))
                progress.loss += self.update(batches[number])
                progress.batches, progress.seconds = number + 1, time.monotonic() - began
                if number + 1 == len(batches) or progress.step % settings.evaluate_every == 0:
                    self.evaluate()
                if self._due(saved):
                    self.checkpoint()
                    saved = time.monotonic()
            progress.epoch, progress.batches, progress.loss = epoch + 1, 0, 0.0
            if settings.patience and progress.waiting >= settings.patience:
                break

    def _title(self) -> str:
        return f"Training {'+'.join(self.model.card.modalities)} for {self.model.card.task}"

    def _balanced(self, epoch: int) -> bool:
        return self.settings.sampling != "shuffled" or epoch > self.settings.epochs

    def _batches(self, epoch: int) -> list[list[Utterance]]:
        settings, balanced = self.settings, self._balanced(epoch)
        by_session = settings.sampling == "balanced_sessions"
        return epoch_batches(self.examples.train, settings.effective_batch, self.seed, epoch, balanced, by_session)

    def _enter(self, epoch: int) -> None:
        """The second stage begins from the best of the first, and leaves the encoder alone."""
        second = epoch > self.settings.epochs
        for group in self.optimiser.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(not (second and group["name"] == "encoder"))
        if epoch == self.settings.epochs + 1 and self.progress.batches == 0:
            self.model.put_back(self.best)

    def _set_rates(self, epoch: int, number: int, batches: int) -> None:
        """Each stage has a schedule of its own."""
        first = epoch <= self.settings.epochs
        done, epochs = (
            (epoch - 1, self.settings.epochs) if first else (epoch - 1 - self.settings.epochs, self.settings.balanced_epochs)
        )
        factor = rate(done * batches + number, epochs * batches, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = group["full"] * factor

    # -- one step

    def update(self, batch: Sequence[Utterance]) -> float:
        """One optimiser step over the effective batch, in micro-batches and over all processes; returns its loss.

        Micro-batches hold clips of like length.
        """
        size = self.micro_batch
        if len(batch) > size:
            batch = sorted(batch, key=lambda u: next(iter(self.sources.values())).length(u.id))
        share = distributed.mine(batch)
        parts = [share[start : start + size] for start in range(0, len(share), size)]
        self.model.train()
        if self.objective.additive or (len(batch) <= size and distributed.world() == 1):
            loss = self._part_by_part(parts, len(batch))
        else:
            loss = self._as_one(parts, len(batch))
        penalty = self.model.penalty()
        if penalty.requires_grad:
            self.scaler.scale(penalty / distributed.world()).backward()
        distributed.sum_gradients(self.parameters)
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()
        self.progress.step += 1
        return loss

    def _part_by_part(self, parts: Sequence[Sequence[Utterance]], size: int) -> float:
        """A mean over clips: each micro-batch sends back its share."""
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(parts):
            out, wanted = self._forward(part, number)
            loss = self._loss(out, wanted, size)
            self.scaler.scale(loss).backward()
            total += loss.detach()
        return distributed.sum_(total).item()

    def _as_one(self, parts: Sequence[Sequence[Utterance]], size: int) -> float:
        """A loss over the whole effective batch, as the CCC is (decision 21), in the memory of a micro-batch.

        Outputs come first, without gradients; the loss is taken over all of them; then each micro-batch runs
        again and sends back its own rows of the gradient (as in Gao et al. 2021, https://arxiv.org/abs/2101.06983).
        """
        width = self.model.target_mean.numel()
        with torch.no_grad():
            pairs = [self._forward(part, number) for number, part in enumerate(parts)]
        rows = [torch.cat([torch.zeros(0, width, device=self.device), *(pair[i] for pair in pairs)]) for i in (0, 1)]
        out, wanted = (distributed.gather(one, size) for one in rows)
        out.requires_grad_()
        loss = self._loss(out, wanted, size)
        gradient = torch.autograd.grad(loss, out)[0][distributed.rank() :: distributed.world()]
        start = 0
        for number, part in enumerate(parts):
            again, _ = self._forward(part, number)
            self.scaler.scale((again * gradient[start : start + len(part)]).sum()).backward()
            start += len(part)
        return loss.item()

    def _forward(self, part: Sequence[Utterance], number: int) -> tuple[Tensor, Tensor]:
        """Outputs and targets of one micro-batch (B, outputs); the same again for the same step and `number`."""
        random = Random(f"step {self.seed} {self.progress.step} {distributed.rank()} {number}")
        torch.manual_seed(random.getrandbits(63))
        wanted = self.objective.targets(part).to(self.device)
        mix = Mixup(len(part), self.settings.mixup) if self.settings.mixup else None
        with torch.autocast(self.device.type, self.mixed) if self.mixed else nullcontext():
            out = self.model(frames_of(self.sources, [u.id for u in part], self.device, random), mix)
        return out.float(), mix(wanted) if mix else wanted

    def _loss(self, out: Tensor, wanted: Tensor, size: int) -> Tensor:
        return self.objective.loss(out, wanted, size, balanced=self._balanced(self.progress.epoch))

    # -- looking at dev, and keeping

    def evaluate(self) -> None:
        """Score dev, keep the state if it is the best, and write the log."""
        progress = self.progress
        loss = progress.loss / progress.batches
        score = dev_score(self.model, self.sources, self.examples.dev) if self.examples.dev else -loss
        better = progress.best is None or score > progress.best or not self.examples.dev
        progress.waiting = 0 if better else progress.waiting + 1
        if better:
            progress.best = score
            self.best = {name: value.to("cpu", copy=True) for name, value in self.model.learnt().items()}  # leaves a GPU free
        row = {"epoch": progress.epoch, "step": progress.step, "loss": loss, "score": score, "seconds": progress.seconds}
        progress.log.append(row)
        if distributed.leads():
            write_jsonl(self.folder / "log.jsonl", progress.log)
            if self.settings.tensorboard:
                write_tensorboard(self.folder, row)

    def _due(self, saved: float) -> bool:
        """Whether it is time for a checkpoint, which only the leader writes."""
        return distributed.leads() and time.monotonic() - saved >= 60 * self.settings.checkpoint_minutes

    def checkpoint(self) -> None:
        """Write the whole state."""
        moments = {i: self.optimiser.state[p] for i, p in enumerate(self.parameters) if p in self.optimiser.state}
        weights = self.model.learnt()
        checkpoints.write(self.folder, State(self.about, self.progress, weights, self.best, moments, self.scaler.state_dict()))

    def resume(self) -> None:
        """Go on from the last checkpoint, if this very training left one."""
        state = checkpoints.read(self.folder, self.about)
        if state is None:
            return
        self.progress = state.progress
        self.model.put_back(state.weights)
        self.best = dict(state.best)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": dict(state.optimiser), "param_groups": groups})
        self.scaler.load_state_dict(dict(state.scaler))


def dev_score(model: EmotionModel, sources: Mapping[str, Source], utterances: Sequence[Utterance]) -> float:
    """Macro-F1, or mean CCC, over the whole of `utterances` (not per batch; see docs/paper.md, decision 21).

    Every process predicts its share; each clip counts once.
    """
    card = model.card
    ids = [u.id for u in utterances]
    found = {p.id: list(p.scores.values()) for p in predict(model, sources, distributed.mine(ids), "dev")}
    mine = torch.tensor([found[id] for id in distributed.mine(ids)], dtype=torch.float64, device=model.target_mean.device)
    scores = distributed.gather(mine.reshape(-1, len(card.outputs)), len(ids)).cpu().numpy()
    if card.task == "emotions":
        gold = [str(u.emotion) for u in utterances]
        return metrics.macro_f1(gold, [card.outputs[i] for i in scores.argmax(1)], card.outputs)
    values = []
    for column, name in enumerate(card.outputs):
        known = [row for row, u in enumerate(utterances) if name in u.attributes]
        values.append(metrics.ccc([utterances[row].attributes[name] for row in known], scores[known, column]))
    return sum(values) / len(values)


def write_tensorboard(folder: Path, row: Mapping[str, float]) -> None:
    """One evaluation as TensorBoard reads it.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtra("TensorBoard", "tensorboard") from None
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for name in ("loss", "score"):
            writer.add_scalar(name, row[name], int(row["step"]))

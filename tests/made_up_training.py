"""A small training in a process of its own, to be killed, gone on with, or shared by several processes.

python -m tests.made_up_training FOLDER TASK DIE_AT DROPOUT
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from emojudge import distributed
from emojudge.models import EmotionModel, ModelCard
from emojudge.settings import AudioSettings
from emojudge.training import Examples, Training, train
from emojudge.types import ATTRIBUTES
from tests.made_up import LABELS, TableSource, utterances


class LiveTable(TableSource):
    """The frames of the table through a layer that is trained, with a random gain as augmentation."""

    def __init__(self, rows, module, gains):
        super().__init__(rows)
        self.module, self.gains = module, gains

    def __call__(self, ids, random=None, copy=0):
        frames, mask = super().__call__(ids)
        return self.module(frames) * (random.choice(self.gains) if random else 1.0), mask


def train_made_up(folder, task="emotions", dropout=0.2):
    """Train on 72 made-up clips: a trained encoder, two stages, micro-batches, and with dropout all else that is random."""
    torch.manual_seed(0)
    settings = {
        "train": "all",
        "device": "cpu",
        "hidden_size": 16,
        "attention_size": 8,
        "learning_rate": 5e-3,
        "dropout": dropout,
    }
    settings |= {"epochs": 3, "balanced_epochs": 2, "effective_batch": 12, "micro_batch": 4, "evaluate_every": 2}
    settings |= {"checkpoint_minutes": 0} | ({"mixup": 0.4, "mask_time": 0.2, "mask_channels": 0.1} if dropout else {})
    card = ModelCard(
        task,
        LABELS if task == "emotions" else ATTRIBUTES,
        ("audio",),
        {"audio": AudioSettings(**settings).model_dump()},
        {"audio": "made-up"},
        {"audio": (2, 6)},
    )
    module = nn.Linear(6, 6)
    model = EmotionModel(card, {"audio": module})
    rows = utterances(120)
    examples = Examples([u for u in rows if u.split == "train"], [u for u in rows if u.split == "dev"])
    train(model, {"audio": LiveTable(rows, module, (0.9, 1.1) if dropout else (1.0,))}, examples, Path(folder), seed=0)
    return model


def main(folder, task, die_at, dropout):
    """Kill this process without warning when the optimiser has made `die_at` steps."""
    update = Training.update

    def dying(self, batch):
        if self.progress.step == int(die_at):
            os.kill(os.getpid(), signal.SIGKILL)
        return update(self, batch)

    Training.update = dying

    def assist():
        while distributed.call() != distributed.STOP:
            train_made_up(folder, task, float(dropout))

    with distributed.together(assist) as leads:
        if leads:
            distributed.call(0)
            train_made_up(folder, task, float(dropout))
    threads = Path("/proc/self/task")  # Linux has it
    if distributed.world() > 1 and threads.exists():
        assert len(list(threads.iterdir())) == 1, "the group's threads outlive it, and may abort the process"


if __name__ == "__main__":
    main(*sys.argv[1:])

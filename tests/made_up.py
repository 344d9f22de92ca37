"""A made-up encoder and made-up frames, so that models are tested without weights or speech."""

from collections.abc import Sequence
from random import Random

import torch
from torch import nn

from emojudge.inference import pad
from emojudge.types import Utterance

LABELS = ("Sad", "Happy", "Angry")


class MadeUpEncoder:
    """What an encoder offers, over a table of frames."""

    modality, size, layers, fingerprint = "audio", 6, 2, "made-up"
    module = nn.Identity()


class TableSource:
    """Frames of each utterance in which the label shows in one layer, under noise."""

    def __init__(self, utterances: Sequence[Utterance], noise: float = 1.0) -> None:
        self.frames = {}
        for u in utterances:
            generator = torch.Generator().manual_seed(int(u.id))
            frames = torch.randn(2, 3 + int(u.id) % 5, 6, generator=generator) * noise
            frames[1, :, LABELS.index(str(u.emotion))] += 2.0
            frames[1, :, 5] += u.attributes["valence"]
            self.frames[u.id] = frames.numpy()
        self.ids = self.frames.keys()

    def __call__(self, ids: Sequence[str], random: Random | None = None, copy: int = 0):
        return pad([self.frames[id] for id in ids])

    def length(self, id: str) -> float:
        return self.frames[id].shape[1]


def utterances(count: int, speakers: int = 6) -> list[Utterance]:
    """Labelled utterances in three splits."""
    rows = []
    for n in range(count):
        split = "train" if n % 5 < 3 else "dev" if n % 5 == 3 else "test"
        attributes = {"valence": 1 + n % 7, "arousal": 4.0 - n % 3, "dominance": 2.0 + n % 4}
        rows.append(Utterance(str(n), speaker=f"s{n % speakers}", split=split, emotion=LABELS[n % 3], attributes=attributes))
    return rows

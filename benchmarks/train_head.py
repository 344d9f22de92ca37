"""The paper's audio head on 1,200 cached clips: an epoch of ours, beside the same head in a plain PyTorch loop.

    python benchmarks/train_head.py [--clips 1200] [--width 512]

Frames are made up: 150 to 250 a clip, one layer, as wide as Whisper base's; float16 on disk in both, in the cache of ours, one
.npy file a clip for the loop, and all of it in the page cache. The loop is what one writes first: a Dataset that loads a file,
a DataLoader that shuffles, a collate function that pads, attentive statistics and a residual head, AdamW. Seconds are those of
one epoch after another that is not counted, stretched to 30; dev is empty in both.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Work, compare, limit, matrix_products, options, profiled, race, seconds_for, show

from emojudge.types import EMOTIONS, Utterance

EPOCHS, GOAL = 30, 120.0 / 1200
"""The goal in seconds of processor a clip: a minute of two cores for 1,200."""


def frames(n: int, width: int) -> np.ndarray:
    """(1, 150 to 250, width) float16."""
    rng = np.random.default_rng(n)
    return rng.normal(0, 1, (1, int(rng.integers(150, 251)), width)).astype(np.float16)


class Table:
    """Stands for an encoder whose frames are made up, so that the cache can be filled."""

    modality, layers, fingerprint = "audio", 1, "made up for train_head.py"

    def __init__(self, width: int) -> None:
        import torch

        self.size, self.module = width, torch.nn.Identity()

    def encode(self, batch: list[int]) -> Any:
        from emojudge.inference import pad

        return pad([frames(n, self.size) for n in batch])


class Number:
    """An item: which of them."""

    def __init__(self, n: int) -> None:
        self.id = self.key = str(n)

    def seconds(self) -> float:
        return 4.0

    def load(self) -> int:
        return int(self.id)


def ours(folder: Path, clips: int, width: int) -> Work:
    import torch

    from emojudge.cache import FeatureCache
    from emojudge.inference import CachedFrames
    from emojudge.models import EmotionModel, ModelCard
    from emojudge.settings import AudioSettings
    from emojudge.training import Examples, train

    encoder = Table(width)
    cache = FeatureCache(folder / "cache", encoder)
    cache.fill([Number(n) for n in range(clips)])
    settings = AudioSettings(train="none", epochs=1, head_learning_rate=1e-3, device="cpu")
    shape = {"audio": (1, width)}
    card = ModelCard("emotions", EMOTIONS, ("audio",), {"audio": settings.model_dump()}, {"audio": encoder.fingerprint}, shape)
    rows = [Utterance(str(n), emotion=EMOTIONS[n % 8]) for n in range(clips)]
    source = CachedFrames(cache, {u.id: [u.id] for u in rows})

    def work() -> None:
        torch.manual_seed(0)
        train(EmotionModel(card), {"audio": source}, Examples(rows, []), folder / "model", seed=0)
        shutil.rmtree(folder / "model")

    work()  # imports, checksums
    return work


def plain(folder: Path, clips: int, width: int) -> Work:
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pad_sequence
    from torch.utils.data import DataLoader, Dataset

    for n in range(clips):
        np.save(folder / f"{n}.npy", frames(n, width)[0])

    class Files(Dataset):
        def __len__(self) -> int:
            return clips

        def __getitem__(self, n: int) -> Any:
            return torch.from_numpy(np.load(folder / f"{n}.npy")).float(), n % 8

    def collate(rows: list[Any]) -> Any:
        lengths = torch.tensor([len(row) for row, _ in rows])
        padded = pad_sequence([row for row, _ in rows], batch_first=True)
        return padded, torch.arange(padded.shape[1]) < lengths[:, None], torch.tensor([label for _, label in rows])

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.score = nn.Linear(width, 128), nn.Linear(128, 1, bias=False)
            layers = [(2 * width, 1024), (1024, 1024)]
            self.first, self.second = (
                nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.ReLU(), nn.Dropout(0.5)) for a, b in layers
            )
            self.output = nn.Linear(1024, 8)

        def forward(self, x: Any, mask: Any) -> Any:
            weights = self.score(torch.tanh(self.attention(x))).masked_fill(~mask[..., None], -torch.inf).softmax(1)
            mean = (weights * x).sum(1)
            deviation = ((weights * x**2).sum(1) - mean**2).clamp_min(1e-7).sqrt()
            hidden = self.first(torch.cat([mean, deviation], 1))
            return self.output(hidden + self.second(hidden))

    def work() -> None:
        torch.manual_seed(0)
        head = Head()
        optimiser = torch.optim.AdamW(head.parameters(), 1e-3)
        for x, mask, label in DataLoader(Files(), 32, shuffle=True, collate_fn=collate):
            log_p = head(x, mask).log_softmax(1)[torch.arange(len(label)), label]
            (-((1 - log_p.exp()) ** 2) * log_p).mean().backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()

    work()  # imports
    return work


def multiply_adds(clips: int, width: int) -> float:
    """Of one epoch: A forth and back (frames want no gradient), and the head's three layers forth and twice back."""
    attention = 2 * sum(frames(n, width).shape[1] for n in range(clips)) * width * 128
    return attention + 3 * clips * (2 * width * 1024 + 1024 * 1024 + 1024 * 8)


def main() -> None:
    parser = options(__doc__, profile=True)
    parser.add_argument("--clips", type=int, default=1200)
    parser.add_argument("--width", type=int, default=512)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sizes = (Path(name), asked.clips, asked.width)
        if asked.profile:
            return profiled(partial(ours, *sizes))
        systems = {"emojudge.training": partial(ours, *sizes), "plain loop, a file a clip": partial(plain, *sizes)}
        runs = race({**systems, "products": matrix_products}, asked.repeats)
    least = seconds_for(EPOCHS * multiply_adds(asked.clips, asked.width), runs.pop("products"))
    rows = compare(f"train the audio head, {asked.clips:,} clips, {EPOCHS} epochs", "training", 1 / EPOCHS, runs, must=5)
    own, peer = ([run * EPOCHS for run in system.cpu] for system in runs.values())
    bounds = [
        limit(rows[0], "aim: a minute of two cores for 1,200", GOAL * asked.clips, own, must=1),
        limit(rows[0], "bound by matrix products", least, own),
        limit(rows[0], "the bound, as a share of the loop's seconds", least, peer),
    ]
    show([*rows, *bounds], asked.json)


if __name__ == "__main__":
    main()

"""Model + utterances → predictions, streamed; and where a model's frames come from.

A `Source` gives encoder frames for utterance ids. `CachedFrames` reads those of a frozen encoder from the
feature cache; `LiveFrames` runs an encoder that is being trained. The model does not see the difference.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Protocol

import numpy as np
import torch

from emojudge.cache import FeatureCache, Item
from emojudge.encoding import encode
from emojudge.models import EmotionModel, Encoder, Frames
from emojudge.types import Prediction


class Source(Protocol):
    """Frames of utterances."""

    @property
    def ids(self) -> Collection[str]:
        """Utterances there are frames of."""

    def __call__(self, ids: Sequence[str], random: Random | None = None, copy: int = 0) -> Frames:
        """Frames (B, L, T, D) and mask (B, T) of the augmented copy of that number, 0 being the clip itself.

        With `random`, a random one of each; where there are fewer than `copy`, they are counted round.
        """

    def length(self, id: str) -> float:
        """Something proportional to the length, to batch alike with alike."""


class CachedFrames:
    """Frames of a frozen encoder, memory-mapped.

    `keys` lists the cache keys of each utterance: the clip itself, then its augmented copies. Where
    mean and deviation are all that counts, `known` keeps two frames for each key that stand for all of its
    own, which is a hundred times less to go through; it may be shared by several sources of one encoder.
    """

    def __init__(
        self, cache: FeatureCache, keys: Mapping[str, Sequence[str]], known: dict[str, np.ndarray] | None = None
    ) -> None:
        self.cache, self.keys, self.known = cache, keys, known

    @property
    def ids(self) -> Collection[str]:
        """Utterances there are frames of."""
        return self.keys.keys()

    def __call__(self, ids: Sequence[str], random: Random | None = None, copy: int = 0) -> Frames:
        """Read and pad."""
        return pad([self._frames(_choose(self.keys[id], random, copy)) for id in ids])

    def _frames(self, key: str) -> np.ndarray:
        if self.known is None:
            return self.cache[key]
        if key not in self.known:
            self.known[key] = moments(self.cache[key])
        return self.known[key]

    def length(self, id: str) -> float:
        """Frames."""
        return self.cache[self.keys[id][0]].shape[1]


class LiveFrames:
    """Frames of an encoder that is being trained; items are loaded for each batch, so memory stays bounded.

    `items` lists those of each utterance: the clip itself, then its augmented copies.
    """

    def __init__(self, encoder: Encoder, items: Mapping[str, Sequence[Item]]) -> None:
        self.encoder, self.items = encoder, items

    @property
    def ids(self) -> Collection[str]:
        """Utterances there are frames of."""
        return self.items.keys()

    def __call__(self, ids: Sequence[str], random: Random | None = None, copy: int = 0) -> Frames:
        """Load and encode; gradients flow if the caller lets them."""
        return encode(self.encoder, [_choose(self.items[id], random, copy).load() for id in ids])

    def length(self, id: str) -> float:
        """Seconds."""
        return self.items[id][0].seconds()


def _choose(copies: Sequence[Any], random: Random | None, copy: int) -> Any:
    return random.choice(copies) if random else copies[copy % len(copies)]


def moments(frames: np.ndarray) -> np.ndarray:
    """Two frames with the mean and the deviation of all, (L, T, D) → (L, 2, D): mean - deviation, mean + deviation.

    >>> moments(np.array([[[1.0], [3.0], [5.0], [3.0]]])).astype(float).round(2).tolist()
    [[[1.59], [4.41]]]
    """
    real = frames.astype(np.float32)
    mean, deviation = real.mean(1), real.std(1)
    return np.stack([mean - deviation, mean + deviation], axis=1)


def pad(arrays: Sequence[np.ndarray]) -> Frames:
    """Stack (L, T, D) arrays of several lengths: (B, L, T_max, D) float32 and the mask (B, T_max).

    >>> frames, mask = pad([np.ones((1, 2, 3)), np.ones((1, 4, 3))])
    >>> frames.shape, mask.sum(1).tolist()
    (torch.Size([2, 1, 4, 3]), [2, 4])
    """
    layers, _, size = arrays[0].shape
    lengths = [array.shape[1] for array in arrays]
    frames = torch.zeros(len(arrays), layers, max(lengths), size)
    for row, array in zip(frames, arrays, strict=True):
        row[:, : array.shape[1]] = torch.from_numpy(array)
    return frames, torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)


def frames_of(
    sources: Mapping[str, Source], ids: Sequence[str], device: torch.device, random: Random | None = None, copy: int = 0
) -> dict[str, Frames]:
    """One batch of every modality, on `device`."""
    batch = {modality: source(ids, random, copy) for modality, source in sources.items()}
    return {modality: (frames.to(device), mask.to(device)) for modality, (frames, mask) in batch.items()}


def predict(
    model: EmotionModel, sources: Mapping[str, Source], ids: Iterable[str], system: str, batch_size: int = 32
) -> Iterator[Prediction]:
    """Predict `ids`, longest first so that batches hold clips of like length and memory fails at once if it fails.

    Batching changes no score beyond rounding: padded frames are masked out everywhere. With `audio.average_copies`
    scores are means over a clip and its augmented copies.
    """
    ordered = sorted(ids, key=next(iter(sources.values())).length, reverse=True)
    device = model.target_mean.device
    model.eval()
    for start in range(0, len(ordered), batch_size):
        batch = ordered[start : start + batch_size]
        with torch.inference_mode():  # left before anything is yielded: the caller is not to be in it
            scores = [model.scores(frames_of(sources, batch, device, copy=copy)).cpu() for copy in range(model.card.copies)]
        for id, row in zip(batch, torch.stack(scores).mean(0).tolist(), strict=True):
            yield Prediction(id, system, dict(zip(model.card.outputs, row, strict=True)))


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device(name)

"""Frames relative to their speaker's: what a voice always is goes, what it does in a clip stays.

A speaker's clips are looked at together and without their labels, those of the test too. That is another, transductive
protocol than scoring each clip for itself, so its results are reported apart. It helps where every speaker shows
several emotions, and ruins the result where a speaker shows only one, since that one is what is taken away.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from random import Random

import torch
from torch import Tensor

from emojudge.errors import DataError
from emojudge.inference import Source
from emojudge.models import Frames
from emojudge.types import Utterance

BATCH = 32
"""Clips looked at together."""


class BySpeaker:
    """A source whose frames are centred and scaled, dimension by dimension, over all clips that it has of their speaker.

    Raises:
        DataError: a clip's speaker is not known.
    """

    def __init__(self, source: Source, utterances: Iterable[Utterance]) -> None:
        self.source = source
        self.speaker = {u.id: u.speaker or "" for u in utterances if u.id in source.ids}
        self.clips: dict[str, list[str]] = defaultdict(list)
        for id, speaker in self.speaker.items():
            self.clips[speaker].append(id)
        if unknown := self.clips.get(""):
            raise DataError(
                f"{len(unknown)} clips have no speaker (as {unknown[0]}), and normalise_features is 'speaker'; "
                "name the speakers, or set it to 'none'."
            )
        self._known: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def ids(self) -> Collection[str]:
        """Utterances there are frames of."""
        return self.source.ids

    def __call__(self, ids: Sequence[str], random: Random | None = None, copy: int = 0) -> Frames:
        """Frames (B, L, T, D), padding zero, and mask (B, T)."""
        frames, mask = self.source(ids, random, copy)
        mean, deviation = (torch.stack(rows).to(frames) for rows in zip(*map(self._statistics, ids), strict=True))
        return (frames - mean) / deviation * mask[:, None, :, None], mask

    def length(self, id: str) -> float:
        """As the source's own."""
        return self.source.length(id)

    def _statistics(self, id: str) -> tuple[Tensor, Tensor]:
        """Mean and deviation (L, 1, D) of the speaker's frames, each clip counting alike however long it is."""
        speaker = self.speaker[id]
        if speaker not in self._known:
            self._known[speaker] = self._measured(self.clips[speaker])
        return self._known[speaker]

    def _measured(self, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        means, squares = [], []
        for start in range(0, len(ids), BATCH):
            with torch.no_grad():
                frames, mask = self.source(ids[start : start + BATCH])
            share = (mask / mask.sum(1, keepdim=True))[:, None, :, None].double()
            means.append((frames * share).sum(2))
            squares.append((frames.double().square() * share).sum(2))
        mean, square = (torch.cat(rows).mean(0) for rows in (means, squares))
        deviation = (square - mean.square()).clamp_min(1e-10).sqrt()
        return mean.float().unsqueeze(1), deviation.float().unsqueeze(1)

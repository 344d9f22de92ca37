"""Utterances → encoder frames: opens the encoders of an experiment once, and keeps what frozen ones compute."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from emojudge import audio
from emojudge.audio import Normaliser
from emojudge.cache import FeatureCache
from emojudge.errors import AudioError
from emojudge.inference import CachedFrames, LiveFrames, Source
from emojudge.models import Encoder
from emojudge.offline import cache_folder
from emojudge.registry import resolve
from emojudge.settings import AudioSettings, Config, TextSettings
from emojudge.storage import digest, file_digest
from emojudge.types import Utterance


class Features:
    """The encoders of one experiment and the frames they give.

    `skipped` collects what could not be read: utterance id → the sentence that says why.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.skipped: dict[str, str] = {}
        self._encoders: dict[str, Encoder] = {}
        self._files: dict[str, str] = {}

    def settings(self, modality: str) -> AudioSettings | TextSettings:
        """The settings of one modality."""
        return self.config.audio if modality == "audio" else self.config.text

    def encoder(self, modality: str) -> Encoder:
        """The encoder: one for all if it is frozen, a fresh one for every model that trains it."""
        settings = self.settings(modality)
        if settings.train != "none" or modality not in self._encoders:
            module, argument = resolve("encoders", settings.encoder)
            self._encoders[modality] = module.open(argument, settings)
        return self._encoders[modality]

    def normaliser(self, train: Iterable[Utterance]) -> Normaliser:
        """The waveform normaliser of `audio.normalise`, fitted on `train` where it is "train" (paper 4.2)."""
        if self.config.audio.normalise != "train":
            return Normaliser(mode=self.config.audio.normalise)
        return Normaliser.fit(clip for u in train if (clip := self._try(u)) is not None)

    def source(self, modality: str, encoder: Encoder, utterances: Sequence[Utterance], normaliser: Normaliser) -> Source:
        """Frames of `utterances`: from the cache if the encoder is frozen, else as they are asked for."""
        settings = self.settings(modality)
        rows = [u for u in utterances if (u.audio if modality == "audio" else u.text is not None)]
        if settings.train != "none":
            return LiveFrames(encoder, self._loaders(modality, rows, normaliser), {u.id: self._size(u, modality) for u in rows})
        speeds = (1.0, *settings.speeds) if isinstance(settings, AudioSettings) else (1.0,)
        keys = {u.id: [self._key(u, modality, normaliser, speed) for speed in speeds] for u in rows}
        cache = FeatureCache(cache_folder() / "features", encoder)
        loaders: dict[str, Callable[[], Any]] = {
            keys[u.id][n]: self._loader(u, modality, normaliser, speed) for u in rows for n, speed in enumerate(speeds)
        }
        failed = cache.fill(loaders, f"Encoding {modality}")
        self.skipped |= {id: failed[key] for id, all_keys in keys.items() for key in all_keys if key in failed}
        return CachedFrames(cache, {id: all_keys for id, all_keys in keys.items() if not set(all_keys) & set(failed)})

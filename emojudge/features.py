"""Utterances → encoder frames: opens the encoders of an experiment once, and keeps what frozen ones compute."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import audio, perturbations
from emojudge.audio import Normaliser
from emojudge.cache import Clip, FeatureCache, Line
from emojudge.encoding import halve
from emojudge.errors import AudioError, ConfigError
from emojudge.inference import CachedFrames, LiveFrames, Source, pick_device
from emojudge.models import Encoder
from emojudge.offline import cache_folder
from emojudge.registry import resolve
from emojudge.settings import AudioSettings, Config, TextSettings
from emojudge.speakers import BySpeaker
from emojudge.types import Utterance


class Features:
    """The encoders of one experiment and the frames they give.

    `skipped` collects what could not be read: utterance id → the sentence that says why.

    Raises:
        ConfigError: `audio.condition` or `audio.augment` names a change that there is not, or an encoder that learns is
            to compute in bfloat16 throughout.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        for change in (config.audio.condition, *config.audio.augment):
            perturbations.apply(change, np.zeros(160, np.float32))  # before hours of work, not after
        for name in config.modalities:
            if self.settings(name).encoder_precision != "float32" and self.settings(name).train != "none":
                raise ConfigError(f"{name}.encoder_precision is for frozen encoders; set {name}.precision for one that learns.")
        self.skipped: dict[str, str] = {}
        self._encoders: dict[str, Encoder] = {}
        self._moments: dict[str, dict[str, np.ndarray]] = {}
        self._change = ""
        self._folder: Path | None = None
        self._voices: Mapping[str, tuple[Clip, ...]] = {}

    def disturbed(self, change: str, folder: Path, voices: Mapping[str, tuple[Clip, ...]]) -> "Features":
        """The same encoders, hearing every recording after `change`, and then its copies if predictions are means over them.

        Args:
            change: as `perturbations` names it.
            folder: where frames of frozen encoders are kept instead of the common cache.
            voices: for babble, the recordings of other people by utterance id.

        Raises:
            ConfigError: there is no such change.
        """
        perturbations.parse(change)
        other = copy(self)
        other.skipped, other._moments = {}, {}
        other._change, other._folder, other._voices = change, folder, voices
        return other

    def settings(self, modality: str) -> AudioSettings | TextSettings:
        """The settings of one modality."""
        return self.config.audio if modality == "audio" else self.config.text

    def encoder(self, modality: str) -> Encoder:
        """The encoder: one for all if it is frozen, a fresh one for every model that trains it."""
        settings = self.settings(modality)
        if settings.train != "none" or modality not in self._encoders:
            module, argument = resolve("encoders", settings.encoder)
            encoder = module.open(argument, settings)
            encoder.prepare(settings)
            encoder.module.to(pick_device(settings.device))
            if settings.encoder_precision == "bfloat16":
                halve(encoder)
            self._encoders[modality] = encoder
        return self._encoders[modality]

    def normaliser(self, train: Iterable[Utterance]) -> Normaliser:
        """The waveform normaliser of `audio.normalise`, fitted on `train` where it is "train" (paper 4.2)."""
        if self.config.audio.normalise != "train":
            return Normaliser(mode=self.config.audio.normalise)
        return Normaliser.fit(samples for _, samples in self._heard(train))

    def source(self, modality: str, encoder: Encoder, utterances: Sequence[Utterance], normaliser: Normaliser) -> Source:
        """Frames of `utterances`: from the cache if the encoder is frozen, else as they are asked for."""
        rows = [u for u in utterances if (u.audio if modality == "audio" else u.text is not None)]
        if self.settings(modality).train == "none":
            source: Source = self._cached(modality, encoder, rows, normaliser)
        else:
            source = self.live(modality, encoder, [u for u, _ in self._heard(rows)] if modality == "audio" else rows, normaliser)
        by_speaker = modality == "audio" and self.config.audio.normalise_features == "speaker"
        return BySpeaker(source, rows) if by_speaker else source

    def live(self, modality: str, encoder: Encoder, rows: Sequence[Utterance], normaliser: Normaliser) -> LiveFrames:
        """Frames of utterances that can be read, computed when asked for and kept nowhere."""
        return LiveFrames(
            encoder, {u.id: [self._item(modality, u, normaliser, change) for change in self.changes(modality)] for u in rows}
        )

    def changes(self, modality: str) -> tuple[str, ...]:
        """What makes the copies of an utterance; the first is the utterance itself."""
        if modality == "text":
            return ("",)
        settings = self.config.audio
        copies = ("", *settings.augment) if settings.average_copies or not self._change else ("",)
        return tuple("+".join(filter(None, (self._change, own, settings.condition))) for own in copies)

    def _cached(self, modality: str, encoder: Encoder, rows: Sequence[Utterance], normaliser: Normaliser) -> CachedFrames:
        """One key for each utterance, and one for each of its copies."""
        folder = self._folder if self._folder and modality == "audio" else cache_folder() / "features"
        cache = FeatureCache(folder, encoder)
        keys: dict[str, list[str]] = {}
        for change in self.changes(modality):
            found, skipped = cache.fill(
                [self._item(modality, u, normaliser, change) for u in rows], f"Encoding {modality} {change}".strip()
            )
            self.skipped |= dict(skipped)
            for id, key in found.items():
                keys.setdefault(id, []).append(key)
        known = self._moments.setdefault(modality, {}) if self.settings(modality).moments_suffice else None
        return CachedFrames(cache, keys, known)

    def _heard(self, utterances: Iterable[Utterance]) -> Iterator[tuple[Utterance, np.ndarray]]:
        """Those whose recording can be used, with its samples; the others are skipped, with the reason."""
        for u in utterances:
            try:
                samples = audio.read(str(u.audio), u.start, u.end)
            except AudioError as error:
                self.skipped[u.id] = str(error)
            else:
                yield u, samples

    def _item(self, modality: str, u: Utterance, normaliser: Normaliser, change: str) -> Any:
        """What the cache calls an item: a stretch of a recording, or a line of text."""
        if modality == "text":
            return Line(u.id, u.text or "")
        return Clip(u.id, str(u.audio), u.start, u.end, normaliser, change, self._voices.get(u.id, ()))

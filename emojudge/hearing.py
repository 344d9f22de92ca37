"""A run's models on sounds in memory: every system's prediction for each, fusion last, in one batch."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from emojudge import fusion, perturbations
from emojudge.activity import Stretch
from emojudge.audio import SAMPLE_RATE, Normaliser
from emojudge.cache import Line
from emojudge.encoding import neighbours
from emojudge.features import Features
from emojudge.inference import LiveFrames, Source, predict
from emojudge.models import Encoder, Frames, load, read_card
from emojudge.runs import Part
from emojudge.settings import Config
from emojudge.storage import read_json, read_jsonl
from emojudge.types import Prediction, Transcript, Utterance

Found = dict[str, dict[str, Prediction]]
"""Predictions by system, fusion last, then by id."""


@dataclass(frozen=True)
class Sound:
    """A clip in memory, float32 (samples,) at 16 kHz, and what is said in it."""

    id: str
    samples: np.ndarray
    text: str | None = None
    start: float = 0.0
    """Seconds into the recording that it is a piece of."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class _Shown:
    """What the encoder is shown of a sound: `emojudge.cache.Clip` without a file."""

    id: str
    sound: Sound
    normaliser: Normaliser
    change: str = ""

    @property
    def key(self) -> str:
        return self.id

    def seconds(self) -> float:
        return self.sound.seconds

    def load(self) -> np.ndarray:
        return self.normaliser.apply(perturbations.apply(self.change, self.sound.samples))


class _Once:
    """A source that encodes a batch once, for all models that look at it."""

    def __init__(self, source: LiveFrames) -> None:
        self.source = source
        self.length = source.length
        self.known: dict[tuple[tuple[str, ...], int], Frames] = {}

    @property
    def ids(self) -> Collection[str]:
        return self.source.ids

    def __call__(self, ids: Sequence[str], random: Random | None = None, copy: int = 0) -> Frames:
        key = (tuple(ids), copy)
        if key not in self.known:
            self.known[key] = self.source(ids, random, copy)
        return self.known[key]


def worded(batch: Sequence[Sound], heard: Mapping[str, Transcript]) -> list[Sound]:
    """The sounds with what was heard in them."""
    return [replace(s, text=heard[s.id].text) if s.id in heard else s for s in batch]


def cut(found: Iterable[Stretch], name: str) -> Iterator[Sound]:
    """Stretches of the recording `name`, each called after its beginning."""
    return (Sound(f"{name} {one.start:.3f}", one.samples, start=one.start) for one in found)


def words(heard: Transcript | None, start: float) -> list[dict[str, Any]]:
    """What was heard in a piece that begins at `start`, word by word, with their times in the recording."""
    return [
        {**asdict(word), "start": round(start + word.start, 3), "end": round(start + word.end, 3)}
        for word in (heard.words if heard else ())
    ]


def batches(sounds: Iterable[Sound]) -> Iterator[list[Sound]]:
    """Neighbours, as many as one batch of the encoder holds."""
    return neighbours(sounds, lambda sound: sound.seconds)


class Models:
    """The models of one part of a run; each is loaded when it is first asked."""

    def __init__(self, part: Part, config: Config) -> None:
        self.part, self.config = part, config
        self.features = Features(config)
        self.models: dict[tuple[str, str], tuple[Any, dict[str, Any]]] = {}
        self.exported: dict[Path, Any] = {}
        self.fusions: dict[str, fusion.Fusion] = {}
        self.systems = config.systems

    def last(self, task: str) -> str:
        """The system whose word counts."""
        systems = self.config.systems_of(task)
        return "fusion" if len(systems) > 1 else systems[0]

    def predict(
        self,
        sounds: Sequence[Sound],
        tasks: Iterable[str] | None = None,
        timed: Callable[[str], AbstractContextManager[None]] = lambda system: nullcontext(),
    ) -> dict[str, Found]:
        """By task. A frozen encoder runs once, however many models stand on it; a sound without words has no text prediction
        where there is an audio model for anything.

        Raises:
            ModelError: a model is not there, or does not fit its encoder.
        """
        shared: dict[object, Source] = {}
        found: dict[str, Found] = {}
        for task in tasks or self.config.tasks:
            found[task], systems = {}, self.config.systems_of(task)
            for system in systems:
                heard = [s.id for s in sounds if system != "text" or self.systems == ("text",) or (s.text or "").strip()]
                with timed(system):
                    model, encoders = self.model(task, system)
                    normaliser = Normaliser(**model.card.normaliser)
                    sources = {m: self._source(m, encoder, normaliser, sounds, shared) for m, encoder in encoders.items()}
                    found[task][system] = {p.id: p for p in predict(model, sources, heard, system)} if heard else {}
            if len(systems) > 1:
                with timed("fusion"):
                    fused = self.fusion(task).predict(found[task], [s.id for s in sounds])
                    found[task]["fusion"] = {p.id: p for p in fused}
        return found

    def _source(
        self, modality: str, encoder: Encoder, normaliser: Normaliser, sounds: Sequence[Sound], shared: dict[object, Source]
    ) -> Source:
        key = (modality, id(encoder), normaliser)
        if key not in shared:
            changes = self.features.changes(modality)
            items: dict[str, list[Any]] = {
                s.id: [Line(s.id, s.text or "")] if modality == "text" else [_Shown(s.id, s, normaliser, c) for c in changes]
                for s in sounds
            }
            shared[key] = _Once(LiveFrames(encoder, items))
        return shared[key]

    def model(self, task: str, system: str) -> tuple[Any, dict[str, Any]]:
        """One trained model, and its encoders: models share those that are frozen, and own those that learnt."""
        if (task, system) not in self.models:
            folder = self.part.model(task, system)
            if self.config.runtime == "onnx":
                from emojudge import onnx_models

                self.models[task, system] = onnx_models.load(folder, self.exported)
                return self.models[task, system]
            encoders = {modality: self.features.encoder(modality) for modality in read_card(folder).modalities}
            self.models[task, system] = load(folder, encoders), encoders
        return self.models[task, system]

    def fusion(self, task: str) -> fusion.Fusion:
        """The fitted fusion."""
        if task not in self.fusions:
            self.fusions[task] = fusion.load(self.part.fusion(task))
        return self.fusions[task]

    @cached_property
    def errors(self) -> dict[str, float]:
        """Mean absolute error of each attribute over the run's dev clips; nothing where their predictions are not there."""
        if (told := self.part.folder / "errors.json").exists():  # a bundle brings them, and no predictions
            return read_json(told)
        said = self.part.read_predictions("attributes", self.last("attributes"))
        if not said or not self.part.manifest_file.exists():
            return {}
        off: dict[str, list[float]] = {}
        for u in read_jsonl(self.part.manifest_file, Utterance):
            if u.split == "dev" and u.id in said:
                for name, value in said[u.id].scores.items():
                    if name in u.attributes:
                        off.setdefault(name, []).append(abs(u.attributes[name] - value))
        return {name: float(np.mean(values)) for name, values in off.items()}

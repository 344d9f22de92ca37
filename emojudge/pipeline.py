"""A trained run as one object: `EmoJudge.load("runs/demo").predict("clip.wav", "I won!")` explains each stage."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import audio, cues, fusion, judging, transcripts
from emojudge.audio import Normaliser
from emojudge.calibrated import weigh
from emojudge.config import load_config
from emojudge.errors import DataError, ModelError
from emojudge.features import Features
from emojudge.inference import predict
from emojudge.models import EmotionModel, Encoder, load, read_card
from emojudge.prompts import describe
from emojudge.refine import refine
from emojudge.runs import RunFolder
from emojudge.settings import Config
from emojudge.storage import read_json
from emojudge.types import Cues, Prediction, Utterance, Verdict, Word

REASONS = {
    "changed": "is confident enough to change the label",
    "kept_agree": "agrees",
    "kept_low_confidence": "would change the label, but is not confident enough",
}
"""What the commonest of `emojudge.refine.REASONS` say in words."""


@dataclass
class Explanation:
    """One clip, stage by stage. `predictions` are by task, then by system; `seconds` by stage."""

    id: str
    text: str | None = None
    cues: Cues | None = None
    predictions: dict[str, dict[str, Prediction]] = field(default_factory=dict)
    verdict: Verdict | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notice: str = ""

    @property
    def label(self) -> str:
        """The last system's emotion: judged, else fused, else the only model's.

        Raises:
            DataError: the run has no emotions.
        """
        if "emotions" not in self.predictions:
            raise DataError("This run predicts attributes only; it has no emotion to give.")
        return list(self.predictions["emotions"].values())[-1].label

    @property
    def voice(self) -> str:
        """The audio description, as the judge reads it."""
        return describe(self.cues) if self.cues else ""

    @property
    def judgement(self) -> str:
        """The verdict in a sentence."""
        if self.verdict is None:
            return ""
        note = self.predictions["emotions"]["judge"].note
        said = f"{self.verdict.judge} says {self.verdict.label} ({self.verdict.confidence:.0%}) and {REASONS.get(note, note)}."
        return f"{said} {self.verdict.reason}".strip()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds spent inside to `seconds`."""
        started = time.monotonic()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - started


class EmoJudge:
    """A trained run, ready to predict. Of a run with folds or seeds, the first is taken."""

    def __init__(self, run: RunFolder, config: Config) -> None:
        self.run, self.config, self.part = run, config, run.parts()[0]
        self.features = Features(config)
        self.encoders: dict[str, Encoder] = {}
        self.models: dict[tuple[str, str], EmotionModel] = {}
        self.systems = ("early",) if config.fusion_method == "early" else config.modalities
        path = run.file("quantiles.json")
        self.quantiles = cues.Quantiles.from_json(read_json(path)) if path.exists() else None
        self.notice = read_json(run.file("run.json")).get("notice", "")
        self._judge: Any = None
        self._transcriber: transcripts.Transcriber | None = None

    @classmethod
    def load(cls, folder: str | Path, changes: Sequence[str] = ()) -> "EmoJudge":
        """Open a run folder; models are loaded when first asked.

        Raises:
            DataError: no run folder.
            ModelError: its models hear a clip beside the others of its speaker, and so none alone.
            ConfigError: a change names no setting.
        """
        run = RunFolder.open(folder)
        if "audio" in run.config.modalities and run.config.audio.normalise_features == "speaker":
            raise ModelError(f"{folder} needs many clips of a speaker; train with normalise_features = 'none' to hear one.")
        return cls(run, load_config(changes=changes, base=run.config))

    def predict(self, clip: str | Path, text: str | None = None) -> Explanation:
        """Explain one recording. Without `text` it is transcribed, if the run reads text.

        Raises:
            AudioError: the recording cannot be used.
        """
        told = Explanation(str(clip), text, notice=self.notice)
        words: Sequence[Word] = ()
        with told.timed("reading"):
            samples = audio.read(clip)
        if text is None and self._reads():
            with told.timed("transcript"):
                words = self._hear(samples, told)
        with told.timed("cues"):
            told.cues = cues.measure(told.id, samples, told.text, self.config.cues, words)
            if self.quantiles:
                told.cues = self.quantiles.describe(told.cues, None)
        utterance = Utterance(told.id, audio=str(clip), text=told.text)
        for task in self.config.tasks:
            told.predictions[task] = self._predict(utterance, task, told)
        if self.config.judge.judge != "none" and "emotions" in told.predictions:
            with told.timed("judge"):
                self._ask(utterance, told)
        return told

    def _hear(self, samples: np.ndarray, told: Explanation) -> Sequence[Word]:
        """Transcribe as the run was, or by Whisper base; the words only where the run's own rates are by their times."""
        settings = self.config.transcripts
        own = settings.transcribe != "none"
        if self._transcriber is None:
            named = settings.transcribe if own else "whisper:offline"
            self._transcriber = transcripts.open_transcriber(settings.model_copy(update={"transcribe": named}))
        [heard] = self._transcriber.transcribe([samples])
        told.text = heard.text
        return heard.words if own and heard.confidence else ()

    def _reads(self) -> bool:
        return "text" in self.config.modalities

    def _predict(self, utterance: Utterance, task: str, told: Explanation) -> dict[str, Prediction]:
        """Every system's prediction for one task, fusion last."""
        found: dict[str, Prediction] = {}
        for system in self.systems:
            with told.timed(system):
                model = self._model(task, system)
                sources = {
                    m: self.features.live(m, self.encoders[m], [utterance], Normaliser(**model.card.normaliser))
                    for m in model.card.modalities
                }
                [found[system]] = predict(model, sources, [utterance.id], system)
        if len(self.systems) > 1:
            with told.timed("fusion"):
                outputs = {system: {utterance.id: prediction} for system, prediction in found.items()}
                [found["fusion"]] = fusion.load(self.part.fusion(task)).predict(outputs, [utterance.id])
        return found

    def _model(self, task: str, system: str) -> EmotionModel:
        if (task, system) not in self.models:
            folder = self.part.model(task, system)
            for modality in read_card(folder).modalities:
                if modality not in self.encoders or self.features.settings(modality).train != "none":
                    self.encoders[modality] = self.features.encoder(modality)
            self.models[task, system] = load(folder, self.encoders)
        return self.models[task, system]

    def _ask(self, utterance: Utterance, told: Explanation) -> None:
        """Ask about this clip, whatever `judge.ask` says of others, and refine."""
        found = told.predictions["emotions"]
        shown = list(found.values())[-1]
        settings = self.config.judge.model_copy(update={"explain": "always"})
        self._judge = self._judge or judging.open_judge(settings)
        asked = judging.prompts(
            [utterance.id],
            {utterance.id: utterance},
            {utterance.id: told.cues} if told.cues else {},
            {utterance.id: shown},
            labels=self.config.data.labels,
            settings=settings,
        )
        # A ledger of its own: here even a verdict that agrees is asked for its reason.
        [told.verdict] = judging.judge(asked, self._judge, self.run.file("say.sqlite"), settings=settings)
        path = self.part.calibration()
        if settings.policy == "calibrated" and path.exists():
            found["judge"] = weigh(shown, told.verdict, read_json(path))
        else:
            found["judge"] = refine(shown, told.verdict, **settings.gates)

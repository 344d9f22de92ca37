"""Every setting. The defaults are the paper's; where it is silent the field says "ours".

"decision N" points to the numbered decisions in `docs/paper.md`, which also quotes the section.
They are read by `emojudge.config`; unknown keys are errors.
"""

from typing import Literal

from pydantic import Field

from emojudge.settings.base import Settings
from emojudge.settings.data import DataSettings
from emojudge.settings.judge import JudgeSettings
from emojudge.settings.recordings import RecordingSettings
from emojudge.settings.service import ServiceSettings
from emojudge.settings.stages import CueSettings, EvaluationSettings, FusionSettings, TranscriptSettings
from emojudge.settings.training import AudioSettings, TextSettings, TrainingSettings

__all__ = [
    "AudioSettings",
    "Config",
    "CueSettings",
    "DataSettings",
    "EvaluationSettings",
    "FusionSettings",
    "JudgeSettings",
    "RecordingSettings",
    "ServiceSettings",
    "Settings",
    "TextSettings",
    "TrainingSettings",
    "TranscriptSettings",
]


class Config(Settings):
    """A whole experiment."""

    name: str = "run"
    """The run folder is `runs/<name>` unless told otherwise."""
    notice: str = ""
    """A sentence that every table and report of the run must carry, beside the corpus's own."""
    tasks: tuple[Literal["emotions", "attributes"], ...] = ("emotions",)
    """Task 1 and Task 2 of the paper; each trains its own models."""
    modalities: tuple[Literal["audio", "text"], ...] = ("audio", "text")
    """Both are fused when both are there."""
    modalities_of: dict[Literal["emotions", "attributes"], tuple[Literal["audio", "text"], ...]] = Field({})
    """For a task that only some of them can learn from the corpus, as {attributes = ["text"]} (ours: all learn all)."""
    fusion_method: Literal["late", "early"] = "late"
    """Late fusion of outputs (paper 4.5), or one joint head (decision 27)."""
    runtime: Literal["torch", "onnx"] = "torch"
    """Who runs trained models on recordings: PyTorch, or ONNX Runtime, of a run that `emojudge export` wrote (ours)."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Each is a full training; tables give mean ± s.d. (decision 28)."""
    ablations: dict[str, tuple[str, ...]] = Field({})
    """For `emojudge ablate`: a name for each variant, and the changes that make it, as {plain = ["audio.residual=false"]}."""
    data: DataSettings = DataSettings()
    transcripts: TranscriptSettings = TranscriptSettings()
    audio: AudioSettings = AudioSettings()
    text: TextSettings = TextSettings()
    fusion: FusionSettings = FusionSettings()
    cues: CueSettings = CueSettings()
    judge: JudgeSettings = JudgeSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    recordings: RecordingSettings = RecordingSettings()
    service: ServiceSettings = ServiceSettings()

    @property
    def systems(self) -> tuple[str, ...]:
        """What is trained."""
        return ("early",) if self.fusion_method == "early" else self.modalities

    def systems_of(self, task: str) -> tuple[str, ...]:
        """What is trained for one task."""
        own = next((chosen for name, chosen in self.modalities_of.items() if name == task), self.modalities)
        return self.systems if self.fusion_method == "early" else own

    @property
    def unjudged(self) -> str:
        """The system whose labels a judge is shown: the fusion, or the only model."""
        return "fusion" if len(self.systems) > 1 else self.systems[0]

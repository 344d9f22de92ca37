"""The stages around the models: fusion, cues, evaluation."""

from typing import Literal

from pydantic import Field

from emojudge.settings.base import Count, Positive, Settings, Share


class FusionSettings(Settings):
    """Late fusion (paper 4.5)."""

    low: Positive = 1e-3
    """Smallest C of the search (paper 4.5)."""
    high: Positive = 1e3
    """Largest C (paper 4.5)."""
    steps: Count = 13
    """Values tried, evenly spaced in log C (decision 11)."""
    folds: int = Field(5, ge=2)
    """Speaker-grouped cross-validation folds on dev (decision 11)."""
    shrink_to: Literal["zero", "sum", "first"] = "zero"
    """Where the L2 penalty pulls the weights: to nothing, as the paper; to the plain sum of the models' log-probabilities (for
    attributes: their mean), which gets by with far less dev data; or to the first model alone (both ours)."""
    target_prior: Literal["train", "uniform"] | dict[str, Positive] = "train"
    """Class frequencies expected where it is used; the fused probabilities are corrected from dev's to these (decision 12)."""


class TranscriptSettings(Settings):
    """Automatic transcripts (decision 25)."""

    transcribe: str = "none"
    """"none", or "whisper:offline", "whisper:openai/whisper-small", "faster_whisper:FOLDER" …; decision 25. Off unless chosen."""
    replace: bool = True
    """Transcribe every clip, also those that come with a transcript, so that train and test have the same source (decision
    25); false fills gaps only (ours)."""
    language: str | None = None
    """A code as "en"; None lets the transcriber hear which it is, clip by clip (ours)."""
    revision: str | None = None
    """Commit of a hub model."""
    batch_size: Count = 8
    """Clips at once; changes nothing but the speed (ours)."""
    device: str = "auto"
    """"auto" takes a GPU where there is one."""


class CueSettings(Settings):
    """The audio description (paper 4.6)."""

    pitch: Literal["swift_f0", "pyin"] = "swift_f0"
    """Pitch tracker; pYIN is the paper's (through librosa), SwiftF0 the more exact (decision 17)."""
    speaker_clips: Count = 20
    """Clips a speaker must have for words relative to that speaker (decision 17)."""


class EvaluationSettings(Settings):
    """What is scored, and how sure we are (paper 3.2; intervals are ours)."""

    splits: tuple[str, ...] = ("dev", "test")
    """Which splits are scored; "dev+dev2" is both as one, which is the full Dev of decision 14."""
    resamples: int = Field(1000, ge=0)
    """Bootstrap resamples; 0 prints no intervals (ours)."""
    cluster: Literal["speaker", "item", "session"] = "speaker"
    """What is resampled: clips of one speaker are not independent, nor are the speakers of one conversation (ours). Where no
    session is known it is the speaker, and where none is known either, the clip."""
    confidence: Share = 0.95
    """Of the intervals (ours)."""
    seed: int = 0
    """Of the resampling (ours)."""
    power: Share = 0.8
    """With which the smallest difference that a set can show would be found (ours)."""
    coverage: Share = 0.9
    """Share of clips whose set of labels should hold the true one; sets are fitted on dev (ours)."""
    abstain: Share = 0.2
    """Share of clips that are not answered, the least sure; the confidence for it is fitted on dev (ours)."""
    judge_chosen_on: tuple[str, ...] = ()
    """Splits by whose scores you chose the judge's threshold or prompt: judged systems are not scored there (ours)."""
    published: str | None = None
    """Rows of `emojudge/published.toml` to print beside ours, as "ravdess"."""

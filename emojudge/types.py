"""What flows between the stages.

corpus → `Utterance` → audio model and text model → two `Prediction` → fusion → `Prediction`
→ with `Cues` and transcript → prompt → `Verdict` → refine → `Prediction` → report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EMOTIONS = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral")
"""The eight classes of the paper's Table 1, in its order."""

ATTRIBUTES = ("valence", "arousal", "dominance")
"""The emotional attributes of the paper's Task 2. They are keyed by name everywhere (PAPER decision 22)."""

TASKS = ("emotions", "attributes")
"""Task 1 (categories, macro-F1) and Task 2 (attributes, CCC)."""

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled (or unlabelled) stretch of speech, or one line of text.

    `start` and `end` are seconds into `audio`; None means the whole file. `votes` counts what each
    rater chose, including names outside the label set such as "other". `ratings` are the raters' values of each
    attribute, in any order. `session` names the conversation or recording that clips share, whoever speaks.
    """

    id: str
    audio: str | None = None
    text: str | None = None
    speaker: str | None = None
    gender: str | None = None
    start: float | None = None
    end: float | None = None
    split: str | None = None
    emotion: str | None = None
    attributes: Mapping[str, float] = field(default_factory=dict)
    votes: Mapping[str, float] = field(default_factory=dict)
    ratings: Mapping[str, Sequence[float]] = field(default_factory=dict)
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Cues:
    """What the voice does, measured (paper 4.6; PAPER decision 17).

    Seconds, dB re full scale, LUFS, hertz, semitones, and words (or syllables) per second; None where
    a measure does not exist, as pitch has none in silence. `words` says each measure in words, from
    "very low" to "very high", relative to what `relative_to` names ("speaker" or "corpus").
    """

    id: str
    seconds: float
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    loudness_lufs: float | None = None
    f0_low_hz: float | None = None
    f0_median_hz: float | None = None
    f0_high_hz: float | None = None
    f0_range_semitones: float | None = None
    voiced_share: float | None = None
    rate: float | None = None
    rate_unit: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    relative_to: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its punctuation: `start` and `end` in seconds into the clip, and how probable it was to the transcriber."""

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a transcriber heard in one clip; `text` is "" where nobody speaks.

    `confidence` is the mean of the words' own, and 0 where the text cannot be trusted. `language` is a code as "en".
    `source` names the transcriber, as "whisper:offline".
    """

    id: str = ""
    text: str = ""
    words: tuple[Word, ...] = ()
    confidence: float = 0.0
    language: str = ""
    source: str = ""


def transcript(row: Mapping[str, Any]) -> Transcript:
    """A transcript that was written as JSON.

    >>> transcript({"text": "No.", "words": [{"word": "No.", "start": 0.1, "end": 0.4, "confidence": 0.9}]}).words[0].end
    0.4
    """
    return Transcript(**{**row, "words": tuple(Word(**word) for word in row.get("words", ()))})


@dataclass(frozen=True, slots=True)
class Prediction:
    """Scores of one utterance by one system: probabilities of emotions, or values of attributes.

    `source` names the system ("audio", "text", "fusion", "judge"); `note` says why a judge kept or
    changed the label (one of `emojudge.refine.REASONS`), and is empty elsewhere.
    """

    id: str
    source: str
    scores: Mapping[str, float]
    note: str = ""

    @property
    def label(self) -> str:
        """The name with the highest score; the first of equals.

        >>> Prediction("a", "audio", {"Sad": 0.2, "Happy": 0.8}).label
        'Happy'
        """
        return max(self.scores, key=self.scores.__getitem__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's answer about one utterance.

    `probabilities` may be empty when the judge gives none; `confidence` is as stated or measured,
    0–1. `outcome` is "ok", or why there is no usable label: "invalid", "refusal", "truncated", "error".
    `key` is the request's digest, so that an answer can be found again in the ledger.
    """

    id: str
    label: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.0
    reason: str = ""
    judge: str = ""
    key: str = ""
    outcome: str = "ok"

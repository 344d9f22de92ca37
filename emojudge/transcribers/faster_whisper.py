"""faster-whisper: Whisper under CTranslate2, in its 30-second window, with its own fallbacks and word times.

https://github.com/SYSTRAN/faster-whisper (MIT; extra "asr"). Beam search as it comes; clips go one by one, so a batch changes
nothing. Its fallback draws at random where decoding fails, so such a clip's text may differ from run to run.

Argument: "offline" (Whisper base from Python packages), a folder of CTranslate2 files, or a size or hub id that it knows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import offline
from emojudge.errors import MissingExtra, MissingWeights
from emojudge.settings import TranscriptSettings
from emojudge.storage import digest, file_digest
from emojudge.transcribers._words import MAX_COMPRESSION, MIN_LOG_PROBABILITY
from emojudge.types import Transcript, Word


def open(argument: str, settings: TranscriptSettings) -> "FasterWhisper":
    """Load a model.

    Raises:
        MissingExtra: faster-whisper is not installed.
        MissingWeights: the weights are not there.
    """
    try:
        from faster_whisper import WhisperModel, download_model
    except ImportError:
        raise MissingExtra("faster-whisper", "asr") from None
    if argument == "offline":
        argument = str(offline.whisper_base_ctranslate2())
    try:
        folder = Path(argument if Path(argument).is_dir() else download_model(argument, revision=settings.revision))
        model = WhisperModel(str(folder), device=settings.device, compute_type="float32")
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MissingWeights(f"faster-whisper cannot open {argument!r} ({reason}); name a folder of CTranslate2 files.") from None
    return FasterWhisper(model, folder, settings.language)


class FasterWhisper:
    """Clips to transcripts, one by one. `language` is a code as "en"; None hears it clip by clip."""

    def __init__(self, model: Any, folder: Path, language: str | None) -> None:
        self.model, self.language = model, language
        about = {"transcriber": "faster_whisper 1", "language": language, "weights": file_digest(folder / "model.bin")}
        self.fingerprint = digest(about)

    def transcribe(self, batch: Sequence[np.ndarray]) -> list[Transcript]:
        """What is said in each clip, float32 (samples,) at 16 kHz before any normalisation."""
        return [self._hear(samples) if samples.any() else Transcript() for samples in batch]

    def _hear(self, samples: np.ndarray) -> Transcript:
        parts, about = self.model.transcribe(samples, language=self.language, word_timestamps=True)
        parts = [part for part in parts if part.text.strip()]
        words = tuple(
            Word(word.word.strip(), *(round(float(value), 3) for value in (word.start, word.end, word.probability)))
            for part in parts
            for word in part.words
        )
        trusted = all(part.compression_ratio <= MAX_COMPRESSION and part.avg_logprob >= MIN_LOG_PROBABILITY for part in parts)
        confidence = round(sum(word.confidence for word in words) / len(words), 3) if words and trusted else 0.0
        return Transcript("", " ".join(part.text.strip() for part in parts), words, confidence, about.language)

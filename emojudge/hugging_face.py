"""A run behind the call that Hugging Face's audio classification has, for programs that were written for it.

`pipeline("audio-classification", model="base")("clip.wav")` →
[{"score": 0.7, "label": "Happy"}, …], the most probable first.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import audio, streams
from emojudge.errors import AudioError, ConfigError
from emojudge.pipeline import EmoJudge


class AudioClassification:
    """Takes what Hugging Face's takes: a path, a file's bytes, an array at 16 kHz, {"raw": array, "sampling_rate": 8000}, or
    several of these. Each is one utterance.
    """

    def __init__(self, judge: EmoJudge) -> None:
        self.judge = judge

    def __call__(self, inputs: Any, top_k: int | None = 5) -> list[Any]:
        """The `top_k` most probable labels of a clip, all where it is None; a list of such lists for several clips.

        Raises:
            AudioError: one of them cannot be used; the address of a file on the web is not fetched.
        """
        several = not isinstance(inputs, str | bytes | Path | np.ndarray | dict)
        found = self.judge.predict_proba([_recording(one) for one in (inputs if several else [inputs])])
        told = [
            [{"score": float(row[i]), "label": self.judge.classes_[i]} for i in np.argsort(-row, kind="stable")[:top_k]]
            for row in found
        ]
        return told if several else told[0]


def pipeline(task: str = "audio-classification", model: str | Path | EmoJudge = "base") -> AudioClassification:
    """The run or bundle `model` as such a callable.

    Raises:
        ConfigError: another task.
        EmoJudgeError: the run cannot be opened.
    """
    if task != "audio-classification":
        raise ConfigError(f"There is no pipeline for {task!r}; there is one for 'audio-classification'.")
    return AudioClassification(model if isinstance(model, EmoJudge) else EmoJudge.load(model))


def _recording(one: Any) -> Any:
    """What `EmoJudge.predict_proba` takes."""
    if isinstance(one, bytes):
        return {"raw": _decoded(one), "sampling_rate": audio.SAMPLE_RATE}
    if isinstance(one, str) and one.startswith(("http://", "https://")):
        raise AudioError(f"{one} is not fetched; download it, and give its path.")
    return {"raw": one, "sampling_rate": audio.SAMPLE_RATE} if isinstance(one, np.ndarray) else one


def _decoded(content: bytes) -> np.ndarray:
    """Samples of a file that is in memory; decoders want one on disk."""
    with streams.spooled(io.BytesIO(content)) as path:
        return streams.whole(path)

"""Recordings inside a page: short FLAC files as data URIs, which every browser plays without fetching anything."""

import base64
import io
from collections.abc import Iterable

import numpy as np

from emojudge import audio
from emojudge.errors import AudioError
from emojudge.types import Utterance

SECONDS = 15.0
"""Longer clips are cut to this."""


def players(clips: Iterable[Utterance], most: int) -> dict[str, str]:
    """Data URIs of the first `most` clips that can be read, by id. A recording may be licensed: ask before you embed it."""
    made: dict[str, str] = {}
    for clip in clips:
        if len(made) == most:
            break
        if clip.audio and clip.id not in made:
            try:
                made[clip.id] = _clip(clip)
            except AudioError:
                continue
    return made


def _clip(clip: Utterance) -> str:
    start = clip.start or 0.0
    length = (clip.end or audio.seconds(str(clip.audio))) - start
    return flac(audio.read(str(clip.audio), start, start + min(length, SECONDS)))


def flac(samples: np.ndarray) -> str:
    """Samples at 16 kHz, float32 (samples,), as the data URI of a FLAC file of 16 bits."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, audio.SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(out.getvalue()).decode()

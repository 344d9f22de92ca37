"""One recording from the page: read within bounds, and told segment by segment, so that there is progress to show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from emojudge import decoding, streams
from emojudge.activity import Segmenter, stretches
from emojudge.audio import SAMPLE_RATE
from emojudge.errors import AudioError
from emojudge.hearing import Sound
from emojudge.pipeline import EmoJudge
from emojudge.timeline import Timeline, settle

Progress = Callable[[float, str], object]
"""Takes the share that is done, 0 to 1, and what is done now."""


def read(path: Path, seconds: float, isolate: bool) -> np.ndarray:
    """The samples of a recording or video, float32 (samples,) at 16 kHz; with `isolate`, decoded by a child process.

    Raises:
        AudioError: it cannot be used, or is longer than `seconds`.
        MissingExtra: it needs FFmpeg, which is not installed.
    """
    parts, left = [], seconds * SAMPLE_RATE
    for block in decoding.isolated(path) if isolate else streams.blocks(path):
        left -= len(block)
        if left < 0:
            raise AudioError(f"{path} is longer than {seconds:.0f} s; cut it, or give it to `emojudge predict`.")
        parts.append(block)
    if not parts:
        raise AudioError(f"{path} holds no sound; restore the recording.")
    return np.concatenate(parts)


def tell(
    judge: EmoJudge,
    samples: np.ndarray,
    name: str,
    text: str = "",
    ask: bool = False,
    progress: Progress = lambda share, said: None,
) -> Timeline:
    """What `EmoJudge.timeline` tells of `samples`, one segment at a time.

    Args:
        judge: an opened run.
        samples: float32 (samples,) at 16 kHz.
        name: what the recording is called.
        text: what is said; with it the recording is one segment, whatever its length, and nothing is transcribed.
        ask: ask the run's judge about each segment.
        progress: is told before each segment.
    """
    told = Timeline(name, len(samples) / SAMPLE_RATE, errors=judge.models.errors, notice=judge.notice)
    if text.strip():
        sounds = [Sound(name, samples, text.strip())]
    else:
        cutter = Segmenter(judge.config.recordings)
        sounds = [Sound(f"{name} {one.start:.3f}", one.samples, start=one.start) for one in stretches(iter([samples]), cutter)]
    for number, sound in enumerate(sounds):
        progress(number / len(sounds), f"{name}: segment {number + 1} of {len(sounds)}")
        told.segments += judge.segments([sound], ask)
    settle(told.segments, judge.config.recordings.smoothing)
    return told

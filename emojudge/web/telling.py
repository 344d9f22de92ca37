"""One recording from the page: told segment by segment, so that there is progress to show."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from emojudge.activity import Segmenter, stretches
from emojudge.audio import SAMPLE_RATE
from emojudge.hearing import Sound
from emojudge.pipeline import EmoJudge
from emojudge.timeline import Timeline, settle

Progress = Callable[[float, str], object]
"""Takes the share that is done, 0 to 1, and what is done now."""


def tell(
    judge: EmoJudge,
    samples: np.ndarray,
    name: str,
    text: str = "",
    ask: bool = False,
    progress: Progress = lambda share, said: None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Timeline:
    """What `EmoJudge.timeline` tells of `samples`, one segment at a time.

    Args:
        judge: an opened run.
        samples: float32 (samples,) at 16 kHz.
        name: what the recording is called.
        text: what is said; with it the recording is one segment, whatever its length, and nothing is transcribed.
        ask: ask the run's judge about each segment.
        progress: is told before each segment.
        turn: entered around each segment, where others use the same models.
    """
    told = Timeline(name, len(samples) / SAMPLE_RATE, errors=judge.models.errors, notice=judge.notice)
    if text.strip():
        sounds = [Sound(name, samples, text.strip())]
    else:
        cutter = Segmenter(judge.config.recordings)
        sounds = [Sound(f"{name} {one.start:.3f}", one.samples, start=one.start) for one in stretches(iter([samples]), cutter)]
    for number, sound in enumerate(sounds):
        progress(number / len(sounds), f"{name}: segment {number + 1} of {len(sounds)}")
        with turn():
            told.segments += judge.segments([sound], ask)
    settle(told.segments, judge.config.recordings.smoothing)
    return told

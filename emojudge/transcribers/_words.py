"""From a decoder's tokens and its attention to words with times and confidences.

As OpenAI's own code finds them (Radford et al. 2022; https://github.com/openai/whisper, `whisper/timing.py`): where
the heads that follow the speech look while a token is being written is when that token is said.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from emojudge.audio import SAMPLE_RATE
from emojudge.types import Word

FRAME = 0.02
"""Seconds between the encoder's frames."""
MEDIAN_FRAMES = 7
"""Width of the median filter over time (OpenAI's)."""
MAX_COMPRESSION = 2.4
MIN_LOG_PROBABILITY = -1.0
MAX_NO_SPEECH = 0.6
"""Beyond these a text repeats itself, is improbable, or was heard in silence (Radford et al. 2022, 4.5)."""
QUIET_DB = 30.0
"""What is this much below the loudest 20 ms of a clip is a pause (ours)."""


def follow(attention: np.ndarray) -> np.ndarray:
    """The frame in which each token begins, by dynamic time warping.

    Args:
        attention: (heads, tokens, frames), each row how a head looks at the frames while it writes that token.

    Returns:
        First frames (tokens,), rising, the first 0: the path that gathers most attention if each token has one stretch of
        frames and they come in order. With fewer frames than tokens, all are spread evenly.
    """
    from scipy.ndimage import median_filter

    deviation = attention.std(axis=1, keepdims=True)
    scaled = (attention - attention.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1.0)
    weights = median_filter(scaled, size=(1, 1, MEDIAN_FRAMES), mode="reflect").mean(axis=0)
    tokens, frames = weights.shape
    if frames < tokens:
        return np.arange(tokens) * frames // tokens
    return _path(weights)


def _path(weights: np.ndarray) -> np.ndarray:
    """First frame of each row on the best path through (rows, frames)."""
    frames = weights.shape[1]
    best = np.where(np.arange(frames + 1) == 0, 0.0, -np.inf)  # of the rows so far, if they end before that frame
    begins = []
    for row in weights:
        total = np.concatenate([[0.0], row.cumsum()])
        gain = best - total
        most = np.maximum.accumulate(gain)
        begins.append(np.maximum.accumulate(np.where(gain == most, np.arange(frames + 1), 0)))
        best = np.concatenate([[-np.inf], total[1:] + most[:-1]])
    end, firsts = frames, []
    for begin in reversed(begins):
        end = begin[end - 1]
        firsts.append(end)
    return np.array(firsts[::-1])


def words(parts: Sequence[tuple[str, int]], firsts: np.ndarray, chances: np.ndarray, loud: np.ndarray) -> tuple[Word, ...]:
    """The words of a text.

    Args:
        parts: each word, and how many tokens it has, as `parts` gives.
        firsts: frames (tokens + 1,) in which each begins, and in which the last is over.
        chances: the probability of each token.
        loud: whether there is sound in each frame: attention leaves open to which word a pause belongs, so none gets it.
    """
    found, at = [], 0
    for text, count in parts:
        begin, at = at, at + count
        heard = firsts[begin] + np.flatnonzero(loud[firsts[begin] : firsts[at]])
        start, end = (heard[0], heard[-1] + 1) if len(heard) else (firsts[begin], firsts[at])
        confidence = round(float(chances[begin:at].mean()), 3)
        found.append(Word(text, round(float(start) * FRAME, 2), round(float(end) * FRAME, 2), confidence))
    return tuple(found)


def squeezed(parts: Sequence[tuple[str, int]], firsts: np.ndarray) -> bool:
    """Whether a word has no more than a frame for each of its tokens: that is what is left for words that nobody says.

    >>> squeezed([("Kids", 1), ("are", 1)], np.array([0, 9, 15])), squeezed([("Kids", 1), ("are", 1)], np.array([0, 14, 15]))
    (False, True)
    """
    ends = np.cumsum([0, *(count for _, count in parts)])
    return bool((np.diff(firsts[ends]) <= np.diff(ends)).any())


def parts(tokens: Sequence[int], tokenizer: Any) -> list[tuple[str, int]]:
    """Each word with its punctuation, and how many tokens it has.

    A word begins at a space; in scripts without spaces, at every character. A lone space, and parts of one character (of four
    bytes at most), wait for what follows; punctuation belongs to the word before it.
    """
    found: list[tuple[str, int]] = []
    pending: list[int] = []
    for left, token in zip(range(len(tokens) - 1, -1, -1), tokens, strict=True):
        pending.append(token)
        text = tokenizer.decode(pending)
        if ("\ufffd" in text or text.isspace()) and len(pending) <= 4 and left:
            continue
        apart = text.startswith(" ") or any(unicodedata.east_asian_width(c) == "W" for c in text)
        if not found or (apart and spoken(text) and spoken(found[-1][0])):
            found.append((text.strip(), len(pending)))
        else:
            before, count = found[-1]
            found[-1] = ((before + text).strip(), count + len(pending))
        pending = []
    return found


def spoken(text: str) -> bool:
    """Whether there is anything to say aloud."""
    return any(c.isalnum() for c in text)


def loud(samples: np.ndarray) -> np.ndarray:
    """Whether each frame of `samples` at 16 kHz has sound: (frames,), the last one cut short."""
    width = round(FRAME * SAMPLE_RATE)
    power = np.square(np.pad(samples, (0, -len(samples) % width)), dtype=np.float64).reshape(-1, width).mean(axis=1)
    return power >= power.max() * 10 ** (-QUIET_DB / 10)

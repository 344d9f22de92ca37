"""Where there is speech in a stream of samples, and the stream cut there into segments.

Silero VAD (https://github.com/snakers4/silero-vad, MIT; its ONNX file comes in its package, which is never imported) gives each
frame of 32 ms a probability of speech. Without it the frame's level above the noise floor does, which music and machines fool.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from emojudge.audio import SAMPLE_RATE
from emojudge.errors import MissingExtra
from emojudge.progress import say
from emojudge.settings import RecordingSettings

FRAME = 512
"""Samples to a frame, 32 ms: what Silero was trained on."""
CONTEXT = 64
"""Samples before each frame that Silero sees with it."""
SLACK = 0.15
"""How far below the threshold speech goes on, as in Silero's own segmenter."""
FLOOR_RISE_DB = 0.006
"""By which the noise floor creeps up each frame, 0.2 dB a second, so that it follows the room."""
SPEECH_DB = 15.0
"""Level above the noise floor that is as likely speech as not."""
SILENCE_DBFS = -65.0
"""The noise floor is taken to be at least this."""


@dataclass(frozen=True)
class Stretch:
    """A piece of a recording: seconds into it, and float32 samples at 16 kHz."""

    start: float
    end: float
    samples: np.ndarray


class Silero:
    """Probability of speech, frame after frame of one recording."""

    def __init__(self) -> None:
        try:
            import onnxruntime

            path = metadata.distribution("silero-vad").locate_file("silero_vad/data/silero_vad_16k_sequence.onnx")
        except (ImportError, metadata.PackageNotFoundError):
            raise MissingExtra("Silero VAD", "vad") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.state = {"h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}
        self.context = np.zeros(CONTEXT, np.float32)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Probabilities (N,) of `frames` (N, 512), which follow those of the last call."""
        before = np.vstack([self.context, frames[:-1, -CONTEXT:]])
        probabilities, self.state["h"], self.state["c"] = self.session.run(
            None, {"input": np.hstack([before, frames]), **self.state}
        )
        self.context = frames[-1, -CONTEXT:]
        return probabilities


class Energy:
    """The same from the level alone."""

    def __init__(self) -> None:
        self.floor = 0.0

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """As for `Silero`."""
        found = np.empty(len(frames))
        for number, level in enumerate(levels(frames)):
            self.floor = max(SILENCE_DBFS, min(level, self.floor + FLOOR_RISE_DB))
            found[number] = 1 / (1 + np.exp(-(level - self.floor - SPEECH_DB) / 3))
        return found


def detector(settings: RecordingSettings) -> Any:
    """A fresh detector for one recording.

    Raises:
        MissingExtra: Silero is asked for and not installed.
    """
    if settings.activity == "energy":
        return Energy()
    try:
        return Silero()
    except MissingExtra as error:
        if settings.activity == "silero":
            raise
        say(f"warning: speech is told by its level alone: {error}")
        return Energy()


def levels(frames: np.ndarray) -> np.ndarray:
    """Level of each frame in dB re full scale, (N, S) → (N,)."""
    return 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-12)


class Segmenter:
    """Cuts a stream into stretches of speech; holds no more than the stretch that is under way and one block.

    Between pushes, `position` is how many samples came in, and `since` when the open stretch began.
    """

    def __init__(self, settings: RecordingSettings) -> None:
        self.settings, self.detect = settings, detector(settings)
        self.buffer = np.zeros(0, np.float32)
        self.first = 0  # where in the recording the buffer begins, in samples
        self.done = 0  # frames that were looked at
        self.opened: int | None = None  # frame at which the open stretch began
        self.after_cut = False
        self.quiet = 0  # frames of silence at its end so far

    @property
    def position(self) -> int:
        """Samples that came in."""
        return self.first + len(self.buffer)

    @property
    def since(self) -> float | None:
        """Where the open stretch began, in seconds; None where nobody speaks."""
        return None if self.opened is None else self.opened * FRAME / SAMPLE_RATE

    def push(self, block: np.ndarray) -> Iterator[Stretch]:
        """Take in samples; yield the stretches that are over."""
        self.buffer = np.concatenate([self.buffer, block])
        count = self.position // FRAME - self.done
        if count:
            begin = self.done * FRAME - self.first
            for speech in self.detect(self.buffer[begin : begin + count * FRAME].reshape(count, FRAME)):
                self.done += 1
                yield from self._step(float(speech))
        self._forget()

    def finish(self) -> Iterator[Stretch]:
        """The stretch that the end of the recording cuts off."""
        if self.opened is not None:
            yield from self._close(self.position - self.quiet * FRAME)

    def _step(self, speech: float) -> Iterator[Stretch]:
        """One frame on; `self.done` counts it already."""
        settings = self.settings
        if self.opened is None:
            if speech >= settings.threshold:
                self.opened, self.quiet, self.after_cut = self.done - 1, 0, False
            return
        self.quiet = 0 if speech >= settings.threshold - SLACK else self.quiet + 1
        if self.quiet * FRAME >= settings.min_silence * SAMPLE_RATE:
            yield from self._close((self.done - self.quiet) * FRAME)
        elif (self.done - self.opened) * FRAME >= settings.max_segment * SAMPLE_RATE:
            cut = self._quietest()
            yield from self._close(cut * FRAME, cut=True)
            self.opened, self.after_cut = cut, True

    def _close(self, end: int, cut: bool = False) -> Iterator[Stretch]:
        """The open stretch, up to sample `end`, with its padding."""
        pad, start = round(self.settings.pad * SAMPLE_RATE), (self.opened or 0) * FRAME
        long_enough = end - start >= self.settings.min_speech * SAMPLE_RATE or self.after_cut
        begin = start if self.after_cut else max(0, start - pad)
        last = end if cut else min(end + pad, self.position)
        self.opened = None
        if long_enough and last > begin:
            samples = self.buffer[max(0, begin - self.first) : last - self.first].copy()
            yield Stretch(begin / SAMPLE_RATE, last / SAMPLE_RATE, samples)

    def _quietest(self) -> int:
        """The quietest frame of the second half of the open stretch, over five frames."""
        half = self.done - int(self.settings.max_segment / 2 * SAMPLE_RATE) // FRAME
        samples = self.buffer[half * FRAME - self.first : self.done * FRAME - self.first]
        smooth = np.convolve(levels(samples.reshape(-1, FRAME)), np.ones(5) / 5, mode="valid")
        return half + 2 + int(smooth.argmin())

    def _forget(self) -> None:
        """Drop what no stretch can need any more."""
        needed = (self.done if self.opened is None else self.opened) * FRAME - round(self.settings.pad * SAMPLE_RATE)
        drop = max(0, needed - self.first)
        self.buffer, self.first = self.buffer[drop:], self.first + drop


def stretches(blocks: Iterable[np.ndarray], cutter: Segmenter) -> Iterator[Stretch]:
    """The stretches of speech of a whole recording, in order."""
    for block in blocks:
        yield from cutter.push(block)
    yield from cutter.finish()

"""Sound as it comes: what is heard in a rolling window while somebody speaks, and in each segment once it is over.

A window is the last `recordings.window` seconds of whoever is speaking, looked at each `recordings.hop` by the voice alone; a
segment is transcribed and goes through every model. An event's `latency` counts from the last sound that it speaks of to the
event: for a window the seconds of computing, for a segment also those of the silence that ended it.
"""

import queue
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from emojudge import audio
from emojudge.activity import Segmenter
from emojudge.audio import SAMPLE_RATE
from emojudge.errors import AudioError, MissingExtra
from emojudge.hearing import Sound
from emojudge.timeline import Segment

CHUNK_SECONDS = 0.1
"""What the microphone hands over at a time."""


@dataclass(frozen=True)
class Event:
    """What was heard: a "window" that may still change, or a "segment" that is over. `latency` is in seconds."""

    kind: Literal["window", "segment"]
    segment: Segment
    latency: float


def listen(judge: Any, chunks: Iterable[np.ndarray], sampling_rate: int = SAMPLE_RATE) -> Iterator[Event]:
    """Events of a stream, each as soon as it can be told; memory stays the same for as long as it lasts.

    Args:
        judge: an `EmoJudge`.
        chunks: samples as they come, (samples,) or (samples, channels); a longer chunk only means a later event.
        sampling_rate: of the chunks.

    Raises:
        AudioError: samples that are not finite, or an impossible rate.
    """
    if sampling_rate not in audio.RATES:
        raise AudioError(f"No recording has {sampling_rate} samples a second; give the rate of the chunks.")
    settings = judge.config.recordings
    cutter, recent, looked = Segmenter(settings), np.zeros(0, np.float32), 0.0
    for block in audio.resampled(map(_mono, chunks), sampling_rate):
        came = time.monotonic()
        recent = np.concatenate([recent, block])[-round(settings.window * SAMPLE_RATE) :]
        for over in cutter.push(block):
            yield _event(judge, "segment", over.start, over.samples, cutter, came)
        now = cutter.position / SAMPLE_RATE
        if judge.hears and cutter.since is not None and now - max(looked, cutter.since) >= settings.hop:
            looked, start = now, max(cutter.since, now - len(recent) / SAMPLE_RATE)
            yield _event(judge, "window", start, recent[-round((now - start) * SAMPLE_RATE) :], cutter, came)
    for over in cutter.finish():
        yield _event(judge, "segment", over.start, over.samples, cutter, time.monotonic())


def _mono(chunk: np.ndarray) -> np.ndarray:
    samples = np.asarray(chunk, dtype=np.float32)
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    audio.check_finite(mono, "The stream")
    return mono


def _event(
    judge: Any, kind: Literal["window", "segment"], start: float, samples: np.ndarray, cutter: Segmenter, came: float
) -> Event:
    sound = Sound(f"live {start:.3f}", samples, start=start)
    if kind == "segment":
        [segment] = judge.segments([sound])
    else:
        segment = judge.voice(sound)
    segment.scores = segment.alone
    waited = cutter.position / SAMPLE_RATE - segment.end
    return Event(kind, segment, waited + time.monotonic() - came)


def microphone(device: str | int | None = None, rate: int = SAMPLE_RATE) -> Iterator[np.ndarray]:
    """Samples from a microphone (extra `live`), as they come; what came in while nobody took it is one chunk.

    Raises:
        MissingExtra: sounddevice is not installed.
        AudioError: there is no microphone, or PortAudio is not installed.
    """
    try:
        import sounddevice
    except ImportError:
        raise MissingExtra("Listening to a microphone", "live") from None
    except OSError:
        raise AudioError("The library PortAudio is missing; install it, as with: apt install libportaudio2") from None
    waiting: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()

    def take(data: np.ndarray, frames: int, when: Any, status: Any) -> None:
        waiting.put(data[:, 0].copy())

    try:
        with sounddevice.InputStream(
            samplerate=rate, channels=1, dtype="float32", blocksize=round(CHUNK_SECONDS * rate), device=device, callback=take
        ):
            while True:
                parts = [waiting.get()]
                while not waiting.empty():
                    parts.append(waiting.get())
                yield np.concatenate(parts)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError(f"The microphone cannot be opened ({error}); `python -m sounddevice` lists what there is.") from None

"""Sound tracks that libsndfile does not read: M4A and AAC, MP4, MOV, MKV and WebM, with or without pictures (extra `media`).

FFmpeg decodes them, through PyAV (https://pyav.basswood-io.com). It is told which of three containers to open, by the file's
first bytes, and never guesses; codecs are on a list, too. Samples keep their place in time: a gap in the track is silence.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from emojudge.audio import MAX_CHANNELS, RATES, check_finite, resampled
from emojudge.errors import AudioError, MissingExtra

CODECS = {"aac", "ac3", "alac", "amrnb", "amrwb", "eac3", "flac", "mp3", "mp3float", "opus", "vorbis"}
"""FFmpeg's decoders that may run, beside PCM."""
GAP_SECONDS = 0.2
"""A later time stamp than this is a gap; a smaller step is rounding."""
MAX_GAP_SECONDS = 600.0
"""A longer gap is a damaged time stamp, and left out."""


def blocks(stream: BinaryIO, form: str, path: str | Path) -> Iterator[np.ndarray]:
    """The first sound track of `stream`, whose container FFmpeg calls `form`, as float32 mono at 16 kHz, block by block.

    Raises:
        MissingExtra: PyAV is not installed.
        AudioError: no sound track, or one that cannot be decoded.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("Reading M4A, AAC and video", "media") from None
    try:
        with av.open(stream, format=form, metadata_errors="ignore") as container:
            track = _track(container, path)
            for samples in resampled(_decode(container, track, path), track.codec_context.sample_rate):
                check_finite(samples, path)
                yield samples
    except av.FFmpegError as error:
        raise AudioError(f"{path} cannot be decoded ({error.strerror}); restore the recording, or convert it to WAV.") from None


def _track(container: Any, path: str | Path) -> Any:
    """The first sound track, if it is one that is read."""
    if not container.streams.audio:
        raise AudioError(f"{path} has no sound track.")
    track = container.streams.audio[0]
    codec, rate = track.codec_context.name, track.codec_context.sample_rate
    if codec not in CODECS and not codec.startswith("pcm_"):
        raise AudioError(f"{path} has sound in {codec}, which is not read; convert it, as with: ffmpeg -i IN OUT.wav")
    if rate not in RATES or not 1 <= track.codec_context.channels <= MAX_CHANNELS:
        raise AudioError(f"{path} claims {track.codec_context.channels} channels at {rate} Hz; that is no recording.")
    return track


def _decode(container: Any, track: Any, path: str | Path) -> Iterator[np.ndarray]:
    """Mono samples at the track's own rate, with its gaps filled."""
    import av

    rate, done = track.codec_context.sample_rate, 0
    planar = av.AudioResampler(format="fltp", rate=rate)
    try:
        for frame in container.decode(track):
            due = round(float(frame.time or 0.0) * rate)
            if GAP_SECONDS * rate < due - done < MAX_GAP_SECONDS * rate:
                yield np.zeros(due - done, np.float32)
                done = due
            for part in planar.resample(frame):
                mono = part.to_ndarray().mean(axis=0, dtype=np.float32)
                done += len(mono)
                yield mono
    except av.FFmpegError as error:
        if not done:
            raise
        warnings.warn(f"{path} is damaged after {done / rate:.0f} s ({error.strerror}); what is before is used.", stacklevel=2)

"""Recordings with every fault of audio that there is, made on the spot, and the sentence that each is answered with."""

import io
import os
import struct

import numpy as np
import soundfile

RATE = 16000
TIME = np.arange(RATE) / RATE
TONE = (0.5 * np.sin(2 * np.pi * 220 * TIME) * (1 + np.sin(2 * np.pi * 4 * TIME)) / 2).astype(np.float32)

USED = ""
"""The answer to what is merely unusual."""


def coded(samples=TONE, rate=RATE, form="WAV", **options):
    """The bytes of a recording."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, **options)
    return out.getvalue()


def riff(data, tag=1, channels=1, rate=RATE, bits=16, promised=None, before=b""):
    """A WAV file that says what it is told to say."""
    fmt = struct.pack("<HHIIHH", tag, channels, rate, 0, max(1, channels * bits // 8) & 0xFFFF, bits)
    size = len(data) if promised is None else promised
    body = b"WAVE" + b"fmt " + struct.pack("<I", 16) + fmt + before + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def noisy(value):
    """The tone with one value put in."""
    samples = TONE.copy()
    samples[100] = value
    return coded(samples, subtype="FLOAT")


def channels(count):
    return np.repeat(TONE[:, None], count, 1)


PCM = (TONE * 32767).astype("<i2").tobytes()
FREE = b"LIST" + struct.pack("<I", 1 << 20) + bytes(1 << 20)

CONTENT = {
    "zero bytes.wav": (b"", "is empty"),
    "header only.wav": (riff(b""), "holds no sound"),
    "one sample.wav": (coded(TONE[5:6]), USED),
    "10 ms.wav": (coded(TONE[:160]), USED),
    "100 ms.wav": (coded(TONE[:1600]), USED),
    "500 ms.wav": (coded(TONE[:8000]), USED),
    "all zeros.wav": (coded(0 * TONE), USED),
    "DC only.wav": (coded(0 * TONE + 0.3), USED),
    "NaN.wav": (noisy(np.nan), "not finite"),
    "Inf.wav": (noisy(np.inf), "not finite"),
    "1e38.wav": (noisy(1e38), "beyond full scale"),
    "clipped.wav": (coded(np.sign(TONE)), USED),
    "-90 dBFS.wav": (coded(TONE / 16000, subtype="FLOAT"), USED),
    "8 kHz.wav": (coded(TONE[::2], 8000), USED),
    "44.1 kHz.wav": (coded(TONE, 44100), USED),
    "48 kHz.wav": (coded(TONE, 48000), USED),
    "96 kHz.wav": (coded(TONE, 96000), USED),
    "rate 1.wav": (riff(PCM, rate=1), "1 samples a second"),
    "rate 0.wav": (riff(PCM, rate=0), "cannot be decoded|0 samples a second"),
    "rate 4294967295.wav": (riff(PCM, rate=2**32 - 1), "cannot be decoded|samples a second"),
    "stereo.wav": (coded(channels(2)), USED),
    "anti-phase.wav": (coded(channels(2) * (1, -1)), USED),
    "6 channels.wav": (coded(channels(6)), USED),
    "0 channels.wav": (riff(PCM, channels=0), "cannot be decoded|0 channels"),
    "65535 channels.wav": (riff(PCM, channels=65535), "cannot be decoded|65535 channels"),
    "8 bits.wav": (coded(subtype="PCM_U8"), USED),
    "24 bits.wav": (coded(subtype="PCM_24"), USED),
    "32 bits.wav": (coded(subtype="PCM_32"), USED),
    "float64.wav": (coded(subtype="DOUBLE"), USED),
    "mu-law.wav": (coded(subtype="ULAW"), USED),
    "7 bits.wav": (riff(PCM, bits=7), "7 bits"),
    "IMA-ADPCM.wav": (coded(subtype="IMA_ADPCM"), "format 17"),
    "MAT4.wav": (coded(form="MAT4"), "is no audio that is read"),
    "truncated.wav": (coded()[:9001], USED),
    "ten times promised.wav": (riff(PCM, promised=10 * len(PCM)), USED),
    "4 GiB promised.wav": (riff(PCM, promised=2**32 - 1), USED),
    "RF64.wav": (coded(form="RF64"), USED),
    "W64.w64": (coded(form="W64"), USED),
    "odd bytes.wav": (riff(PCM[:-1]), USED),
    "1 MB LIST.wav": (riff(PCM, before=FREE), USED),
    "mp3.mp3": (coded(form="MP3"), USED),
    "ogg.ogg": (coded(form="OGG"), USED),
    "opus.opus": (coded(form="OGG", subtype="OPUS"), USED),
    "flac.flac": (coded(form="FLAC"), USED),
    "mp3 named.wav": (coded(form="MP3"), USED),
    "text.wav": (b"hello, this is a text", "holds text"),
    "HTML.wav": (b"<!DOCTYPE html><html><head><title>404</title>", "holds text"),
    "LFS.wav": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    "hour too long.wav": (None, "longer|at most 3600 s"),
    "naïve 笑.wav": (coded(), USED),
    "new\nline.wav": (coded(), USED),
    "-dash.wav": (coded(), USED),
    "loop.wav": (None, "cannot be opened"),
    "pipe.wav": (None, "no ordinary file"),
    "folder.wav": (None, "no ordinary file"),
    "absent.wav": (None, "cannot be opened"),
    "forbidden.wav": (None, "cannot be opened"),
}
"""By name: what is in the file (None: made below), and a part of the sentence."""


def make(folder):
    """Write all of them into `folder`; return the part of the sentence for each path."""
    for name, (content, _) in CONTENT.items():
        if content is not None:
            (folder / name).write_bytes(content)
    with (folder / "hour too long.wav").open("wb") as out:  # an hour and a second, of which the disk holds nothing
        out.write(riff(b"", promised=3601 * RATE * 2))
        out.truncate(44 + 3601 * RATE * 2)
    (folder / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / "folder.wav").mkdir()
    (folder / "forbidden.wav").write_bytes(coded())
    (folder / "forbidden.wav").chmod(0)
    if os.geteuid() == 0:  # whom nothing is forbidden
        (folder / "forbidden.wav").unlink()
    return {folder / name: answer for name, (_, answer) in CONTENT.items()}

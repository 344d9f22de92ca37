"""Which audio files the decoder may see: an allow-list, read from the first bytes.

libsndfile opens dozens of formats; some of its parsers have known holes (IMA-ADPCM and MAT4 in 1.2.2), and
some codecs it decodes as noise. So a file's container and, for WAV and AIFF, its codec are read here first,
in a bounded number of bytes, whatever its name says.

The layouts: RIFF/WAVE and RF64 (EBU Tech 3306), Sony Wave64, AIFF/AIFF-C (Apple 1989), FLAC (RFC 9639),
Ogg (RFC 3533), MPEG audio (ISO 11172-3); for FFmpeg:
ISO base media files (ISO 14496-12), Matroska (RFC 9559), ADTS (ISO 13818-7).
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from emojudge.errors import AudioError

MAX_CHUNKS = 512
"""A header with more chunks than this before its format chunk is no recording."""

MAX_TAGS = 4
"""So many ID3 tags in front are skipped."""

_WAV_CODECS = {1: (8, 16, 24, 32), 3: (32, 64), 6: (8,), 7: (8,)}
"""Format tag → bits: PCM, IEEE float, A-law, mu-law."""
_EXTENSIBLE = 0xFFFE
_AIFF_CODECS = {b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"ulaw", b"alaw"}
_OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


def check(stream: BinaryIO, name: str) -> int:
    """Read the head of `stream` and leave it at its beginning.

    Returns the bytes of sound that the file promises but does not hold (0 where that cannot be told).

    Raises:
        AudioError: an empty file, no audio at all, or a container or codec that is not on the list.
    """
    size = stream.seek(0, 2)
    stream.seek(0)
    head = stream.read(40)
    missing = _check_head(stream, head, size, name)
    stream.seek(0)
    return missing


def _check_head(stream: BinaryIO, head: bytes, size: int, name: str) -> int:
    if not head:
        raise AudioError(f"{name} is empty (0 bytes); restore the recording or take it out of the corpus.")
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        missing = _check_wave(stream, 12, size, "<4sI", name)
        return missing if head[:4] == b"RIFF" else 0  # RF64 keeps its true length elsewhere
    if head[:16] == _W64_RIFF:
        return _check_wave(stream, 40, size, "<16sQ", name)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _check_aiff(stream, head[8:12], size, name)
    if head[:4] == b"OggS":
        _check_ogg(head, name)
        return 0
    if head[:3] == b"ID3":
        head = _after_tags(stream, head)
    if head[:4] == b"fLaC" or _is_mpeg(head):
        return 0
    raise AudioError(f"{name} {_what_else(head)}")


def _check_ogg(head: bytes, name: str) -> None:
    """The first page's only packet names the codec."""
    packet = head[28:36] if len(head) > 35 and head[26] == 1 else b""
    if not packet.startswith(_OGG_CODECS):
        raise AudioError(f"{name} is an Ogg file in a coding that is not read; convert it to WAV or FLAC.")


def _after_tags(stream: BinaryIO, head: bytes) -> bytes:
    """What follows ID3v2 tags. The decoder skips them and opens anything behind them, so it is that which counts."""
    for _ in range(MAX_TAGS):
        if head[:3] != b"ID3" or len(head) < 10:
            break
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        stream.seek(10 + size - len(head), 1)  # a footer is not counted: the decoder does not, either
        head = stream.read(40)
    return head


def media(head: bytes) -> str | None:
    r"""The name by which FFmpeg calls a container that libsndfile does not read, and that is allowed; None for any other.

    >>> media(b"\0\0\0\x20ftypM4A ")
    'mov'
    """
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    return "aac" if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 else None


def _is_mpeg(head: bytes) -> bool:
    """An MPEG audio frame: eleven sync bits, then a layer, bit rate and sampling rate that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    return head[1] & 0x06 != 0 and head[2] >> 4 not in (0, 15) and head[2] & 0x0C != 0x0C


def _what_else(head: bytes) -> str:
    """What the file is instead, and what to do."""
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the recording itself; fetch it with: git lfs pull"
    if media(head):
        return (
            "is an MP4, M4A, AAC or WebM file, which only `emojudge predict` reads; elsewhere convert it, "
            "as with: ffmpeg -i IN -ac 1 -ar 16000 OUT.wav"
        )
    if all(byte >= 32 or byte in b"\t\n\r" for byte in head):
        return "holds text, not audio; it may be a failed download, so fetch it again."
    return (
        "is no audio that is read here (WAV, FLAC, OGG, MP3 or AIFF); convert it, as with: ffmpeg -i IN -ac 1 -ar 16000 OUT.wav"
    )


def _check_wave(stream: BinaryIO, start: int, size: int, layout: str, name: str) -> int:
    """Check the codec in the format chunk; return the bytes that the data chunk lacks."""
    codec = None
    for chunk, begin, length in _chunks(stream, start, size, layout):
        if chunk == b"fmt ":
            codec = struct.unpack("<HHIIHH", _read(stream, 16, name))
            if codec[0] == _EXTENSIBLE:
                codec = (struct.unpack("<8xH", _read(stream, 10, name))[0], *codec[1:])
            _check_codec(codec, name)  # each: the decoder takes the first
        elif chunk == b"data":
            if codec is None:
                raise AudioError(f"{name} is a WAV file without a format header; restore the recording.")
            return max(0, begin + length - size)
    raise AudioError(f"{name} is a WAV file without sound (its header ends before any data); restore the recording.")


def _check_codec(codec: tuple[int, ...], name: str) -> None:
    tag, _, _, _, _, bits = codec
    if bits not in _WAV_CODECS.get(tag, ()):
        raise AudioError(
            f"{name} is a WAV file in a coding that is not read (format {tag}, {bits} bits); "
            "convert it, as with: ffmpeg -i IN -c:a pcm_s16le OUT.wav"
        )


def _check_aiff(stream: BinaryIO, kind: bytes, size: int, name: str) -> int:
    for chunk, begin, length in _chunks(stream, 12, size, ">4sI"):
        if chunk == b"COMM" and kind == b"AIFC":
            codec = _read(stream, 22, name)[18:]
            if codec not in _AIFF_CODECS:
                raise AudioError(f"{name} is an AIFF file in a coding that is not read ({codec!r}); convert it to WAV or FLAC.")
        elif chunk == b"SSND":
            return max(0, begin + length - size)
    raise AudioError(f"{name} is an AIFF file without sound (its header ends before any data); restore the recording.")


def _chunks(stream: BinaryIO, position: int, size: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, where its content begins, its length), with the stream at the content."""
    head = struct.calcsize(layout)
    wave64 = head == 24
    for _ in range(MAX_CHUNKS):
        stream.seek(position)
        raw = stream.read(head)
        if len(raw) < head:
            return
        chunk, length = struct.unpack(layout, raw)
        if wave64:
            chunk, length = (chunk[:4] if chunk[4:] == _W64_TAIL else b""), max(0, length - head)
        yield chunk, position + head, length
        step = 8 if wave64 else 2
        position += head + -(-length // step) * step
        if position > size:
            return


def _read(stream: BinaryIO, count: int, name: str) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise AudioError(f"{name} ends inside its header; restore the recording.")
    return content

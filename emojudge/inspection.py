"""The files of a corpus as they lie on the disk: headers read in threads, and files that hold the same bytes.

Nothing is decoded unless `decode` is asked for. A header takes a tenth of a millisecond; contents are compared only
between files of one size, and read whole only where a block from their middle agrees.
"""

import hashlib
import os
import stat
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from emojudge import audio
from emojudge.errors import AudioError
from emojudge.progress import track
from emojudge.storage import file_digest
from emojudge.types import Utterance

THREADS = 4
"""Headers read at once: disks of a network answer slowly, but many at a time."""

SHARE = 256
"""Files that a thread takes at a time."""

BLOCK = 4096
"""Bytes from a file's middle that are compared first; heads of recordings are alike, and often silent."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file as it was found.

    `size` is in bytes, None where no file is there; `fault` says why it cannot be read; `missing` are the bytes of sound
    that its header promises and it lacks; `silent` where every sample is zero, which only decoding tells.
    """

    size: int | None
    seconds: float | None = None
    fault: str = ""
    missing: int = 0
    silent: bool = False


def inspect(paths: Collection[str], headers: bool = True, decode: bool = False) -> dict[str, Recording]:
    """What each file is, by path; without `headers` only whether it is there, with `decode` also whether all of it decodes."""
    look = (_decoded if decode else _headed) if headers else _present
    names = list(paths)
    shares = [names[start : start + SHARE] for start in range(0, len(names), SHARE)]
    with ThreadPoolExecutor(THREADS) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file cut short is told as a number
        done = track(pool.map(lambda share: list(map(look, share)), shares), "Reading headers", len(shares))
        return dict(zip(names, chain.from_iterable(done), strict=True))


def _present(path: str) -> Recording:
    try:
        about = Path(path).stat()
    except (OSError, ValueError):  # no file can have such a name
        return Recording(None)
    return Recording(about.st_size if stat.S_ISREG(about.st_mode) else None)


def _headed(path: str) -> Recording:
    there = _present(path)
    if there.size is None:
        return there
    try:
        seconds, missing = audio.header(path)
    except AudioError as error:
        return replace(there, fault=str(error))
    return replace(there, seconds=seconds, missing=missing)


def _decoded(path: str) -> Recording:
    found = _headed(path)
    if found.seconds is None or found.seconds > audio.MAX_SECONDS:
        return found
    try:
        return replace(found, silent=not audio.read(path).any())
    except AudioError as error:
        return replace(found, fault=str(error))


def length(utterance: Utterance, files: Mapping[str, Recording]) -> float | None:
    """Seconds of a stretch, by its times or by its file's header; None where neither tells, or it cannot be."""
    file = files.get(utterance.audio or "")
    seconds = file.seconds if file else None
    ends = [time for time in (utterance.end, seconds) if time is not None]
    found = min(ends) - (utterance.start or 0.0) if ends else -1.0
    return found if found > 0 else None


def twins(recordings: Mapping[str, Recording]) -> list[list[str]]:
    """Groups of paths whose files hold the same bytes."""
    groups = _parted([list(recordings)], lambda path: recordings[path].size)
    return _parted(_parted(groups, _middle), file_digest)


def _parted(groups: Iterable[Sequence[str]], key: Callable[[str], Hashable]) -> list[list[str]]:
    """Each group in parts that share a key; files that cannot be read or have a part to themselves are left out."""
    parts = []
    for group in groups:
        by_key = defaultdict(list)
        for path in group:
            try:
                by_key[key(path)].append(path)
            except OSError:
                continue
        parts += [part for name, part in by_key.items() if name and len(part) > 1]
    return parts


def _middle(path: str) -> bytes:
    with Path(path).open("rb", buffering=0) as stream:
        stream.seek(max(0, (stream.seek(0, os.SEEK_END) - BLOCK) // 2))
        return hashlib.sha256(stream.read(BLOCK)).digest()

"""Features of frozen encoders: computed once, named by their content, kept in shards, read through the memory map.

A folder of safetensors files per encoder::

    features/3f2a…/shard-9c41….safetensors     about 256 items each: key → (L, T, D) float16

An item's key is the digest of what the encoder is shown; the folder's name is the encoder's fingerprint, and its precision. So
nothing stale is ever read, and the same clip in two runs is computed once. A shard is written whole or not
at all, under a name of its own: a process that dies loses the shard it was working on, and two may work side by side.
"""

import json
import math
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from emojudge import audio, perturbations
from emojudge.encoding import encode, folder_of, neighbours
from emojudge.errors import DataError
from emojudge.progress import track
from emojudge.storage import digest, file_digest, write_tensors

SHARD_ITEMS = 256
SHARD_BYTES = 256 << 20
"""A shard is closed when it holds this many items or bytes."""
CHARACTERS_PER_SECOND = 15.0
"""Of speech; so that text and audio are batched by one measure."""


class Item(Protocol):
    """Something to encode."""

    id: str

    @property
    def key(self) -> str:
        """Digest of the content."""

    def seconds(self) -> float:
        """About how long it is, cheaply."""

    def load(self) -> Any:
        """What the encoder takes."""


@dataclass(frozen=True)
class Clip:
    """A stretch of a recording, changed as `perturbations` says (not at all if `change` is empty), then normalised.

    `voices` are the recordings of which a change makes babble.
    """

    id: str
    path: str | Path
    start: float | None = None
    end: float | None = None
    normaliser: audio.Normaliser = field(default_factory=lambda: audio.Normaliser(mode="none"))
    change: str = ""
    voices: tuple["Clip", ...] = ()

    @cached_property
    def key(self) -> str:
        """Digest of the file's bytes, the stretch, the change with its voices, and the normalisation."""
        audio.seconds(self.path)  # refuses folders and pipes, which cannot be digested
        voices = [voice.key for voice in self.voices]
        return digest([file_digest(self.path), self.start, self.end, self.change, asdict(self.normaliser), *voices])

    def seconds(self) -> float:
        """Duration by the file's header, before any change."""
        end = self.end if self.end is not None else audio.seconds(self.path)
        return end - (self.start or 0.0)

    def load(self) -> np.ndarray:
        """Samples, float32 at 16 kHz."""
        samples, voices = audio.read(self.path, self.start, self.end), [voice.load() for voice in self.voices]
        return self.normaliser.apply(perturbations.apply(self.change, samples, voices))


@dataclass(frozen=True)
class Line:
    """A text.

    >>> Line("a", "Kids are talking.").key == Line("b", "Kids are talking.").key
    True
    """

    id: str
    text: str

    @property
    def key(self) -> str:
        """Digest of the text."""
        return digest(["text", self.text])

    def seconds(self) -> float:
        """As if it were spoken."""
        return len(self.text) / CHARACTERS_PER_SECOND

    def load(self) -> str:
        """The text itself."""
        return self.text


@dataclass(frozen=True)
class _Place:
    """Where an item's array lies."""

    shard: Path
    offset: int
    shape: tuple[int, ...]
    checksum: int


class FeatureCache:
    """Features of one encoder under `folder`; `cache[key]` is the array (L, T, D) float16, mapped, not read.

    Usage::

        cache = FeatureCache(run / "features", encoder)
        keys, skipped = cache.fill([Clip(u.id, u.audio) for u in utterances])
        frames = cache[keys[utterance.id]]
    """

    def __init__(self, folder: str | Path, encoder: Any) -> None:
        self.encoder = encoder
        self.folder = Path(folder) / folder_of(encoder)
        self._places: dict[str, _Place] = {}
        self._seen: set[Path] = set()
        self._maps: dict[Path, np.memmap] = {}
        self._checked: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in shards that were written since, by this process or another."""
        for shard in sorted(self.folder.glob("shard-*.safetensors")):
            if shard not in self._seen:
                self._seen.add(shard)
                self._places |= _places(shard)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> np.ndarray:
        """The array of `key`; its checksum is compared on the first reading.

        Raises:
            KeyError: it was never computed.
            DataError: the bytes on disk have changed; the shard is put aside, so that the next `fill` computes it again.
        """
        place = self._places[key]
        if place.shard not in self._maps:
            self._maps[place.shard] = np.memmap(
                place.shard, np.uint8, mode="c"
            )  # as writable as torch wants it, and never written
        size = 2 * int(np.prod(place.shape))
        raw = self._maps[place.shard][place.offset : place.offset + size]
        if key not in self._checked:
            if zlib.crc32(raw.data) != place.checksum:
                self._forget(place.shard)
                raise DataError(f"{place.shard} is damaged and was put aside; run again, and its clips are computed anew.")
            self._checked.add(key)
        return raw.view(np.float16).reshape(place.shape)

    def _forget(self, shard: Path) -> None:
        self._places = {key: place for key, place in self._places.items() if place.shard != shard}
        shard.replace(shard.with_suffix(".damaged"))

    def fill(self, items: Iterable[Item], label: str = "Encoding") -> tuple[dict[str, str], list[tuple[str, str]]]:
        """Encode what is missing, in length-sorted batches.

        Returns:
            keys: id → key of every item that is now in the cache.
            skipped: (id, reason) of every item that could not be read.
        """
        self.refresh()
        keys: dict[str, str] = {}
        skipped: list[tuple[str, str]] = []
        missing: dict[str, tuple[float, Item]] = {}
        for item in items:
            try:
                keys[item.id] = item.key
                if item.key not in self:
                    missing.setdefault(item.key, (item.seconds(), item))
            except DataError as error:
                skipped.append((item.id, str(error)))
        order = sorted(missing.items(), key=lambda pair: pair[1][0])
        failed = self._encode(order, label)
        for name in [name for name, key in keys.items() if key in failed]:
            skipped.append((name, failed[keys.pop(name)]))
        return keys, skipped

    def _encode(self, order: Sequence[tuple[str, tuple[float, Item]]], label: str) -> dict[str, str]:
        """Encode items, shortest first, and write them shard by shard; return key → reason of those that could not be read."""
        self.encoder.module.eval()  # dropout would be kept for ever
        failed: dict[str, str] = {}
        shard: dict[str, np.ndarray] = {}
        for batch in track(list(neighbours(order, lambda one: one[1][0])), label):
            contents = {}
            for key, (_, item) in batch:
                try:
                    contents[key] = item.load()
                except DataError as error:
                    failed[key] = str(error)
            if contents:
                shard |= dict(zip(contents, self._frames(list(contents.values())), strict=True))
            if len(shard) >= SHARD_ITEMS or sum(array.nbytes for array in shard.values()) >= SHARD_BYTES:
                self._write(shard)
                shard = {}
        if shard:
            self._write(shard)
        return failed

    def _frames(self, contents: list[Any]) -> Iterator[np.ndarray]:
        import torch

        with torch.inference_mode():
            frames, mask = encode(self.encoder, contents)
        frames, lengths = frames.half().cpu().numpy(), mask.sum(1).tolist()
        return (np.ascontiguousarray(one[:, :length]) for one, length in zip(frames, lengths, strict=True))

    def _write(self, shard: dict[str, np.ndarray]) -> None:
        checksums = {key: zlib.crc32(array.data) for key, array in shard.items()}
        path = self.folder / f"shard-{uuid4().hex}.safetensors"
        write_tensors(path, shard, {"crc32": json.dumps(checksums), "encoder": self.encoder.fingerprint})
        self.refresh()


def _places(shard: Path) -> dict[str, _Place]:
    """Where each item of a shard lies, from its header alone; nothing, with a warning, where the file is damaged."""
    try:
        size = shard.stat().st_size
        with shard.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > size - 8:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        checksums = json.loads(header.pop("__metadata__")["crc32"])
        for entry in header.values():
            start, end = entry["data_offsets"]
            if (
                entry["dtype"] != "F16"
                or not 0 <= start <= end <= size - 8 - length
                or 2 * math.prod(entry["shape"]) != end - start
            ):
                raise ValueError("its header does not fit its content")
        return {
            key: _Place(shard, 8 + length + entry["data_offsets"][0], tuple(entry["shape"]), checksums[key])
            for key, entry in header.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        warnings.warn(f"{shard} is damaged ({error}); its clips are computed again.", stacklevel=3)
        return {}

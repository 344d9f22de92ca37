"""A Hugging Face dataset on disk: what `save_to_disk` wrote, a copy of a repository's Parquet files, or a folder of the cache.

Source, licence, speakers: the dataset's card says. Layout: `dataset_dict.json` and a folder for each split; or `state.json`; or
`*.parquet` and `*.arrow` files whose names tell the split (`data/train-00000-of-00002.parquet`, `emo-validation.arrow`). Only
pyarrow is needed (the extra `tables`): the package `datasets` would decode recordings through torchcodec, or not at all.

Columns by their usual names: audio; text, transcript, transcription or sentence; emotion or label (numbers become the names
of their classes); speaker or speaker_id; and those of `table.py`. Recordings inside the files are written once, as they are, into
the cache under their digest. The split validation is dev here; a folder without splits has none.

Traps: a class numbered -1 is unknown. Ids are the split and the row's number where no column `id` tells, so another selection of
rows has other ids. `cache-*.arrow` are leftovers of computations and are not read.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emojudge.corpora import _arrow, _rows
from emojudge.corpora._reading import existing, read_json
from emojudge.errors import DataError
from emojudge.offline import cache_folder
from emojudge.storage import atomic
from emojudge.types import Utterance

LABELS = _rows.SYNONYMS

SPLITS = {"train": "train", "validation": "dev", "valid": "dev", "val": "dev", "dev": "dev", "test": "test"}

ALIASES = {
    "text": ("transcript", "transcription", "sentence"),
    "emotion": ("label",),
    "speaker": ("speaker_id",),
}
"""Other names of `table.py`'s columns; the first that is there counts."""

HINT = "point data.root at what save_to_disk wrote, or at a folder of Parquet or Arrow files."

_SPLIT = re.compile(rf"(?:.*[-_])?({'|'.join(SPLITS)})(?:-\d+-of-\d+)?")


def utterances(root: Path) -> Iterator[Utterance]:
    """Every row, by split, in the order of the files.

    Raises:
        DataError: there is no dataset in `root`, or a file of it cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    for split, files in _parts(existing(root, HINT)):
        rows = (row for path in files for row in _arrow.rows(path))
        for number, (where, cells) in enumerate(rows):
            row = _columns(cells, where)
            own = {"split": SPLITS.get(split, split)} if split else {}
            yield _rows.utterance(root, where, {"id": f"{split or 'row'}/{number}", **row, **own}, LABELS)


def _parts(root: Path) -> Iterator[tuple[str, list[Path]]]:
    """Each split's name, and its files."""
    if (root / "dataset_dict.json").exists():
        for split in read_json(root / "dataset_dict.json", HINT).get("splits", []):
            yield split, _saved(root / split)
    elif (root / "state.json").exists():
        yield read_json(root / "state.json", HINT).get("_split") or "", _saved(root)
    else:
        yield from _named(root).items()


def _saved(folder: Path) -> list[Path]:
    """The files that `save_to_disk` wrote into a folder."""
    files = read_json(folder / "state.json", HINT).get("_data_files", [])
    return [existing(folder / file["filename"], "copy the dataset again.") for file in files]


def _named(root: Path) -> dict[str, list[Path]]:
    """Files by the split that their names, or else their folders', tell."""
    found = sorted(
        path for path in root.rglob("*") if path.suffix in (".parquet", ".arrow") and not path.stem.startswith("cache-")
    )
    if not found:
        raise DataError(f"{root} holds no dataset; {HINT}")
    parts: dict[str, list[Path]] = {}
    for path in found:
        told = _SPLIT.fullmatch(path.stem) or _SPLIT.fullmatch(path.parent.name)
        parts.setdefault(told[1] if told else "", []).append(path)
    return parts


def _columns(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The row under `table.py`'s names, with its recording as a file."""
    named = {name: cell for name, cell in row.items() if cell is not None}
    for name, others in ALIASES.items():
        known = next((other for other in (name, *others) if other in named), name)
        named[name] = named.get(known)
    if isinstance(named.get("audio"), bytes | dict):
        named["audio"] = _recording(named["audio"], where)
    return named


def _recording(cell: bytes | Mapping[str, Any], where: str) -> str | None:
    """The path of a recording; one that is inside the dataset is written into the cache."""
    file: Mapping[str, Any] = {"bytes": cell} if isinstance(cell, bytes) else cell
    content, path = file.get("bytes"), file.get("path")
    if not content and not path:
        raise DataError(f"{where}: audio has neither bytes nor a path; save the dataset with a column of the type Audio.")
    if not content:
        return path
    suffix = Path(path or "").suffix.lower()
    name = hashlib.sha256(content).hexdigest() + (suffix if suffix in _rows.AUDIO else ".wav")
    kept = (cache_folder() / "recordings" / name[:2] / name).absolute()
    try:
        if not kept.exists():
            with atomic(kept) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise DataError(f"{kept} cannot be written ({error.strerror}); set EMOJUDGE_CACHE to a folder that can.") from None
    return str(kept)

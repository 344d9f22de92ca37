"""Files between the stages: JSON, JSON Lines and safetensors, written whole or not at all.

Everything is written under a temporary name in the same folder, flushed to the disk and renamed, so
that a reader never sees half a file, whatever kills the writer.
"""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from emojudge.errors import DataError

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
"""Version of every JSON object we write; a reader refuses a newer one."""

T = TypeVar("T")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`.

    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No other process works in `folder` meanwhile. The lock is the system's: it goes with a process, however that ends.

    What a killed process left half-written is removed.

    Raises:
        DataError: another one does.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such locks, and there two processes are up to the user
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{folder} is in use by another EmoJudge process; wait until it ends, or stop it.") from None
        for half in folder.rglob(".*.part"):
            half.unlink()
        yield


def _umask() -> int:
    """The process's umask: mkstemp makes files private, which a run folder is not meant to be."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` with our format number first."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **content}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises:
        DataError: the file is missing, is not a JSON object, or is of a newer format.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); make it again or restore it.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object; make it again.")
    if content.pop("format", FORMAT) != FORMAT:
        raise DataError(f"{path} was written by another version of EmoJudge (format is not {FORMAT}); make it again.")
    return content


def write_jsonl(path: str | Path, rows: Iterable[Any]) -> int:
    """Write one dataclass instance or mapping a line; return how many."""
    count = 0
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(to_row(row), ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path, kind: Callable[..., T]) -> Iterator[T]:
    """Read one `kind` a line, as it goes: a dataclass, or whatever takes a line's fields as keywords.

    Raises:
        DataError: the file is missing, or a line is no object with the fields of `kind`; the line is named.
    """
    try:
        lines = Path(path).open("rb")  # noqa: SIM115 (closed below; only opening is guarded)
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check the path.") from None
    with lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield kind(**json.loads(line))
                except (ValueError, TypeError, RecursionError) as error:
                    raise DataError(f"{path}, line {number}: {error}; correct or remove the line.") from None


def to_row(item: Any) -> dict[str, Any]:
    """A dataclass instance as a mapping, without the fields that hold their empty default.

    >>> from emojudge.types import Prediction
    >>> to_row(Prediction("a", "audio", {"Sad": 1.0}))
    {'id': 'a', 'source': 'audio', 'scores': {'Sad': 1.0}}

    Dataclasses in a tuple of its own become mappings too. It is no `asdict`, which copies all it meets: rows are many.

    >>> from dataclasses import make_dataclass
    >>> to_row(make_dataclass("Line", ["words"])((make_dataclass("Word", ["word"])("No."),)))
    {'words': [{'word': 'No.'}]}
    """
    if isinstance(item, Mapping):
        return dict(item)
    found = {f.name: getattr(item, f.name) for f in fields(item)}
    return {name: _plain(value) for name, value in found.items() if value not in (None, "", {})}


def _plain(value: Any) -> Any:
    return [to_row(one) if is_dataclass(one) else one for one in value] if isinstance(value, tuple) else value


def digest(content: Any) -> str:
    """SHA-256 of anything JSON can hold, the same for the same content.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_rows(rows: Iterable[Any]) -> str:
    """SHA-256 over the digests of `rows`, one row in memory at a time."""
    whole = hashlib.sha256()
    for row in rows:
        whole.update(bytes.fromhex(digest(row)))
    return whole.hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_tensors(path: str | Path, arrays: Mapping[str, "np.ndarray"], about: Mapping[str, str] | None = None) -> None:
    """Write named arrays as one safetensors file with string metadata.

    Raises:
        OSError: the disk is full, or takes nothing.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with atomic(path) as temporary:
        try:
            save_file(dict(arrays), temporary, metadata=dict(about or {}))
        except SafetensorError as error:  # a full disk, among others
            raise OSError(errno.EIO, str(error), str(path)) from None


def digest_tensors(arrays: Mapping[str, "np.ndarray"]) -> str:
    """SHA-256 over names, kinds, shapes and values, however they are packed."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        whole.update(arrays[name].tobytes())
    return whole.hexdigest()


def read_tensors(path: str | Path) -> dict[str, "np.ndarray"]:
    """Read what `write_tensors` wrote.

    Raises:
        DataError: the file is missing, cut short, or no safetensors file (a pickle is never opened).
    """
    return _open_tensors(path, lambda file: {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def read_metadata(path: str | Path) -> dict[str, str]:
    """The `about` that `write_tensors` was given; raises as `read_tensors` does."""
    return _open_tensors(path, lambda file: dict(file.metadata() or {}))


def _open_tensors(path: str | Path, read: Callable[[Any], T]) -> T:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return read(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a readable safetensors file ({error}); restore it or train again.") from None

"""Weights that exist only as a pickle become safetensors, once, in a process of their own: ours never unpickles.

The child, `python -m emojudge.conversion IN OUT`, reads with `torch.load(weights_only=True)`, which knows tensors
and plain containers and calls nothing else that a file names. Should that ever fail us, the child may start no
process, open no connection and no file for writing (an audit hook), and has bounded time, memory and output.

The result is kept in the cache under the SHA-256 of the source: another revision is another file.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from emojudge.errors import ModelError
from emojudge.offline import cache_folder
from emojudge.storage import file_digest

SECONDS = 600
"""Processor time that a conversion may take; wavlm-large takes seconds."""
SPARE = 1 << 30
"""Bytes beyond those of the weights: the interpreter's own, and the headers of what is written."""
REFUSED = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.putenv"})
REFUSED |= {
    "socket.connect",
    "socket.bind",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.chmod",
}
"""Audit events (https://docs.python.org/3/library/audit_events.html) that no reading of weights has a use for."""


def converted(source: str | Path, revision: str | None = None) -> Path:
    """The safetensors file made from a pickle of tensors by name; made now if it is not in the cache.

    Args:
        source: a file as `pytorch_model.bin` or `embedding_model.ckpt`.
        revision: where it is from, written into the result's metadata.

    Raises:
        ModelError: it is no such pickle, names code to be called, or the cache cannot be written.
    """
    source = Path(source).resolve()
    name = file_digest(source)
    target = cache_folder().resolve() / "converted" / f"{name}.safetensors"
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
            _run(source, part := Path(folder) / "part.safetensors", f"{name} {revision or ''}")
            part.replace(target)
    except OSError as error:
        raise ModelError(f"{target} cannot be written ({error.strerror}); set EMOJUDGE_CACHE to a folder that can.") from None
    return target


def _run(source: Path, target: Path, about: str) -> None:
    """Convert in a child process; what it says last is the reason it failed."""
    command = [sys.executable, "-m", "emojudge.conversion", str(source), str(target), about]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 (our own module)
    if done.returncode or not target.exists():
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ModelError(
            f"{source} was not converted to safetensors ({said[-1][:200]}); it must be a pickle of nothing but tensors by name."
        )


def _convert(source: Path, target: Path, about: str) -> None:
    """Pickle to safetensors, in the child. Tensors that share memory are written apart."""
    import torch
    from safetensors.torch import save_file

    _confine(source.stat().st_size)
    content = torch.load(source, map_location="cpu", weights_only=True)
    tensors = {name: value.detach().clone().contiguous() for name, value in _tensors(content).items()}
    if not tensors:
        raise ValueError("it holds no tensors by name")
    save_file(tensors, target, {"format": "pt", "source": about})


def _tensors(content: Any) -> dict[str, Any]:
    """The tensors of a state dictionary; other values beside them, as counters, are left out."""
    import torch

    items = content.items() if isinstance(content, dict) else ()
    return {name: value for name, value in items if isinstance(name, str) and isinstance(value, torch.Tensor)}


def _confine(size: int) -> None:
    """From here on: reading only, bounded time, memory and output. Safetensors writes from Rust, past the hook."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if event in REFUSED or writes:
            raise PermissionError(f"it tried {event}, which no weights need")

    if sys.platform != "win32":
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if sys.platform == "linux" else 0
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + SPARE, size + SPARE))
        if used:
            resource.setrlimit(resource.RLIMIT_AS, (used + 3 * size + SPARE,) * 2)
    sys.addaudithook(refuse)


def _say(_: type[BaseException], error: BaseException, __: Any) -> None:
    """The reason alone as the last line, without torch's advice to load the file all the same."""
    text = " ".join(str(error).split()) or type(error).__name__
    print(text.partition("WeightsUnpickler error: ")[2].partition(". ")[0] or text, file=sys.stderr)


if __name__ == "__main__":
    sys.excepthook = _say
    _convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

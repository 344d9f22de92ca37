"""Which stages of a run are done, and from what: a second run skips them, a changed setting redoes what depends on it."""

import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from emojudge import __version__
from emojudge.progress import say
from emojudge.runs import RunFolder
from emojudge.storage import alone, digest, read_json, write_json

PACKAGES = ("numpy", "scikit-learn", "torch", "transformers", "xllamacpp", "openai")
"""Their versions are recorded with every run."""


class Stages:
    """The stages of one run folder, recorded in its run.json.

    A stage is made from its settings and from the stages before it. Where that digest and its files are
    there already, its work is not done again.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        path = run.file("run.json")
        self.about: dict[str, Any] = read_json(path) if path.exists() else {}
        self.done: dict[str, dict[str, Any]] = self.about.get("stages", {})

    def do(
        self,
        name: str,
        settings: Any,
        after: Sequence[str],
        outputs: Sequence[Path],
        work: Callable[[], Any],
        *,
        again: bool = False,
    ) -> bool:
        """Do `work` unless it is done; return whether it was needed.

        Raises:
            DataError: another process is at work in the folder.
        """
        made_from = digest([name, settings, [self.done.get(stage, {}).get("made_from") for stage in after]])
        known = self.done.get(name, {})
        if not again and known.get("made_from") == made_from and all(path.exists() for path in outputs):
            return False
        started = time.monotonic()
        with alone(self.run.root):
            say(f"{name} …")
            work()
        self.done[name] = {"made_from": made_from, "seconds": round(time.monotonic() - started, 2)}
        self.write()
        return True

    def write(self, **facts: Any) -> None:
        """Write run.json: settings, versions, machine, commands, `facts`, and the stages so far."""
        command = " ".join(["emojudge", *sys.argv[1:]])
        known = self.about.get("commands", [self.about[name] for name in ("command",) if name in self.about])
        self.about |= facts | {
            "name": self.run.config.name,
            "config": self.run.config.model_dump(mode="json"),
            "folds": list(self.run.folds),
            "versions": versions(),
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "command": command,
            "commands": list(dict.fromkeys([*known, command])),
            "stages": self.done,
        }
        write_json(self.run.file("run.json"), self.about)


def stamp(path: str | None) -> tuple[int, int] | None:
    """Size and time of a recording: a changed file redoes what depends on it."""
    try:
        about = Path(path).stat() if path else None
    except OSError:
        return None
    return (about.st_size, about.st_mtime_ns) if about else None


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    found = {"emojudge": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

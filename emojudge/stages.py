"""Which stages of a run are done, and from what: a second run skips them, a changed setting redoes what depends on it."""

import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from emojudge import __version__
from emojudge.progress import say
from emojudge.runs import RunFolder
from emojudge.storage import alone, digest, read_json, write_json

PACKAGES = ("numpy", "scikit-learn", "torch", "transformers", "xllamacpp", "openai")
"""Their versions are recorded with every run."""
SHOWN = 8
"""Changed settings that are named; there may be hundreds after an update."""


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
        self._changes = list(differences(self.about.get("config", {}), run.config.model_dump(mode="json"))) if self.done else []

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
            if known and known.get("made_from") != made_from:
                self.tell_changes()
            say(f"{name} …")
            work()
        self.done[name] = {"made_from": made_from, "seconds": round(time.monotonic() - started, 2)}
        self.write()
        return True

    def tell_changes(self) -> None:
        """Say, once, which settings are not what this folder was made with: what follows is done again because of them."""
        if self._changes:
            more = f"; and {len(self._changes) - SHOWN} more" if len(self._changes) > SHOWN else ""
            changes = "; ".join(self._changes[:SHOWN]) + more
            say(f"{self.run.root} was made with other settings: {changes}. Each stage that depends on them is done again.")
            self._changes = []

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


def differences(before: Any, after: Any, name: str = "") -> Iterator[str]:
    """Settings that differ, by their dotted names, with both values.

    >>> list(differences({"judge": {"threshold": 0.3, "ask": "all"}}, {"judge": {"threshold": 0.1, "ask": "all"}}))
    ['judge.threshold 0.3 → 0.1']
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in {**before, **after}:
            yield from differences(before.get(key), after.get(key), f"{name}.{key}" if name else key)
    elif before != after:
        values = (repr(value) for value in (before, after))
        yield f"{name} {' → '.join(value if len(value) < 60 else value[:57] + '...' for value in values)}"


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

"""`"name[:argument]"` → the module that implements it.

The folder is the registry: `emojudge/corpora/ravdess.py` is the corpus `ravdess`. Other packages add
theirs through the entry-point groups `emojudge.corpora`, `emojudge.encoders`, `emojudge.transcribers`,
`emojudge.judges`, `emojudge.writers` and `emojudge.engines`.
"""

import difflib
import pkgutil
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from emojudge.errors import UnknownName

FOLDERS = {
    "corpora": "corpus",
    "transcribers": "transcriber",
    "encoders": "encoder",
    "judges": "judge",
    "writers": "format",
    "engines": "engine",
}
"""Each folder, and what one of its files is called."""


def names(folder: str) -> list[str]:
    """All names in `folder`, sorted; files that begin with an underscore are parts of others.

    >>> "ravdess" in names("corpora")
    True
    """
    found = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / folder)])}
    ours = {name for name in found if not name.startswith("_")}
    return sorted(ours | {entry.name for entry in entry_points(group=f"emojudge.{folder}")})


def resolve(folder: str, spec: str) -> tuple[ModuleType, str]:
    """The module and the argument of `spec`.

    >>> module, argument = resolve("corpora", "ravdess:/data/RAVDESS")
    >>> module.__name__, argument
    ('emojudge.corpora.ravdess', '/data/RAVDESS')

    Raises:
        UnknownName: nothing goes by that name; the nearest is suggested.
    """
    name, _, argument = spec.partition(":")
    for entry in entry_points(group=f"emojudge.{folder}", name=name):
        return entry.load(), argument
    known = names(folder)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
        raise UnknownName(f"There is no {FOLDERS[folder]} {name!r}; {hint}")
    return import_module(f"emojudge.{folder}.{name}"), argument

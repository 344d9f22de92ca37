"""Progress on standard error, so that standard output holds results only."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from emojudge import distributed

T = TypeVar("T")


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` behind a progress bar; silent where standard error is no terminal.

    >>> list(track([1, 2], "Reading"))
    [1, 2]
    """
    if not sys.stderr.isatty() or not distributed.leads():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as bar

    yield from bar(items, description=label, total=total, console=Console(stderr=True), transient=True)


_hushed = False


@contextmanager
def hushed() -> Iterator[None]:
    """Nothing is said meanwhile."""
    global _hushed  # noqa: PLW0603 (as standard error, there is one)
    before, _hushed = _hushed, True
    try:
        yield
    finally:
        _hushed = before


def say(message: str) -> None:
    """One line for the person watching, on standard error."""
    if distributed.leads() and not _hushed:
        print(message, file=sys.stderr, flush=True)

"""JSON Lines: one segment a line with everything that is known of it, for programs."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from emojudge.storage import write_jsonl
from emojudge.timeline import Timeline

SUFFIX = ".jsonl"


def write(timeline: Timeline, path: Path) -> None:
    """Keys that have nothing to hold are left out; times are seconds."""
    several([timeline], path)


def several(timelines: Iterable[Timeline], path: Path) -> None:
    """The same of many recordings, as they come."""
    write_jsonl(path, chain.from_iterable(one.rows() for one in timelines))

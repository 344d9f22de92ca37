"""JSON Lines: one segment a line with everything that is known of it, for programs."""

from pathlib import Path

from emojudge.storage import write_jsonl
from emojudge.timeline import Timeline

SUFFIX = ".jsonl"


def write(timeline: Timeline, path: Path) -> None:
    """Keys that have nothing to hold are left out; times are seconds."""
    write_jsonl(path, timeline.rows())

"""Audacity labels: start, end and caption with tabs between, for File > Import > Labels.

The format: https://manual.audacityteam.org/man/importing_and_exporting_labels.html.
"""

from pathlib import Path

from emojudge.storage import atomic
from emojudge.timeline import Timeline

SUFFIX = ".labels.txt"


def write(timeline: Timeline, path: Path) -> None:
    """One label a segment; times are seconds."""
    lines = [f"{one.start:.6f}\t{one.end:.6f}\t{one.caption}\n" for one in timeline.segments]
    with atomic(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")

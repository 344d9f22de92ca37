"""SubRip subtitles: emotion, speaker and words of each segment, for any player."""

from pathlib import Path

from emojudge.storage import atomic
from emojudge.timeline import Timeline

SUFFIX = ".srt"


def write(timeline: Timeline, path: Path) -> None:
    """Numbered captions, as `Segment.caption`, each on one line."""
    captions = [
        f"{number}\n{clock(one.start)} --> {clock(one.end)}\n{one.caption.replace('-->', '→')}\n"
        for number, one in enumerate(timeline.segments, 1)
    ]
    with atomic(path) as temporary:
        temporary.write_text("\n".join(captions), encoding="utf-8")


def clock(seconds: float, mark: str = ",") -> str:
    """Hours, minutes, seconds and milliseconds.

    >>> clock(3723.0049)
    '01:02:03,005'
    """
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"

"""WebVTT captions (W3C): emotion, speaker and words of each segment, for browsers; speakers are voice spans."""

from html import escape
from pathlib import Path

from emojudge.storage import atomic
from emojudge.timeline import Segment, Timeline
from emojudge.writers.srt import clock

SUFFIX = ".vtt"


def write(timeline: Timeline, path: Path) -> None:
    """Cues in order; text is escaped, so that no transcript becomes markup."""
    cues = [f"{clock(one.start, '.')} --> {clock(one.end, '.')}\n{_cue(one)}\n" for one in timeline.segments]
    note = [f"NOTE\n{_one_line(timeline.notice)}\n"] if timeline.notice else []
    with atomic(path) as temporary:
        temporary.write_text("\n".join(["WEBVTT\n", *note, *cues]), encoding="utf-8")


def _cue(one: Segment) -> str:
    label = f"[{one.emotion} {one.confidence:.0%}]" if one.emotion else ""
    said = escape(_one_line(" ".join(filter(None, (label, one.text)))) or "speech", quote=False)
    return f"<v {escape(_one_line(one.speaker), quote=False)}>{said}" if one.speaker else said


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("-->", "→")

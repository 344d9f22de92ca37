"""Praat TextGrid (long text format): a tier for each of emotion, confidence, speaker, words and attribute.

The format: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html. Intervals tile the recording; where nobody
speaks they are empty.
"""

from collections.abc import Iterable
from pathlib import Path

from emojudge.storage import atomic
from emojudge.timeline import Timeline

SUFFIX = ".TextGrid"

Interval = tuple[float, float, str]


def write(timeline: Timeline, path: Path) -> None:
    """Interval tiers from 0 to the recording's end."""
    tiers = [(name, _tile(intervals, timeline.seconds)) for name, intervals in tiers_of(timeline).items()]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {timeline.seconds:.6f}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers, 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}"]
        lines += ["        xmin = 0", f"        xmax = {timeline.seconds:.6f}", f"        intervals: size = {len(intervals)}"]
        for place, (start, end, text) in enumerate(intervals, 1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start:.6f}", f"            xmax = {end:.6f}"]
            lines += [f"            text = {_quoted(text)}"]
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def tiers_of(timeline: Timeline) -> dict[str, list[Interval]]:
    """Every tier that has something to say, and emotion in any case."""
    tiers: dict[str, list[Interval]] = {"emotion": [], "confidence": [], "speaker": [], "text": [], "words": []}
    for one in timeline.segments:
        said = {"emotion": one.emotion, "speaker": one.speaker, "text": one.text}
        said |= {"confidence": f"{one.confidence:.3f}" if one.confidence is not None else None}
        said |= {name: f"{value:.3f}" for name, value in one.attributes.items()}
        for name, value in said.items():
            if value:
                tiers.setdefault(name, []).append((one.start, one.end, value))
        tiers["words"] += [(word["start"], word["end"], word["word"]) for word in one.words]
    return {name: intervals for name, intervals in tiers.items() if intervals or name == "emotion"}


def _tile(intervals: Iterable[Interval], end: float) -> list[Interval]:
    """The intervals with empty ones between them; none overlaps, and none is empty of time."""
    tiled, at = [], 0.0
    for start, stop, text in intervals:
        start, stop = max(start, at), min(stop, end)  # noqa: PLW2901
        if stop - start < 1e-6:
            continue
        if start - at >= 1e-6:
            tiled.append((at, start, ""))
        tiled.append((start, stop, text))
        at = stop
    return [*tiled, (at, end, "")] if end - at >= 1e-6 or not tiled else tiled


def _quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace('"', '""') + '"'

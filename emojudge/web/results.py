"""What the page shows of recordings, as HTML that holds everything: sound, figures, files. The server keeps nothing of it."""

import base64
import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import registry
from emojudge.errors import MissingExtra
from emojudge.explanation import REASONS
from emojudge.plane import AXES, track
from emojudge.players import flac
from emojudge.timeline import Segment, Timeline

COLOURS = {"Angry": "harm", "Sad": "audio", "Happy": "text", "Surprise": "early", "Fear": "judge", "Disgust": "fusion"} | {
    "Contempt": "muted",
    "Neutral": "rest",
}
"""Variables of the palette; emotions of other names get those that are left."""
COLUMNS = 240
"""Bars of a waveform."""
CLOUD = 300
"""Clips that are drawn behind the segments, at most."""


@dataclass(frozen=True)
class Clip:
    """A recording that was told."""

    timeline: Timeline
    samples: np.ndarray


@dataclass
class Results:
    """Makes the page's HTML. `labels` are the run's emotions; `cloud` is valence and arousal of other clips."""

    labels: Sequence[str]
    cloud: Sequence[tuple[float, float]] = ()
    colours: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.colours = colours(self.labels)
        step = -(-len(self.cloud) // CLOUD) or 1
        self.cloud = self.cloud[::step]

    def render(self, clips: Sequence[Clip]) -> str:
        """One recording, or two side by side. Everything from outside is escaped.

        Raises:
            MissingExtra: jinja2 or matplotlib is not installed.
        """
        shown = [self._clip(clip, number) for number, clip in enumerate(clips)]
        return template("page_results.html.jinja").render(clips=shown, rows=self._rows(clips) if len(clips) > 1 else [])

    def _clip(self, clip: Clip, number: int) -> dict[str, Any]:
        told = clip.timeline
        whole = overall(told)
        return {
            "name": told.name,
            "seconds": told.seconds,
            "emotions": sorted(whole.get("emotions", {}).items(), key=lambda pair: -pair[1]),
            "attributes": [(name, value, told.errors.get(name)) for name, value in whole.get("attributes", {}).items()],
            "colours": self.colours,
            "segments": [self._segment(one) for one in told.segments],
            "wave": self._wave(clip),
            "columns": COLUMNS,
            "bands": [(name, [_band(one, told.seconds, name) for one in told.segments]) for name in told.emotions],
            "ticks": ticks(told.seconds),
            "plane": self._plane(told, f"plane-{number}"),
            "sound": flac(np.clip(clip.samples, -1, 1)),
            "files": files(told),
        }

    def _colour(self, one: Segment) -> str:
        return self.colours[one.emotion] if one.emotion else "audio"

    def _segment(self, one: Segment) -> dict[str, Any]:
        ranked = sorted(one.scores.get("emotions", {}).items(), key=lambda pair: -pair[1])
        outcome = one.verdict.get("outcome", "")
        return {
            "segment": one,
            "time": f"{clock(one.start)}–{clock(one.end)}",
            "colour": self._colour(one),
            "next": ranked[1] if len(ranked) > 1 else None,
            "outcome": REASONS.get(outcome, outcome),
        }

    def _wave(self, clip: Clip) -> list[tuple[str, str]]:
        """SVG paths in a box of COLUMNS × 100, one for each colour."""
        peaks = envelope(clip.samples)
        times = (np.arange(len(peaks)) + 0.5) * clip.timeline.seconds / len(peaks)
        chosen = ["rule"] * len(peaks)
        for one in clip.timeline.segments:
            for inside in np.flatnonzero((times >= one.start) & (times < one.end)):
                chosen[inside] = self._colour(one)
        paths: dict[str, str] = {}
        for column, (peak, colour) in enumerate(zip(peaks, chosen, strict=True)):
            paths[colour] = paths.get(colour, "") + f"M{column + 0.5} {50 - 48 * peak:.1f}V{50 + 48 * peak:.1f}"
        return list(paths.items())

    def _plane(self, told: Timeline, name: str) -> str:
        if not told.segments or not set(AXES) <= set(told.segments[0].attributes):
            return ""
        points = [(one.attributes["valence"], one.attributes["arousal"], self._colour(one)) for one in told.segments]
        return track(points, self.cloud, name)

    def _rows(self, clips: Sequence[Clip]) -> list[dict[str, Any]]:
        """Emotions, then attributes: what each recording has on the whole."""
        wholes = [overall(clip.timeline) for clip in clips]
        return [
            {"name": name, "colour": self.colours.get(name), "values": [whole[task][name] for whole in wholes]}
            for task in ("emotions", "attributes")
            if all(task in whole for whole in wholes)
            for name in wholes[0][task]
        ]


def template(name: str) -> Any:
    """A template of the page; what is put into it is escaped.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra("The page", "web") from None
    loader = PackageLoader("emojudge")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["svg"] = Markup  # only figures.py's own output passes through it
    environment.filters["clock"] = clock
    return environment.get_template(name)


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A variable of the palette for each emotion: its own, else one that is free, else the ink.

    >>> colours(["Sad", "Calm", "Angry"])
    {'Sad': 'audio', 'Calm': 'text', 'Angry': 'harm'}
    """
    free = iter([colour for name, colour in COLOURS.items() if name not in labels])
    return {name: COLOURS[name] if name in COLOURS else next(free, "ink") for name in labels}


def overall(told: Timeline) -> dict[str, Mapping[str, float]]:
    """Each task's scores over the whole recording: the mean of its segments, by their length."""
    if not told.segments:
        return {}
    lengths = np.array([one.end - one.start for one in told.segments])
    return {
        task: {name: float(np.average([one.scores[task][name] for one in told.segments], weights=lengths)) for name in scores}
        for task, scores in told.segments[0].scores.items()
    }


def envelope(samples: np.ndarray) -> np.ndarray:
    """The largest absolute value in each of COLUMNS stretches, as a share of the largest of all; (samples,) → (COLUMNS,).

    >>> envelope(np.array([0.0, 0.5, -1.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    starts = np.unique(np.linspace(0, len(samples), COLUMNS, endpoint=False).astype(int))
    peaks = np.maximum.reduceat(np.abs(samples), starts)
    return peaks / max(float(peaks.max()), 0.02)  # a silent room is not blown up to a storm


def ticks(seconds: float) -> list[tuple[float, str]]:
    """Places (% of the width) and words of at most seven marks on the time axis.

    >>> ticks(8.0)
    [(0.0, '0:00'), (25.0, '0:02'), (50.0, '0:04'), (75.0, '0:06')]
    """
    step = next(step for step in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600) if seconds / step <= 6.5 or step == 3600)
    return [(100 * at / seconds, clock(at)) for at in range(0, int(seconds) + 1, step) if at <= 0.93 * seconds]


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(83.4)
    '1:23'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _band(one: Segment, seconds: float, name: str) -> dict[str, Any]:
    """A segment's place in % of the width, and the share of one emotion in it."""
    place = {"left": 100 * one.start / seconds, "width": 100 * (one.end - one.start) / seconds}
    return {**place, "share": one.scores["emotions"][name], "chosen": name == one.emotion, "segment": one}


def files(told: Timeline) -> list[dict[str, str]]:
    """The timeline in every format that is installed, each as a data URI; a folder becomes a ZIP file."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for form in registry.names("writers"):
            module, _ = registry.resolve("writers", form)
            path = Path(folder) / f"results{module.SUFFIX}"
            try:
                module.write(told, path)
            except MissingExtra:
                continue
            suffix, content = (f"{module.SUFFIX}.zip", _zipped(path)) if path.is_dir() else (module.SUFFIX, path.read_bytes())
            uri = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
            about = str(module.__doc__).partition("\n")[0]
            made.append({"format": form, "name": f"{Path(told.name).stem}{suffix}", "uri": uri, "about": about})
    return made


def _zipped(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return out.getvalue()

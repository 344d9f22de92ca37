"""Recordings of any length (`emojudge predict FILES`, `emojudge listen`): all of it ours, the paper's clips being cut already."""

from typing import Literal

from pydantic import Field

from emojudge.settings.base import Positive, Settings, Share


class RecordingSettings(Settings):
    """Long recordings: where speech is, how it is cut, who speaks, how results are smoothed (all ours)."""

    max_seconds: Positive | None = None
    """Longer recordings are refused; None takes any length, since memory does not grow with it."""
    isolate: bool = False
    """Decode each file in a process of its own, with bounded time and memory and no keys, at 0.3 s a file: for recordings from
    strangers. The service and the page always do."""
    activity: Literal["auto", "silero", "energy"] = "auto"
    """Who tells speech from the rest: Silero VAD (extra `vad`), the plain level, or Silero where it is installed."""
    threshold: Share = 0.5
    """Probability from which a frame of 32 ms is speech; speech goes on down to 0.15 less."""
    min_speech: Positive = 0.3
    """Seconds; shorter bursts are left out."""
    min_silence: Positive = 0.4
    """Seconds of silence that end a segment."""
    pad: float = Field(0.1, ge=0, le=0.2)
    """Seconds kept before and after the speech of a segment."""
    max_segment: float = Field(20.0, ge=1)
    """Seconds; a longer segment is cut at its quietest place in the second half of that time."""
    smoothing: float = Field(3.0, ge=0)
    """Seconds over which neighbouring segments count: the weight of another falls by e with each; 0 is off."""
    window: Positive = 4.0
    """Live: seconds that are looked at each time."""
    hop: Positive = 1.0
    """Live: seconds between looks."""
    turns: str = "statistics"
    """Who finds the speakers: "statistics" of the voice, or "pyannote:PIPELINE" (extra `pyannote`)."""

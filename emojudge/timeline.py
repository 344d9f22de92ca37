"""What was found in a recording: its segments in order, and the same as rows that every format is written from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Scores = Mapping[str, float]


@dataclass
class Segment:
    """A stretch of speech, from `start` to `end` seconds of the recording.

    `alone` holds the last system's scores by task ("emotions", "attributes") of the segment by itself, `scores` the same with
    its neighbours' counted in. `words` are mappings of word, start, end (seconds of the recording) and confidence; `verdict` is
    what a judge said.
    """

    start: float
    end: float
    text: str | None = None
    words: Sequence[Mapping[str, Any]] = ()
    speaker: str | None = None
    alone: dict[str, Scores] = field(default_factory=dict)
    scores: dict[str, Scores] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)

    @property
    def emotion(self) -> str | None:
        """The most probable emotion, where the run has emotions."""
        found = self.scores.get("emotions")
        return max(found, key=found.__getitem__) if found else None

    @property
    def confidence(self) -> float | None:
        """Its probability."""
        return self.scores["emotions"][str(self.emotion)] if self.emotion else None

    @property
    def attributes(self) -> Scores:
        """Values by name; none where the run has no attributes."""
        return self.scores.get("attributes", {})

    @property
    def caption(self) -> str:
        """Speaker, emotion and words on one line, as subtitles show them.

        >>> Segment(0, 1, "No!", speaker="A", scores={"emotions": {"Angry": 0.8, "Sad": 0.2}}).caption
        'A [Angry 80%]: No!'
        """
        label = f"[{self.emotion} {self.confidence:.0%}]" if self.emotion else ""
        before = " ".join(filter(None, (self.speaker, label)))
        said = " ".join((self.text or "").split())
        return ": ".join(filter(None, (before, said))) or "speech"


@dataclass
class Timeline:
    """A recording's segments. `errors` says how far off each attribute typically is: the mean over the run's dev clips."""

    name: str
    seconds: float
    segments: list[Segment] = field(default_factory=list)
    errors: Scores = field(default_factory=dict)
    notice: str = ""
    path: str | None = None

    @property
    def emotions(self) -> list[str]:
        """The labels, in the run's order."""
        return list(self.segments[0].scores.get("emotions", ())) if self.segments else []

    def rows(self) -> Iterator[dict[str, Any]]:
        """One nested mapping for each segment, for JSON; what is not known is left out."""
        for one in self.segments:
            row = {
                "file": self.path or self.name,
                "start": round(one.start, 3),
                "end": round(one.end, 3),
                "speaker": one.speaker,
                "text": one.text,
                "words": [dict(word) for word in one.words],
                "emotion": one.emotion,
                "confidence": one.confidence and round(one.confidence, 4),
                **{task: _rounded(scores) for task, scores in one.scores.items()},
                "attribute_error": _rounded(self.errors),
                "alone": {task: _rounded(scores) for task, scores in one.alone.items()},
                "judge": dict(one.verdict),
            }
            yield {key: value for key, value in row.items() if value not in (None, "", [], {})}

    def flat(self) -> list[dict[str, Any]]:
        """The same without nesting, for tables: every row has the same columns, None where something is not known."""
        nested = ("words", "emotions", "attributes", "attribute_error", "alone", "judge")
        first: dict[str, Any] = dict.fromkeys(("file", "start", "end", "speaker", "text", "emotion", "confidence"))
        found = []
        for row, one in zip(self.rows(), self.segments, strict=True):
            flat = first | {key: value for key, value in row.items() if key not in nested}
            flat |= {f"p_{name}": value for name, value in row.get("emotions", {}).items()}
            flat |= row.get("attributes", {}) | {f"{name}_error": value for name, value in row.get("attribute_error", {}).items()}
            flat |= {"judge_label": one.verdict.get("label"), "judge_reason": one.verdict.get("reason")} if one.verdict else {}
            found.append(flat)
        columns = dict.fromkeys(key for row in found for key in row)
        return [dict(columns) | row for row in found]


def _rounded(scores: Scores) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}


def smooth(times: Sequence[float], weights: Sequence[float], values: np.ndarray, seconds: float) -> np.ndarray:
    """Each row of `values` (N, K) as the mean over all rows, which count the less the further off they are in time.

    A row counts as its weight times exp(-distance / `seconds`). Two passes, forward and backward, so that it takes no more time
    or memory for long recordings than their length. A mean of probabilities is never surer than what it was made from, which
    a hidden Markov model on them would be.

    >>> smooth([0, 1, 2], [1, 1, 1], np.array([[0.0], [3.0], [0.0]]), 1e9).round(3).ravel().tolist()
    [1.0, 1.0, 1.0]
    >>> smooth([0, 1], [1, 1], np.array([[0.0], [3.0]]), 0).ravel().tolist()
    [0.0, 3.0]
    """
    if seconds == 0 or not len(values):
        return values
    own = np.column_stack([values * np.asarray(weights, float)[:, None], weights])  # the last column: what all counts together
    fading = np.exp(-np.diff(times) / seconds)
    forward, backward = own.copy(), own.copy()
    for i, fade in enumerate(fading):
        forward[i + 1] += fade * forward[i]
    for i in range(len(fading) - 1, -1, -1):
        backward[i] += fading[i] * backward[i + 1]
    total = forward + backward - own
    return total[:, :-1] / total[:, -1:]


def settle(segments: Sequence[Segment], seconds: float) -> None:
    """Fill in `scores` from `alone`, smoothed over each speaker's segments by their length."""
    for speaker, task in {(one.speaker, task) for one in segments for task in one.alone}:
        own = [one for one in segments if one.speaker == speaker and task in one.alone]
        times = [(one.start + one.end) / 2 for one in own]
        names = list(own[0].alone[task])
        values = np.array([[one.alone[task][name] for name in names] for one in own])
        for one, row in zip(own, smooth(times, [o.end - o.start for o in own], values, seconds).tolist(), strict=True):
            one.scores[task] = dict(zip(names, row, strict=True))

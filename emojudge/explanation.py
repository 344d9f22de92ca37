"""What happened to one clip, stage by stage: what `emojudge say` shows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from emojudge.errors import DataError
from emojudge.prompts import describe
from emojudge.types import Cues, Prediction, Verdict

REASONS = {
    "changed": "is confident enough to change the label",
    "kept_agree": "agrees",
    "kept_low_confidence": "would change the label, but is not confident enough",
}
"""What the commonest of `emojudge.refine.REASONS` say in words."""


@dataclass
class Explanation:
    """One clip, stage by stage. `predictions` are by task, then by system; `seconds` by stage."""

    id: str
    text: str | None = None
    cues: Cues | None = None
    predictions: dict[str, dict[str, Prediction]] = field(default_factory=dict)
    verdict: Verdict | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notice: str = ""

    @property
    def label(self) -> str:
        """The last system's emotion: judged, else fused, else the only model's.

        Raises:
            DataError: the run has no emotions.
        """
        if "emotions" not in self.predictions:
            raise DataError("This run predicts attributes only; it has no emotion to give.")
        return list(self.predictions["emotions"].values())[-1].label

    @property
    def voice(self) -> str:
        """The audio description, as the judge reads it."""
        return describe(self.cues) if self.cues else ""

    @property
    def judgement(self) -> str:
        """The verdict in a sentence."""
        if self.verdict is None:
            return ""
        note = self.predictions["emotions"]["judge"].note
        said = f"{self.verdict.judge} says {self.verdict.label} ({self.verdict.confidence:.0%}) and {REASONS.get(note, note)}."
        return f"{said} {self.verdict.reason}".strip()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds spent inside to `seconds`."""
        started = time.monotonic()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - started

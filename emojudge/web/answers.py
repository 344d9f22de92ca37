"""What the service answers with, as its OpenAPI schema shows it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from emojudge.prompts.cleaning import clean
from emojudge.timeline import Timeline
from emojudge.web.problems import Problem

NAME_CHARACTERS = 100
"""Of a file's name that are sent back."""


class Spoken(BaseModel):
    """A word, with its times in seconds of the recording."""

    word: str
    start: float
    end: float
    confidence: float


class Judgement(BaseModel):
    """What the judge said of a segment."""

    label: str | None = None
    confidence: float | None = None
    reason: str = ""
    outcome: str = Field("", description="What became of it, as docs/formats.md names it: changed, kept_agree …")


class Part(BaseModel):
    """A segment of speech; what the models do not tell is left out."""

    start: float = Field(description="Seconds into the recording.")
    end: float
    text: str | None = Field(None, description="What is said.")
    words: list[Spoken] | None = None
    emotion: str | None = Field(None, description="The most probable one.")
    confidence: float | None = Field(None, description="Its probability.")
    emotions: dict[str, float] | None = Field(None, description="A probability for each emotion.")
    attributes: dict[str, float] | None = Field(None, description="Valence, arousal and dominance, in the run's own scale.")
    judge: Judgement | None = None


class Answer(BaseModel):
    """A recording, segment by segment; a whole clip is one segment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "clip.wav",
                    "seconds": 2.4,
                    "segments": [
                        {
                            "start": 0.0,
                            "end": 2.4,
                            "text": "We got the keys!",
                            "emotion": "Happy",
                            "confidence": 0.71,
                            "emotions": {"Happy": 0.71, "Neutral": 0.29},
                        }
                    ],
                }
            ]
        }
    )
    name: str = Field(description="The file's name as it was sent, cut; nothing is opened by it.")
    seconds: float
    segments: list[Part]
    attribute_error: dict[str, float] | None = Field(None, description="How far off attributes are on the run's dev clips.")
    notice: str | None = Field(None, description="What every output of this run must say.")


class Ticket(BaseModel):
    """A job."""

    id: str = Field(description="Whoever has it can read and delete the job.")
    status: Literal["waiting", "running", "done", "failed"]
    name: str
    heard: float = Field(0.0, description="Seconds of the recording that are done.")
    result: Answer | None = None
    problem: Problem | None = None


class Health(BaseModel):
    """How the service is."""

    status: Literal["loading", "ready", "failed"]


def answer(told: Timeline) -> Answer:
    """A timeline as it is sent."""
    shown = set(Part.model_fields)
    parts: list[Any] = [{key: value for key, value in row.items() if key in shown} for row in told.rows()]
    errors = {name: round(value, 4) for name, value in told.errors.items()}
    about: dict[str, Any] = {"attribute_error": errors or None, "notice": told.notice or None}
    return Answer(name=told.name, seconds=round(told.seconds, 3), segments=parts, **about)


def echoed(name: str | None) -> str:
    r"""A file's name for sending back: what is after its folders, visible characters only, cut.

    >>> echoed("../../etc/pass\u202ewd\x00")
    'passwd'
    """
    return clean((name or "").replace("\\", "/").rpartition("/")[2])[:NAME_CHARACTERS] or "recording"

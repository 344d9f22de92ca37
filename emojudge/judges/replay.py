"""Recorded answers: `replay:verdicts.jsonl`. No network, no key, no cost, and the same result to the last bit.

A recording is a run's `verdicts.jsonl` or what `emojudge judge-record` writes. An answer is found by the digest of its request,
so it serves only a prompt, label order, temperature and predicted label that are exactly those it was given for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emojudge.answers import Reply
from emojudge.errors import JudgeError
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings
from emojudge.storage import read_jsonl
from emojudge.types import Verdict


def open(argument: str, settings: JudgeSettings) -> "ReplayJudge":
    """The judge whose answers the file `argument` holds.

    Raises:
        DataError: the file cannot be read as verdicts.
        JudgeError: it holds answers of no judge or of several.
    """
    verdicts = recorded(Path(argument).expanduser())
    names = sorted({verdict.judge for verdict in verdicts.values()})
    if len(names) != 1:
        raise JudgeError(f"{argument} holds answers of {len(names)} judges {names}; a recording has exactly one.")
    return ReplayJudge(names[0], verdicts, argument)


def recorded(path: Path) -> dict[str, Verdict]:
    """The answers of a recording by their requests' digests.

    Raises:
        DataError: the file cannot be read as verdicts.
    """
    return {verdict.key: verdict for verdict in read_jsonl(path, _verdict)}


def _verdict(id: str = "", model: str = "", prompt_id: str = "", date: str = "", **answer: Any) -> Verdict:
    """A line; model, prompt and day are there for people."""
    return Verdict(id, **answer)


@dataclass(frozen=True)
class ReplayJudge:
    """Goes by the name of the judge it recorded."""

    name: str
    verdicts: Mapping[str, Verdict]
    source: str
    remote: bool = False
    recorded: bool = True

    def knows(self, prompt: Prompt) -> bool:
        """Whether there is an answer."""
        return prompt.key(self.name) in self.verdicts

    def judge(self, prompts: Sequence[Prompt]) -> Iterator[Reply]:
        """Look each one up.

        Raises:
            JudgeError: there is no answer to a request.
        """
        for prompt in prompts:
            verdict = self.verdicts.get(prompt.key(self.name))
            if verdict is None:
                raise JudgeError(
                    f"{self.source} has no answer to what would be asked about {prompt.id} ({prompt.prompt_id}, "
                    f"predicted {prompt.shown}); replay with the settings of the recording, or ask {self.name} again."
                )
            yield Reply(replace(verdict, id=prompt.id))

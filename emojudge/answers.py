"""A service's completion → `Verdict`: everything a model may write instead of what it was asked for.

The label must be one of the prompt's own, so nothing that a transcript makes a model write can be more than one wrong
label of that one clip.
"""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ValidationError

from emojudge.prompts import Prompt
from emojudge.prompts.cleaning import clean
from emojudge.types import Verdict

REASON_CHARACTERS = 500
"""Reasons are cut to this."""

ANSWER_CHARACTERS = 100_000
"""Longer answers are not parsed."""

MOST = 1e9
"""No stated probability is larger, whatever its scale."""

LEAST_MASS = 0.5
"""Of the next token's probability must lie on the labels; otherwise the model was about to say something else."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A verdict, and what is known about how it came about; the ledger keeps both.

    `model` is the name the service resolved; `note` says which parameters it refused; seconds are wall clock.
    """

    verdict: Verdict
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    note: str = ""


def share(value: Any) -> float:
    """A confidence as a share: integers are percents, decimals up to 1 are shares, larger ones percents.

    >>> share(93), share(0.93), share(1), share(1.0)
    (0.93, 0.93, 0.01, 1.0)

    Raises:
        ValueError: no number, or outside the scale.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError("a confidence is a number from 0 to 100")
    return value / 100 if isinstance(value, int) or value > 1 else value


class _Answer(BaseModel):
    """What the JSON Schema of `emojudge.prompts` asks for; extra keys are ignored."""

    label: str
    confidence: Annotated[float, BeforeValidator(share)]
    reason: str = ""
    probabilities: dict[str, Any] = {}


def read(completion: Mapping[str, Any], prompt: Prompt, judge: str) -> Verdict:
    """Read a chat completion (as the OpenAI protocol has it, parsed JSON) as the answer to `prompt`.

    >>> from emojudge.prompts import build
    >>> from emojudge.settings import JudgeSettings
    >>> from emojudge.types import Cues
    >>> prompt = build("a", "Hurray!", Cues("a", 1.0), shown="Sad", labels=("Sad", "Happy"), settings=JudgeSettings())
    >>> message = {"content": '{"label": "happy", "confidence": 93}'}
    >>> verdict = read({"choices": [{"message": message, "finish_reason": "stop"}]}, prompt, "local")
    >>> verdict.label, verdict.confidence, verdict.outcome
    ('Happy', 0.93, 'ok')
    """
    base = Verdict(prompt.id, None, judge=judge, key=prompt.key(judge))
    try:
        choice = completion["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        if message.get("refusal") or finish == "content_filter":
            return replace(base, outcome="refusal", reason=tidy(str(message.get("refusal") or "")))
        if prompt.confidence_from == "logprobs":
            return _from_tokens(choice["logprobs"]["content"][0]["top_logprobs"], prompt, base)
        content = message["content"]
    except (KeyError, IndexError, TypeError, AttributeError):
        return replace(base, outcome="invalid", reason="The answer does not have the parts of a chat completion.")
    if finish == "length":
        return replace(base, outcome="truncated", reason=tidy(str(content)))
    return _from_json(content, prompt, base)


def vote(prompt: Prompt, verdicts: Sequence[Verdict], judge: str) -> Verdict:
    """Several answers to one question as one: the commonest label (the first of equals) with its share of all that were asked.

    Probabilities are shares of the usable answers. Where none is usable, the first stands.

    >>> from emojudge.prompts import build
    >>> from emojudge.settings import JudgeSettings
    >>> from emojudge.types import Cues
    >>> prompt = build("a", "Hi", Cues("a", 1.0), shown="Sad", labels=("Sad", "Happy"), settings=JudgeSettings())
    >>> answers = [Verdict("a", "Sad"), Verdict("a", "Happy"), Verdict("a", "Sad"), Verdict("a", None, outcome="invalid")]
    >>> found = vote(prompt, answers, "local")
    >>> found.label, found.confidence, round(found.probabilities["Sad"], 3)
    ('Sad', 0.5, 0.667)
    """
    usable = [verdict for verdict in verdicts if verdict.outcome == "ok"]
    if not usable:
        return replace(verdicts[0], key=prompt.key(judge))
    votes = Counter(verdict.label for verdict in usable)
    best, count = votes.most_common(1)[0]  # of equals the one that was met first
    said = next(verdict for verdict in usable if verdict.label == best)
    shares = {label: votes[label] / len(usable) for label in prompt.labels}
    return replace(said, probabilities=shares, confidence=count / len(verdicts), key=prompt.key(judge))


def tidy(reason: str) -> str:
    """A reason made printable and short."""
    return clean(reason)[:REASON_CHARACTERS]


def _from_json(content: Any, prompt: Prompt, base: Verdict) -> Verdict:
    """The stated answer, or "invalid" with what is wrong with it."""
    try:
        answer = _Answer.model_validate(_object(content))
    except ValidationError as error:
        first = error.errors()[0]
        return replace(base, outcome="invalid", reason=tidy(f"{'.'.join(map(str, first['loc']))}: {first['msg']}"))
    except (ValueError, RecursionError) as error:
        return replace(base, outcome="invalid", reason=tidy(f"no JSON object ({error})"))
    label = match(answer.label, prompt.labels)
    if label is None:
        return replace(base, outcome="invalid", reason=tidy(f"{answer.label!r} is not an allowed label"))
    probabilities = _clean(answer.probabilities, prompt.labels)
    if prompt.confidence_from == "labels" and label not in probabilities:
        return replace(base, outcome="invalid", reason="no probability for the label")
    confidence = probabilities[label] if prompt.confidence_from == "labels" else answer.confidence
    return replace(base, label=label, probabilities=probabilities, confidence=confidence, reason=tidy(answer.reason))


def _object(content: Any) -> Any:
    """Parse what stands between the first and the last brace, so that fences and chatter around it do not matter."""
    found = re.search(r"\{.*\}", content, re.DOTALL) if isinstance(content, str) else None
    if not found or len(content) > ANSWER_CHARACTERS:
        raise ValueError("empty, too long, or without braces")
    return json.loads(found[0])


def match(label: str, allowed: Sequence[str]) -> str | None:
    r"""The allowed label that `label` is, whatever its case and width.

    >>> match(" ｓａｄ\n", ("Sad", "Happy")), match("sadness", ("Sad", "Happy"))
    ('Sad', None)
    """
    return {_fold(name): name for name in allowed}.get(_fold(label))


def _fold(label: str) -> str:
    return unicodedata.normalize("NFKC", label).casefold().strip()


def _clean(stated: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """Stated probabilities of known labels, scaled to 1; empty where one of them makes no sense."""
    found = {match(name, labels): value for name, value in stated.items()}
    found.pop(None, None)
    if not all(isinstance(value, int | float) and 0 <= value <= MOST for value in found.values()):
        return {}
    total = sum(found.values())
    return {label: found.get(label, 0) / total for label in labels} if total else {}


def _from_tokens(tokens: Sequence[Mapping[str, Any]], prompt: Prompt, base: Verdict) -> Verdict:
    """Probabilities of the labels from the first token's alternatives; the most probable is the answer."""
    mass = dict.fromkeys(prompt.labels, 0.0)
    for token in tokens:
        start = _fold(token["token"]).lstrip("\"'*`")
        fitting = [label for label in prompt.labels if start and _fold(label).startswith(start)]
        for label in fitting:  # a beginning that several labels share counts for each in equal parts
            mass[label] += math.exp(min(token["logprob"], 0.0)) / len(fitting)
    total = sum(mass.values())
    if not total >= LEAST_MASS:
        return replace(base, outcome="invalid", reason=f"only {total:.0%} of the next token's probability is on labels")
    probabilities = {label: value / total for label, value in mass.items()}
    best = max(probabilities, key=probabilities.__getitem__)
    return replace(base, label=best, probabilities=probabilities, confidence=probabilities[best])

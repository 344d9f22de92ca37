"""Cues, transcript and predicted label → the messages a judge reads (paper 4.6; PAPER decisions 16, 18, 19).

What is right is never an argument here, so no request can depend on it.
"""

import json
import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from emojudge.errors import UnknownName
from emojudge.prompts.cleaning import clean, cut, quote
from emojudge.prompts.scrubbing import scrub
from emojudge.prompts.voice import describe
from emojudge.settings import JudgeSettings
from emojudge.storage import digest
from emojudge.types import Cues

Message = Mapping[str, str]

AGAIN = "Your last answer was not one JSON object with an allowed label. Write nothing else."
"""Added where an answer could not be used (`judge.repair`)."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question about one utterance, complete but for the model that will answer it; one request, or `samples` of them.

    `labels` are in the order in which they are shown. `schema` is the JSON Schema of the answer, None where one word
    is wanted. `prompt_id` names the text and its version, as "paper@1f2e3d4c". `cut` says that the transcript was longer,
    `turned` that the labels are in another order than usual.
    """

    id: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None
    prompt_id: str
    labels: tuple[str, ...]
    shown: str
    temperature: float
    confidence_from: str
    seed: int
    cut: bool = False
    samples: int = 1
    turned: bool = False

    def each(self) -> "Iterator[Prompt]":
        """The requests that it takes: itself, or its samples, which differ in their seeds and so in their keys."""
        if self.samples == 1:
            yield self
        else:
            yield from (replace(self, samples=1, seed=self.seed + 1 + n) for n in range(self.samples))

    def again(self) -> "Prompt":
        """The same question after an answer that could not be used; it quotes nothing of that answer."""
        *before, last = self.messages
        return replace(self, messages=(*before, {**last, "content": f"{last['content']}\n{AGAIN}"}))

    def key(self, judge: str) -> str:
        """The request's digest: equal for the same words to the same judge, whatever the utterance is called."""
        asked = (self.messages, self.schema, self.prompt_id, self.temperature, self.confidence_from, self.seed)
        return digest([judge, *asked])


def build(
    utterance_id: str,
    text: str | None,
    cues: Cues,
    *,
    shown: str,
    labels: Sequence[str],
    settings: JudgeSettings,
    gender: str | None = None,
    turned: bool = False,
) -> Prompt:
    """Fill the prompt that `settings.prompt` names.

    Args:
        utterance_id: goes into the result, not into the messages.
        text: transcript; None and "" mean that there is none.
        cues: the voice, measured.
        shown: the predicted label that is to be judged; a prompt may not tell it, and then the request does not hang on it.
        labels: allowed answers.
        settings: prompt, threshold, `confidence_from`, `max_characters`, `scrub` and `seed` are used.
        gender: told only with `settings.speaker_cues`.
        turned: show the labels in another order than usual; everything else stays.

    >>> prompt = build("a", "I won!", Cues("a", 1.2), shown="Sad", labels=("Sad", "Happy"), settings=JudgeSettings())
    >>> prompt.messages[-2]["content"].splitlines()[1]
    '{"transcript": "I won!"}'

    Raises:
        UnknownName: no prompt goes by that name.
    """
    template, version = _template(settings.prompt)
    words = clean(text or "")
    words, was_cut = cut(scrub(words) if settings.scrub else words, settings.max_characters)
    voice = describe(cues, gender if settings.speaker_cues else None, template.get("numbers", True))
    told = shown if "$shown" in template["clip"] else ""
    seed = digest([version, settings.seed, words, voice, told, list(labels)])
    order = random.Random(seed).sample(list(labels), len(labels))
    if turned and len(order) > 1:
        first = 1 + int(seed[:8], 16) % (len(order) - 1)
        order = order[first:] + order[:first]
    form = "word" if settings.confidence_from == "logprobs" else "json"
    return Prompt(
        id=utterance_id,
        messages=(
            *_opening(settings.prompt, tuple(labels), form, settings.threshold),
            *_turn(template, form, (words, voice, told), order, _boundary(seed, words)),
        ),
        schema=schema(order) if form == "json" else None,
        prompt_id=f"{settings.prompt}@{version[:8]}",
        labels=tuple(order),
        shown=shown,
        temperature=settings.temperature,
        confidence_from=settings.confidence_from,
        seed=settings.seed,
        cut=was_cut,
        samples=int(settings.confidence_from.partition(":")[2] or 1),
        turned=turned,
    )


def schema(labels: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of an answer, strict: reason, a percentage per label, the label, and its confidence in percent."""
    percent = {"type": "integer", "minimum": 0, "maximum": 100}
    return _object(
        reason={"type": "string"},
        probabilities=_object(**dict.fromkeys(labels, percent)),
        label={"type": "string", "enum": list(labels)},
        confidence=percent,
    )


def _object(**properties: Any) -> dict[str, Any]:
    """An object with exactly these properties, in this order."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def version(name: str) -> str:
    """Digest of a prompt file's content: another text is another judge.

    Raises:
        UnknownName: no prompt goes by that name.
    """
    return _template(name)[1]


@cache
def _template(name: str) -> tuple[dict[str, Any], str]:
    """A prompt file and the digest of its content."""
    folder = Path(__file__).parent
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise UnknownName(f"There is no prompt {name!r}; there are {', '.join(known)}.")
    template = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    return template, digest(template)


def _boundary(seed: str, words: str) -> str:
    """Marks where the transcript begins and ends; it hangs on the words themselves, so they cannot contain it."""
    boundary = digest(seed)[:8]
    return boundary if boundary not in words.casefold() else _boundary(digest(seed), words)


def _turn(
    template: Mapping[str, Any], form: str, clip: tuple[str, str, str], order: Sequence[str], boundary: str
) -> list[Message]:
    """What is known about the clip, the transcript in a message of its own, and the question."""
    words, voice, shown = clip
    values = {"boundary": boundary, "voice": voice, "shown": shown, "labels": ", ".join(order)}
    data = f'{boundary}\n{{"transcript": {quote(words)}}}\n{boundary}'
    clip_text, question = (Template(text).substitute(values).strip() for text in (template["clip"], template["answer"][form]))
    return [{"role": "user", "content": content} for content in (clip_text, data, question)]


@cache
def _opening(name: str, labels: tuple[str, ...], form: str, threshold: float) -> tuple[Message, ...]:
    """The rules, and made-up clips with their answers as far as they use allowed labels.

    The same for each request of a run: services cache it, and here it is in memory once, however many prompts there are.
    """
    template = _template(name)[0]
    system = Template(template["system"]).substitute(threshold=f"{threshold * 100:g}")
    messages: list[Message] = [{"role": "system", "content": system.strip()}]
    for number, example in enumerate(template.get("examples", ())):
        shown = example.get("shown", example["label"])  # a prompt that tells no prediction needs none
        if {shown, example["label"]} <= set(labels):
            clip = (example["transcript"], example["voice"].strip(), shown)
            messages += _turn(template, form, clip, labels, digest(number)[:8])
            answer = example["label"] if form == "word" else _example_answer(example, labels)
            messages.append({"role": "assistant", "content": answer})
    return tuple(messages)


def _example_answer(example: Mapping[str, Any], labels: Sequence[str]) -> str:
    """An example's answer in the shape of `schema`; what its label leaves is spread over the others."""
    sure = example["confidence"]
    rest = (100 - sure) // max(1, len(labels) - 1)
    probabilities = {label: sure if label == example["label"] else rest for label in labels}
    answer = {"reason": example["reason"], "probabilities": probabilities, "label": example["label"], "confidence": sure}
    return json.dumps(answer, ensure_ascii=False)

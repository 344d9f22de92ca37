"""What the test double answers: a label drawn from the request's digest, in whatever shape the request asks for.

It reads no transcript and knows nothing; it is the same for the same messages, on every endpoint.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emojudge.storage import digest

MODEL = "toy-judge-1"
REASON = "A test double drew this label; no model read the clip."
SURE = 95


@dataclass(frozen=True)
class Answer:
    """What the assistant says, and how it came to an end."""

    text: str | None
    finish: str = "stop"
    refusal: str | None = None
    likely: Sequence[tuple[str, float]] = ()


def answer(body: Mapping[str, Any]) -> Answer:
    """The toy's answer to a chat completion's or a response's body.

    >>> asked = {"messages": [{"role": "user", "content": "Allowed emotions: Sad, Happy"}], "logprobs": True}
    >>> answer(asked).text in ("Sad", "Happy")
    True
    """
    number = int(digest(messages(body)), 16)
    schema, labels = _schema(body), _labels(body)
    if not labels:
        return Answer(json.dumps(fill(schema, number)) if schema else REASON)
    best = labels[number % len(labels)]
    rest = (100 - SURE) / max(1, len(labels) - 1)
    percent = {label: SURE if label == best else rest for label in labels}
    if body.get("logprobs") or body.get("include"):
        return Answer(best, likely=[(label, math.log(share / 100)) for label, share in percent.items()])
    whole = {label: round(share) for label, share in percent.items()}  # our schema asks for integers
    said = {"reason": REASON, "probabilities": whole, "label": best, "confidence": SURE}
    shape = fill(schema, number) if schema else said
    return Answer(json.dumps({name: said.get(name, value) for name, value in shape.items()}))


def messages(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The conversation, as either endpoint calls it."""
    return body.get("messages") or body.get("input") or ()


def _schema(body: Mapping[str, Any]) -> Any:
    """The JSON Schema that the answer must obey, if one was sent."""
    form = body.get("response_format", {}).get("json_schema") or body.get("text", {}).get("format", {})
    return form.get("schema")


def _labels(body: Mapping[str, Any]) -> list[str]:
    """The emotions that our prompts list; there is nothing else to draw from where no schema was sent."""
    said = str(messages(body)[-1].get("content", "")) if messages(body) else ""
    found = re.search(r"^Allowed emotions: (.+)$", said, re.MULTILINE)
    return found[1].split(", ") if found else []


def fill(schema: Mapping[str, Any], number: int) -> Any:
    """A value that obeys `schema` (objects, enumerations, texts, numbers); `number` draws it.

    >>> fill({"type": "object", "properties": {"label": {"type": "string", "enum": ["Sad", "Happy"]}}}, 3)
    {'label': 'Happy'}
    """
    if "enum" in schema:
        return schema["enum"][number % len(schema["enum"])]
    if schema.get("type") == "object":
        return {name: fill(part, number) for name, part in schema["properties"].items()}
    if schema.get("type") in ("integer", "number"):
        return min(SURE, schema.get("maximum", SURE))
    return REASON


def tokens(body: Mapping[str, Any]) -> int:
    """Tokens of a request, about: four characters each."""
    return sum(len(str(message.get("content", ""))) for message in messages(body)) // 4 + 1


def completion(body: Mapping[str, Any], said: Answer) -> dict[str, Any]:
    """A chat completion."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": said.text, "refusal": said.refusal},
        "finish_reason": said.finish,
    }
    if said.likely:
        choice["logprobs"] = {"content": [_token(said)]}
    spent, written = tokens(body), len(said.text or "") // 4 + 1
    return {
        "id": f"chatcmpl-{digest(messages(body))[:12]}",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "system_fingerprint": "fp_toy",
        "choices": [choice],
        "usage": {"prompt_tokens": spent, "completion_tokens": written, "total_tokens": spent + written},
    }


def response(body: Mapping[str, Any], said: Answer) -> dict[str, Any]:
    """A response (`/v1/responses`)."""
    part: dict[str, Any] = {"type": "output_text", "text": said.text, "annotations": []}
    if said.likely:
        part["logprobs"] = [_token(said)]
    if said.refusal:
        part = {"type": "refusal", "refusal": said.refusal}
    ends = {"length": "max_output_tokens", "content_filter": "content_filter"}
    spent, written = tokens(body), len(said.text or "") // 4 + 1
    return {
        "id": f"resp_{digest(messages(body))[:12]}",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": "incomplete" if said.finish in ends else "completed",
        "incomplete_details": {"reason": ends[said.finish]} if said.finish in ends else None,
        "output": [{"type": "message", "role": "assistant", "status": "completed", "content": [part]}],
        "usage": {"input_tokens": spent, "output_tokens": written, "total_tokens": spent + written},
    }


def _token(said: Answer) -> dict[str, Any]:
    """The first token with its alternatives."""
    ranked = sorted(said.likely, key=lambda pair: -pair[1])
    return {
        "token": ranked[0][0],
        "logprob": ranked[0][1],
        "top_logprobs": [{"token": token, "logprob": logprob} for token, logprob in ranked],
    }

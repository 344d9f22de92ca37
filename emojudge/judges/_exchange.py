"""What is sent to a service of the OpenAI protocol and what comes back: prompt → body → `Reply`.

Chat completions and responses differ in names only; an answer of the latter is read as one of the former.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emojudge.answers import Reply, read, tidy
from emojudge.errors import ConfigError
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings
from emojudge.types import Verdict

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}

ANSWER_TOKENS = 2048
"""At most this many are written; reasoning models count their thoughts in."""

WORD_TOKENS = {"chat": 1, "responses": 16}
"""At most this many where one word is wanted; responses take no smaller number."""

OPTIONAL = ("temperature", "seed", "store", "response_format", "text", "max_completion_tokens", "max_output_tokens")
"""Parameters that some models refuse. Without a schema the answer is checked as before, only less often right."""

CAPABILITIES = (
    (r"gpt-(3\.5|4)(-|$)", {"response_format", "text"}),  # no JSON Schema before gpt-4o
    (r"(o\d|gpt-5)(?!.*-chat)", {"temperature", "seed", "logprobs"}),  # they reason first
)
"""What models are known to refuse, by their names; what others refuse is learnt from their first answer."""


def refusals(model: str) -> set[str]:
    """What `model` is known to refuse.

    >>> sorted(refusals("gpt-4")), sorted(refusals("gpt-4o")), "temperature" in refusals("o3-mini")
    (['response_format', 'text'], [], True)
    """
    return set().union(*(names for pattern, names in CAPABILITIES if re.match(pattern, model)))


@dataclass
class Exchange:
    """Requests to one model and its replies; `refused` grows as the model complains."""

    model: str
    settings: JudgeSettings
    refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.refused |= refusals(self.model)
        if "logprobs" in self.refused and self.settings.confidence_from == "logprobs":
            raise ConfigError(f'{self.model} gives no log-probabilities; use judge.confidence_from = "labels".')

    @property
    def name(self) -> str:
        """Stored with each answer and part of its key: the same however it is delivered, at once or in a batch."""
        return f"openai:{self.model}" + (" (responses)" if self.settings.api == "responses" else "")

    @property
    def path(self) -> str:
        """The endpoint."""
        return PATHS[self.settings.api]

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """The request, without what the model is known to refuse."""
        return {name: value for name, value in self.whole(prompt).items() if name not in self.refused}

    def whole(self, prompt: Prompt) -> dict[str, Any]:
        """The request with everything that is wanted."""
        body: dict[str, Any] = {"model": self.model, "temperature": prompt.temperature, "store": False}
        form = {"name": "verdict", "strict": True, "schema": prompt.schema}
        most = ANSWER_TOKENS if prompt.schema else WORD_TOKENS[self.settings.api]
        if self.settings.api == "responses":
            body |= {"input": list(prompt.messages), "max_output_tokens": most}
            if prompt.schema:
                return body | {"text": {"format": {"type": "json_schema", **form}}}
            return body | {"include": ["message.output_text.logprobs"], "top_logprobs": 20}
        body |= {"messages": list(prompt.messages), "seed": prompt.seed, "max_completion_tokens": most}
        if prompt.schema:
            return body | {"response_format": {"type": "json_schema", "json_schema": form}}
        return body | {"logprobs": True, "top_logprobs": 20}

    def complaint(self, status: int | None, param: str | None, message: str, sent: Mapping[str, Any]) -> bool:
        """Whether a 400 or 422 complains about an optional parameter; if so it is sent no more."""
        if status not in (400, 422):
            return False
        head = (param or "").split(".")[0]
        named = [name for name in OPTIONAL if name in sent and (name == head or (name != "text" and name in message))]
        self.refused.update(named[:1])
        return bool(named)

    def reply(self, prompt: Prompt, answer: Any, seconds: float = 0.0) -> Reply:
        """An answer of the service (JSON, parsed or not), read."""
        try:
            found = json.loads(answer) if isinstance(answer, str | bytes) else answer
            completion = as_completion(found) if found.get("object") == "response" else found
            used = completion.get("usage") or {}
        except (ValueError, AttributeError, RecursionError):
            return self.failure(prompt, "The service answered something that is no JSON object.", seconds)
        dropped = sorted(self.refused & self.whole(prompt).keys())
        return Reply(
            read(completion, prompt, self.name),
            model=f"{completion.get('model') or self.model} {completion.get('system_fingerprint') or ''}".strip(),
            tokens_in=used.get("prompt_tokens") or 0,
            tokens_out=used.get("completion_tokens") or 0,
            seconds=seconds,
            note=f"refused: {', '.join(dropped)}" if dropped else "",
        )

    def failure(self, prompt: Prompt, reason: str, seconds: float = 0.0) -> Reply:
        """No answer: the label stays, and the request may be asked again."""
        key = prompt.key(self.name)
        return Reply(Verdict(prompt.id, None, reason=tidy(reason), judge=self.name, key=key, outcome="error"), seconds=seconds)


def as_completion(response: Mapping[str, Any]) -> dict[str, Any]:
    """A response as the chat completion that says the same.

    >>> part = {"type": "output_text", "text": "Sad"}
    >>> found = as_completion({"output": [{"type": "message", "content": [part]}], "status": "completed"})
    >>> found["choices"][0]["message"]["content"]
    'Sad'
    """
    said = [part for item in response.get("output") or () if item.get("type") == "message" for part in item.get("content") or ()]
    first: Mapping[str, Any] = said[0] if said else {}
    why = (response.get("incomplete_details") or {}).get("reason")
    choice = {
        "message": {"content": first.get("text"), "refusal": first.get("refusal")},
        "finish_reason": {"max_output_tokens": "length", "content_filter": "content_filter"}.get(str(why), "stop"),
        "logprobs": {"content": first.get("logprobs") or []},
    }
    used = response.get("usage") or {}
    usage = {"prompt_tokens": used.get("input_tokens"), "completion_tokens": used.get("output_tokens")}
    return {"choices": [choice], "model": response.get("model"), "usage": usage}

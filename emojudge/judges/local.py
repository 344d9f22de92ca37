"""A GGUF model on this machine, through llama.cpp (extra `local`): nothing leaves it.

`local` or `local:qwen` is Qwen2.5-Coder-1.5B-Instruct from the offline weights (1.1 GB, Apache-2.0), `local:smollm2` is
SmolLM2-135M-Instruct (93 MB, for tests: too small to judge), `local:/models/any.gguf` is any chat model of yours.
Answers are held to the prompt's JSON Schema while they are written. All requests begin alike, so llama.cpp reads the
rules and examples once.
"""

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emojudge import offline
from emojudge.answers import Reply, read, tidy
from emojudge.errors import MissingExtra, ModelError
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings
from emojudge.types import Verdict

CONTEXT = 4096
"""Tokens of prompt and answer together: the rules and examples take about 1,500, 2,000 characters of transcript 700."""

ANSWER_TOKENS = 300
"""At most this many are written; an answer with eight labels takes about 110."""

REASON_CHARACTERS = 200

MOST_THREADS = 4

SENTENCE = {"role": "user", "content": "In one short sentence: which words or which trait of the voice show that?"}
"""Asked after a bare label (`confidence_from = "logprobs"`) that would change the prediction."""

_SENTENCE_TOKENS = 60


def open(argument: str, settings: JudgeSettings) -> "LocalJudge":
    """The judge for "", "qwen", "smollm2" or the path of a GGUF file; the model is loaded when first asked.

    Raises:
        MissingExtra: llama.cpp is not installed.
        ModelError: no such file, or no GGUF.
    """
    offered = {"": ("qwen", offline.qwen_gguf), "qwen": ("qwen", offline.qwen_gguf), "smollm2": ("smollm2", offline.smollm2_gguf)}
    if argument in offered:
        name, find = offered[argument]
        return LocalJudge(f"local:{name}", find(), settings)
    path = Path(argument).expanduser()
    if not _is_gguf(path):
        raise ModelError(f"{path} is no GGUF file; give local:qwen, local:smollm2 or the path of a GGUF chat model.")
    return LocalJudge(f"local:{path.stem}", path, settings)


def named(argument: str, settings: JudgeSettings) -> str:
    """What the judge for `argument` goes by in the ledger; no weights are needed.

    >>> named("", JudgeSettings()), named("/models/any.gguf", JudgeSettings())
    ('local:qwen', 'local:any')
    """
    return f"local:{Path(argument).stem if argument else 'qwen'}"


def _is_gguf(path: Path) -> bool:
    """Whether the file is there and begins as a GGUF file does."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"GGUF"


@dataclass
class LocalJudge:
    """A model in this process."""

    name: str
    path: Path
    settings: JudgeSettings
    remote: bool = False
    recorded: bool = False
    _server: Any = field(default=None, repr=False)

    def judge(self, prompts: Sequence[Prompt]) -> Iterator[Reply]:
        """Answer one after the other."""
        for prompt in prompts:
            begun = time.monotonic()
            yield replace(self._answer(prompt), seconds=time.monotonic() - begun)

    def _answer(self, prompt: Prompt) -> Reply:
        """The model's answer; what llama.cpp refuses, as a prompt beyond the context, is a reply too."""
        completion = self._complete(request(prompt))
        if "error" in completion:
            reason = tidy(f"llama.cpp: {completion['error'].get('message')}")
            return Reply(Verdict(prompt.id, None, reason=reason, judge=self.name, key=prompt.key(self.name), outcome="error"))
        verdict = read(completion, prompt, self.name)
        if prompt.confidence_from == "logprobs" and self._wants_reason(prompt, verdict):
            verdict = replace(verdict, reason=self._explain(prompt, verdict))
        used = completion.get("usage", {})
        weights = self.path.parent.name if self.path.name == "model.gguf" else self.path.name  # offline ones name their folder
        model = f"{weights} {completion.get('system_fingerprint', '')}".strip()
        return Reply(verdict, model, used.get("prompt_tokens", 0), used.get("completion_tokens", 0))

    def _wants_reason(self, prompt: Prompt, verdict: Verdict) -> bool:
        """Whether people will want to know why: the label would change, or `judge.explain` says so."""
        changes = verdict.label != prompt.shown and verdict.confidence > self.settings.threshold
        return verdict.outcome == "ok" and (changes or self.settings.explain == "always")

    def _explain(self, prompt: Prompt, verdict: Verdict) -> str:
        """A sentence about a label already given: it cannot change the label any more."""
        said = {"role": "assistant", "content": verdict.label or ""}
        body = {
            "messages": [*prompt.messages, said, SENTENCE],
            "max_tokens": _SENTENCE_TOKENS,
            "temperature": 0.0,
            "stop": ["\n"],
        }
        choice = self._complete(body)["choices"][0]
        return tidy(choice["message"]["content"] or "")

    def _complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """One chat completion; the model is loaded for the first."""
        if self._server is None:
            self._server = _load(self.path)
        return self._server.handle_chat_completions(dict(body))


def request(prompt: Prompt) -> dict[str, Any]:
    """The body of a chat completion in llama.cpp's dialect of the OpenAI protocol."""
    body: dict[str, Any] = {"messages": list(prompt.messages), "temperature": prompt.temperature, "seed": prompt.seed}
    if prompt.schema is None:
        return body | {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
    form = {"name": "verdict", "strict": True, "schema": _bounded(prompt.schema)}
    return body | {"max_tokens": ANSWER_TOKENS, "response_format": {"type": "json_schema", "json_schema": form}}


def _bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with an end to the reason: small models do not find it alone (services refuse `maxLength`)."""
    reason = {"type": "string", "maxLength": REASON_CHARACTERS}
    return {**schema, "properties": {**schema["properties"], "reason": reason}}


def _load(path: Path) -> Any:
    """A llama.cpp server in this process; requests go to it directly, and its loopback port answers nobody else."""
    try:
        import xllamacpp
    except ImportError:
        raise MissingExtra("The local judge", "local") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    params.verbosity = 0
    params.ui = False
    params.api_keys = [secrets.token_hex(16)]
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelError(f"llama.cpp cannot load {path} ({error}); is it a complete GGUF chat model?") from None


def _threads() -> int:
    """As many as there are idle cores: llama.cpp's threads wait for each other, and one that gets no core stops them all.

    (Two threads on two cores that others use wrote 10 tokens a second where one wrote 100: notes/LOG.md.)
    """
    try:
        busy = min(_running() for _ in range(5))
    except OSError:  # no Linux
        busy = 0
    return max(1, min(MOST_THREADS, (os.cpu_count() or 1) - busy))


def _running() -> int:
    """Tasks that others have on a core, or waiting for one, a moment from now."""
    time.sleep(0.02)
    return int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].split("/")[0]) - 1

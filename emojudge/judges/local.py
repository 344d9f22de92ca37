"""A GGUF model on this machine, through llama.cpp (extra `local`): nothing leaves it.

`local` or `local:qwen` is Qwen2.5-Coder-1.5B-Instruct from the offline weights (1.1 GB, Apache-2.0), `local:smollm2` is
SmolLM2-135M-Instruct (93 MB, for tests: too small to judge), `local:/models/any.gguf` is any chat model of yours.
Answers are held to the prompt's JSON Schema while they are written. All requests begin alike, so llama.cpp reads the
rules and examples once.
"""

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

THREADS = 2

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
            completion = self._complete(request(prompt))
            verdict = read(completion, prompt, self.name)
            if prompt.confidence_from == "logprobs" and self._would_change(prompt, verdict):
                verdict = replace(verdict, reason=self._explain(prompt, verdict))
            used = completion.get("usage", {})
            yield Reply(
                verdict,
                model=f"{self.path.name} {completion.get('system_fingerprint', '')}".strip(),
                tokens_in=used.get("prompt_tokens", 0),
                tokens_out=used.get("completion_tokens", 0),
                seconds=time.monotonic() - begun,
            )

    def _would_change(self, prompt: Prompt, verdict: Verdict) -> bool:
        return verdict.outcome == "ok" and verdict.label != prompt.shown and verdict.confidence > self.settings.threshold

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
        """One chat completion; what llama.cpp refuses (as a prompt beyond the context) is an answer without choices."""
        if self._server is None:
            self._server = _load(self.path)
        try:
            return self._server.handle_chat_completions(dict(body))
        except (ValueError, RuntimeError) as error:
            return {"error": str(error)}


def request(prompt: Prompt) -> dict[str, Any]:
    """The body of a chat completion in llama.cpp's dialect of the OpenAI protocol."""
    body: dict[str, Any] = {"messages": list(prompt.messages), "temperature": prompt.temperature, "seed": prompt.seed}
    if prompt.schema is None:
        return body | {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
    form = {"name": "verdict", "strict": True, "schema": prompt.schema}
    return body | {"max_tokens": ANSWER_TOKENS, "response_format": {"type": "json_schema", "json_schema": form}}


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
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.verbosity = 0
    params.ui = False
    params.api_keys = [secrets.token_hex(16)]
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelError(f"llama.cpp cannot load {path} ({error}); is it a complete GGUF chat model?") from None

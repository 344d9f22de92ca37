"""Whom the judge is asked about, how, and what it takes to change a label."""

from typing import Annotated, Any, Literal

from pydantic import Field

from emojudge.settings.base import Count, Positive, Settings, Share

_MONEY = ("budget_dollars", "budget_tokens", "allow_unknown_price")

DELIVERY = {"consent", "concurrency", "timeout", "batch_size", "queue_tokens", "poll_seconds", "deadline_hours", *_MONEY}
"""Settings that change no answer."""

GATES = ("threshold", "max_margin", "top_k")
"""Settings that decide what an answer may change; they are applied afterwards, so others need no new answers."""


class JudgeSettings(Settings):
    """The judge (paper 4.6)."""

    judge: str = "none"
    """"none", or "openai:gpt-4", "local", "replay:verdicts.jsonl" … Off unless chosen. The paper: GPT-4 (4.6)."""
    prompt: str = "paper"
    """A file under `emojudge/prompts/`, by its stem (decision 18)."""
    ask: str = Field("conflict", pattern=r"^(all|conflict|margin:(0?\.\d+|1(\.0)?|0))$")
    """Whom to ask: everyone (paper 4.6), clips whose models disagree (abstract), or fused margins below T (decision 15)."""
    policy: Literal["threshold", "calibrated"] = "threshold"
    """Change labels above the threshold (paper 4.6), or let the judge's probabilities join the fusion with weights fitted on
    dev (ours); the latter needs dev in `judge.splits`. Where dev was judged, the other policy is scored too."""
    threshold: Share = 0.8
    """Change only above this confidence, strictly (paper 4.6; enforced in code, decision 19)."""
    max_margin: Share | None = None
    """Also change only where the two highest fused scores are less than this apart; None is no such gate (ours)."""
    top_k: Count | None = None
    """Also change only to one of the K highest fused labels; None is no such gate (ours)."""
    temperature: float = Field(0.3, ge=0, le=2)
    """Paper 4.6."""
    confidence_from: str = Field("stated", pattern=r"^(stated|labels|logprobs|samples:([2-9]|[1-9]\d))$")
    """The confidence the judge states, its probability for the label, the label token's log-probability, or the share of K
    answers to the same question that agree ("samples:5"; it takes a temperature above 0, and K times the money)."""
    repair: bool = False
    """Ask once more, and once only, where an answer is no JSON or its label is not allowed (ours)."""
    flip_share: Share = 0.0
    """Share of the judged clips that are asked about a second time, with the labels in another order: how often does the answer
    flip? (ours)."""
    explain: Literal["changes", "always"] = "changes"
    """With log-probabilities, whether a reason is asked for where the label would change, or for every clip (ours)."""
    speaker_cues: bool = False
    """Also tell the judge the speaker's gender (abstract's "speaker indicators"; decision 16)."""
    api: Literal["chat", "responses"] = "chat"
    """Which endpoint of the service: chat completions, which all servers have, or OpenAI's responses."""
    base_url: str | None = None
    """Of an OpenAI-compatible server; None is OpenAI's own."""
    consent: bool = False
    """Must be true before transcripts leave this machine."""
    concurrency: Count = 4
    """Requests in flight."""
    timeout: Positive = 60.0
    """Seconds for one request."""
    budget_dollars: Annotated[float, Field(ge=0)] | None = None
    """Nothing is asked that might make a run folder's answers cost more; None is no limit (ours)."""
    budget_tokens: Count | None = None
    """The same in tokens, in and out; for the local judge too (ours)."""
    allow_unknown_price: bool = False
    """Must be true before a remote model is asked whose price is not in `emojudge/prices.toml` (ours)."""
    batch_size: int = Field(50_000, ge=1, le=50_000)
    """`openai_batch`: requests in one batch; the service takes 50,000 (ours)."""
    queue_tokens: Count | None = None
    """`openai_batch`: estimated tokens in batches under way; None finds the service's limit by trying (ours)."""
    poll_seconds: Positive = 30.0
    """`openai_batch`: how often to look, give or take a quarter (ours)."""
    deadline_hours: Positive = 26.0
    """`openai_batch`: give up waiting for a batch after this; a later run goes on waiting (ours; the service's window is 24)."""
    max_characters: Count = 2000
    """Transcripts are cut to this; the cut is recorded."""
    scrub: bool = False
    """Blank mail addresses, numbers, streets, and names that are announced, in what the judge reads; docs/judge.md tells what it
    misses (ours)."""
    seed: int = 0
    """Orders the labels in the prompt, and is passed on where the service takes one."""
    splits: tuple[str, ...] = ("test",)
    """Which splits are judged."""

    @property
    def gates(self) -> dict[str, Any]:
        """What `emojudge.refine` asks of a verdict, as its keywords."""
        return {name: getattr(self, name) for name in GATES}

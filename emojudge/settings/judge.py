"""Whom the judge is asked about, how, and what it takes to change a label."""

from typing import Literal

from pydantic import Field

from emojudge.settings.base import Count, Positive, Settings, Share


class JudgeSettings(Settings):
    """The judge (paper 4.6)."""

    judge: str = "none"
    """"none", or "openai:gpt-4", "local", "replay:verdicts.jsonl" … Off unless chosen. The paper: GPT-4 (4.6)."""
    prompt: str = "paper"
    """A file under `emojudge/prompts/`, by its stem (decision 18)."""
    ask: str = Field("conflict", pattern=r"^(all|conflict|margin:(0?\.\d+|1(\.0)?|0))$")
    """Whom to ask: everyone (paper 4.6), clips whose models disagree (abstract), or fused margins below T (decision 15)."""
    threshold: Share = 0.8
    """Change only above this confidence, strictly (paper 4.6; enforced in code, decision 19)."""
    temperature: float = Field(0.3, ge=0, le=2)
    """Paper 4.6."""
    confidence_from: Literal["stated", "labels", "logprobs"] = "stated"
    """The confidence the judge states, its probability for the label, or the label token's log-probability."""
    explain: Literal["changes", "always"] = "changes"
    """With log-probabilities, whether a reason is asked for where the label would change, or for every clip (ours)."""
    speaker_cues: bool = False
    """Also tell the judge the speaker's gender (abstract's "speaker indicators"; decision 16)."""
    base_url: str | None = None
    """Of an OpenAI-compatible server; None is OpenAI's own."""
    consent: bool = False
    """Must be true before transcripts leave this machine."""
    concurrency: Count = 4
    """Requests in flight."""
    timeout: Positive = 60.0
    """Seconds for one request."""
    max_characters: Count = 2000
    """Transcripts are cut to this; the cut is recorded."""
    seed: int = 0
    """Orders the labels in the prompt, and is passed on where the service takes one."""
    splits: tuple[str, ...] = ("test",)
    """Which splits are judged."""

"""What asking costs: dated prices, estimates before, a running total meanwhile, and the limit that stops it."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from emojudge.answers import Reply
from emojudge.errors import BudgetError
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings

CHARACTERS_PER_TOKEN = 4
"""Roughly, for English; the estimate before a run uses it, the ledger counts what was used."""

BATCH_SHARE = 0.5
"""A batch costs this share of the price of the same requests asked at once."""

FREE = ("local", "replay")
"""Judges that cost nothing."""

_SNAPSHOT = re.compile(r"-\d{4}(-\d{2}-\d{2})?$")
"""The date at the end of a dated model's name, which costs what the model does."""


@dataclass(frozen=True)
class Price:
    """US dollars for a token in and a token out."""

    input: float
    output: float

    def of(self, tokens_in: int, tokens_out: int) -> float:
        """Dollars."""
        return tokens_in * self.input + tokens_out * self.output


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "prices.toml").read_text(encoding="utf-8"))


def price(judge: str, batched: bool = False) -> Price | None:
    """The price of a judge as "openai:gpt-4o"; None where it is not in the table.

    >>> [price(f"{name}:gpt-4-0613").of(1_000_000, 0) for name in ("openai", "openai_batch")], price("openai:nobody-knows")
    ([30.0, 15.0], None)
    """
    name, _, model = judge.removesuffix(" (responses)").partition(":")
    models = _table()["models"]
    found = {"input": 0.0, "output": 0.0} if name in FREE else models.get(model) or models.get(_SNAPSHOT.sub("", model))
    share = BATCH_SHARE if batched or name == "openai_batch" else 1.0
    return Price(found["input"] * share / 1e6, found["output"] * share / 1e6) if found else None


@dataclass(frozen=True)
class Estimate:
    """What a run would take at most; `dollars` is None where the price is unknown, 0 on this machine."""

    requests: int
    tokens_in: int
    tokens_out: int
    dollars: float | None
    prices_from: str

    def __str__(self) -> str:
        cost = "unknown cost" if self.dollars is None else f"about ${self.dollars:.2f} (prices of {self.prices_from})"
        return f"{self.requests} requests, about {self.tokens_in} tokens in and {self.tokens_out} out, {cost}"


def estimate(asked: Iterable[Prompt], judge: str) -> Estimate:
    """Requests, tokens and cost of asking the judge `judge` ("openai:gpt-4o") all of it, every sample; the ledger may know some.

    >>> from emojudge.prompts import build
    >>> from emojudge.types import Cues
    >>> one = build("a", "Hi", Cues("a", 1.0), shown="Sad", labels=("Sad", "Happy"), settings=JudgeSettings())
    >>> estimate([one], "openai:nobody-knows").dollars is None
    True
    """
    requests = tokens_in = tokens_out = 0
    for prompt in (each for question in asked for each in question.each()):
        requests += 1
        tokens_in += tokens_of(prompt)
        tokens_out += 50 + 8 * len(prompt.labels) if prompt.schema else 1
    known = price(judge)
    return Estimate(requests, tokens_in, tokens_out, known.of(tokens_in, tokens_out) if known else None, _table()["date"])


def tokens_of(prompt: Prompt) -> int:
    """Tokens that a prompt takes, about."""
    return sum(len(message["content"]) for message in prompt.messages) // CHARACTERS_PER_TOKEN + 1


class Budget:
    """Limits in dollars and tokens, and what is spent of them, in this run and in those before it.

    Args:
        settings: the judge and its limits.
        used: what the ledger says (`Ledger.used`).
    """

    def __init__(self, settings: JudgeSettings, used: Iterable[tuple[str, bool, int, int]] = ()) -> None:
        self.settings, self.price = settings, price(settings.judge)
        self.tokens, self.dollars = 0, 0.0
        for judge, batched, tokens_in, tokens_out in used:
            self._add(price(judge, batched), tokens_in, tokens_out)

    def add(self, reply: Reply) -> None:
        """Count an answer."""
        self._add(self.price, reply.tokens_in, reply.tokens_out)

    def _add(self, rate: Price | None, tokens_in: int, tokens_out: int) -> None:
        self.tokens += tokens_in + tokens_out
        self.dollars += rate.of(tokens_in, tokens_out) if rate else 0.0

    def check(self, asked: Iterable[Prompt]) -> None:
        """Whether all of this can still be asked.

        Raises:
            BudgetError: it would cost more than is left, in dollars or tokens.
        """
        if self.settings.budget_dollars is None and self.settings.budget_tokens is None:
            return
        more = estimate(asked, self.settings.judge)
        self._compare("budget_dollars", self.settings.budget_dollars, self.dollars, more.dollars or 0.0, ".3g")
        self._compare("budget_tokens", self.settings.budget_tokens, self.tokens, more.tokens_in + more.tokens_out, "d")

    def _compare(self, name: str, limit: float | None, spent: float, more: float, form: str) -> None:
        if limit is not None and more and spent + more > limit:
            raise BudgetError(
                f"The next requests would take about {more:{form}} more; judge.{name} = {limit:{form}}, of which {spent:{form}} "
                "are spent. Raise it and run again: what is answered is kept."
            )


def check_price(settings: JudgeSettings, remote: bool) -> None:
    """Refuse what has no known price, where it could cost something.

    Raises:
        BudgetError: it is in no table, and `settings.allow_unknown_price` is not given.
    """
    matters = remote or settings.budget_dollars is not None
    if matters and not settings.allow_unknown_price and price(settings.judge) is None:
        raise BudgetError(
            f"Nobody knows what {settings.judge} costs: emojudge/prices.toml ({_table()['date']}) does not have it; "
            "agree with --set judge.allow_unknown_price=true."
        )

"""Prices, and the running total that stops a judge."""

import pytest

from emojudge.costs import Budget, check_price, price
from emojudge.devserver import DevServer
from emojudge.errors import BudgetError
from emojudge.judging import judge, open_judge
from emojudge.ledger import Ledger
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues


def prompts(count, settings):
    for i in range(count):
        yield build(str(i), f"Line {i}.", Cues("a", 1.0), shown="Sad", labels=("Sad", "Happy"), settings=settings)


@pytest.mark.parametrize(
    ("judge", "dollars"),
    [
        ("openai:gpt-4", 30),
        ("openai:gpt-4 (responses)", 30),
        ("openai:gpt-4o-2024-08-06", 2.5),
        ("openai_batch:gpt-4o", 1.25),
        ("local:qwen", 0),
        ("replay:file.jsonl", 0),
        ("openai:gpt-4-but-other", None),
    ],
)
def test_the_price_of_a_million_tokens(judge, dollars):
    found = price(judge)
    assert (found and found.of(1_000_000, 0)) == (dollars if dollars is None else pytest.approx(dollars))


def test_what_was_used_counts_at_the_price_it_was_used_at():
    used = [("openai:gpt-4", 0, 1_000_000, 0), ("openai:gpt-4", 1, 0, 1_000_000), ("local:qwen", 0, 500, 500)]
    budget = Budget(JudgeSettings(judge="openai:gpt-4"), used)
    assert (budget.dollars, budget.tokens) == (pytest.approx(30 + 30), 2_001_000)


def test_a_stream_of_requests_stops_at_the_limit_and_goes_on_with_a_higher_one(tmp_path):
    """A generator cannot be refused as a whole: shard by shard, by what was really used."""
    with DevServer() as server:
        settings = JudgeSettings(judge="openai:gpt-4o", base_url=server.url, budget_tokens=9000)
        opened, found = open_judge(settings), []
        opened.shard = 4
        with pytest.raises(BudgetError, match="budget_tokens") as caught:
            found.extend(judge(prompts(20, settings), opened, tmp_path / "l", 20, settings))
        assert caught.value.exit_code == 3
        with Ledger(tmp_path / "l") as ledger:
            done = ledger.totals()
        assert 0 < done["answers"] < 20 and done["tokens_in"] + done["tokens_out"] <= 9000
        settings = settings.model_copy(update={"budget_tokens": 90_000})
        assert len(list(judge(prompts(20, settings), opened, tmp_path / "l", 20, settings))) == 20
        assert server.meter.read()["double"] == 0


def test_an_unknown_price_matters_where_it_could_cost_something():
    unknown = JudgeSettings(judge="openai:unheard-of")
    check_price(unknown, remote=False)
    for settings, remote in ((unknown, True), (unknown.model_copy(update={"budget_dollars": 1.0}), False)):
        with pytest.raises(BudgetError, match="Nobody knows"):
            check_price(settings, remote)
        check_price(settings.model_copy(update={"allow_unknown_price": True}), remote)

"""Several samples of one question, one repair of a bad answer: what is asked, kept, paid, replayed."""

from dataclasses import dataclass, field

import pytest

from emojudge.answers import Reply, read
from emojudge.costs import estimate
from emojudge.errors import BudgetError
from emojudge.judging import judge, open_judge
from emojudge.ledger import Ledger
from emojudge.prompts import build
from emojudge.prompts.prompts import AGAIN
from emojudge.settings import JudgeSettings
from emojudge.storage import write_jsonl
from emojudge.types import Cues

LABELS = ("Sad", "Happy", "Angry")


def ask(count, **settings):
    settings = JudgeSettings(judge="openai:gpt-4o", **settings)
    made = (build(str(n), f"Line {n}.", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for n in range(count))
    return list(made), settings


@dataclass
class Scripted:
    """Answers what `says` makes of each request, and remembers the requests."""

    says: object
    name: str = "openai:gpt-4o"
    remote: bool = False
    recorded: bool = False
    asked: list = field(default_factory=list)

    def judge(self, prompts):
        for prompt in prompts:
            self.asked.append(prompt)
            choice = {"message": {"content": self.says(prompt)}, "finish_reason": "stop"}
            yield Reply(read({"choices": [choice]}, prompt, self.name), tokens_in=10, tokens_out=1)


def says(label):
    return f'{{"label": "{label}", "confidence": 90}}'


def by_seed(prompt):
    """Happy, but for the last sample of five, and for every sample of clip 1."""
    return says("Angry" if prompt.id == "1" else "Sad" if prompt.seed == 5 else "Happy")


def test_samples_vote_and_their_share_is_the_confidence(tmp_path):
    asked, settings = ask(2, confidence_from="samples:5")
    scripted = Scripted(by_seed)
    first, second = judge(asked, scripted, tmp_path / "l", settings=settings)
    assert (first.id, first.label, first.confidence) == ("0", "Happy", 0.8)
    assert first.probabilities == {"Sad": 0.2, "Happy": 0.8, "Angry": 0.0}
    assert (second.id, second.label, second.confidence) == ("1", "Angry", 1.0)
    assert len({prompt.key("x") for prompt in scripted.asked}) == len(scripted.asked) == 10
    assert all(prompt.messages == asked[int(prompt.id)].messages for prompt in scripted.asked)
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.totals()["answers"] == 10


def test_a_stopped_vote_asks_the_missing_samples_only(tmp_path):
    asked, settings = ask(2, confidence_from="samples:5")

    class Dies(Scripted):
        def judge(self, prompts):
            for number, reply in enumerate(super().judge(prompts)):
                if number == 7:
                    raise KeyboardInterrupt
                yield reply

    with pytest.raises(KeyboardInterrupt):
        list(judge(asked, Dies(by_seed), tmp_path / "l", settings=settings))
    later = Scripted(by_seed)
    found = list(judge(asked, later, tmp_path / "l", settings=settings))
    assert len(later.asked) == 3 and [v.confidence for v in found] == [0.8, 1.0]


def test_samples_are_counted_by_estimates_and_budgets(tmp_path):
    (one, _), (five, settings) = ask(1), ask(1, confidence_from="samples:5", budget_tokens=3000)
    assert estimate(five, "openai:gpt-4o").requests == 5
    assert estimate(five, "openai:gpt-4o").tokens_in == 5 * estimate(one, "openai:gpt-4o").tokens_in
    scripted = Scripted(by_seed)
    with pytest.raises(BudgetError):
        list(judge(five, scripted, tmp_path / "l", settings=settings))
    assert not scripted.asked


def test_a_vote_is_replayed_from_the_verdicts_and_from_the_ledger(tmp_path):
    asked, settings = ask(3, confidence_from="samples:5")
    first = list(judge(asked, Scripted(by_seed), tmp_path / "l", settings=settings))
    write_jsonl(tmp_path / "verdicts.jsonl", first)
    with Ledger(tmp_path / "l") as ledger:
        ledger.export(tmp_path / "ledger.jsonl")
    for file in ("verdicts.jsonl", "ledger.jsonl"):
        opened = open_judge(JudgeSettings(judge=f"replay:{tmp_path / file}"))
        assert list(judge(asked, opened, tmp_path / "none", settings=settings)) == first


def stubborn(prompt):
    return "Happy, I think"


def corrigible(prompt):
    return says("Happy") if AGAIN in prompt.messages[-1]["content"] else says("Joyful") if prompt.id == "1" else says("Sad")


def test_a_bad_answer_is_asked_for_once_more_and_kept_under_the_first_key(tmp_path):
    asked, settings = ask(3, repair=True)
    scripted = Scripted(corrigible)
    found = list(judge(asked, scripted, tmp_path / "l", settings=settings))
    assert [v.label for v in found] == ["Sad", "Happy", "Sad"]
    assert [v.key for v in found] == [prompt.key(scripted.name) for prompt in asked]
    assert len(scripted.asked) == 4 and "Joyful" not in str(scripted.asked[-1].messages)
    later = Scripted(corrigible)
    assert list(judge(asked, later, tmp_path / "l", settings=settings)) == found and not later.asked
    write_jsonl(tmp_path / "v.jsonl", found)
    opened = open_judge(JudgeSettings(judge=f"replay:{tmp_path / 'v.jsonl'}"))
    assert list(judge(asked, opened, tmp_path / "none", settings=settings)) == found


def test_there_is_one_repair_and_no_second(tmp_path):
    asked, settings = ask(2, repair=True)
    for _ in range(2):
        scripted = Scripted(stubborn)
        found = list(judge(asked, scripted, tmp_path / "l", settings=settings))
        assert [v.outcome for v in found] == ["invalid", "invalid"]
    assert not scripted.asked
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.totals()["answers"] == 4
    write_jsonl(tmp_path / "v.jsonl", found)
    opened = open_judge(JudgeSettings(judge=f"replay:{tmp_path / 'v.jsonl'}"))
    assert list(judge(asked, opened, tmp_path / "none", settings=settings)) == found


def test_a_repair_is_budgeted(tmp_path):
    asked, settings = ask(1, repair=True)
    most = estimate(asked, "openai:gpt-4o")
    settings = settings.model_copy(update={"budget_tokens": most.tokens_in + most.tokens_out + 5})
    with pytest.raises(BudgetError):
        list(judge(asked, Scripted(stubborn), tmp_path / "l", settings=settings))
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.totals()["answers"] == 1


def test_without_the_setting_nothing_is_repaired(tmp_path):
    asked, settings = ask(1)
    scripted = Scripted(stubborn)
    assert [v.outcome for v in judge(asked, scripted, tmp_path / "l", settings=settings)] == ["invalid"]
    assert len(scripted.asked) == 1


def test_the_second_order_is_another_order_and_nothing_else():
    settings = JudgeSettings()
    for n in range(20):
        usual, turned = (
            build("a", f"Line {n}.", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings, turned=t)
            for t in (False, True)
        )
        assert usual.labels != turned.labels and sorted(usual.labels) == sorted(turned.labels)
        assert usual.messages[:-1] == turned.messages[:-1] and usual.seed == turned.seed
        assert usual.key("x") != turned.key("x")

"""The judge's stage on a run: frozen answers, and labels in a second order."""

from dataclasses import replace

import pytest

from emojudge import consult, judging
from emojudge.answers import Reply
from emojudge.errors import JudgeError
from emojudge.evaluation import evaluate, find
from emojudge.ledger import Ledger
from emojudge.storage import read_jsonl
from emojudge.types import Verdict
from tests.made_up_run import made_up_run


class First:
    """A judge with a bias: it says what stands first."""

    name, remote, recorded = "openai:gpt-4o", False, False

    def judge(self, prompts):
        for prompt in prompts:
            label = prompt.labels[0]
            yield Reply(Verdict(prompt.id, label, {label: 1.0}, 0.9, "", self.name, prompt.key(self.name)))


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """A run that was judged, its part and what was asked; then there is no judge any more."""

    def make(**settings):
        run = made_up_run(tmp_path, tasks=("emotions",), clips=120, speakers=8)
        settings = run.config.judge.model_copy(update={"judge": "openai:gpt-4o", "ask": "all", "consent": True, **settings})
        run = replace(run, config=run.config.model_copy(update={"judge": settings}))
        (part,) = run.parts()
        people = {u.id: u for u in part.manifest()}
        asked = consult.prompts(run, part, people, ("audio", "text"), "fusion")
        with monkeypatch.context() as patch:
            patch.setattr(judging, "open_judge", lambda _: First())
            consult.ask(run, part, asked)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        return run, part, asked

    return make


def test_frozen_gives_the_same_bytes_without_a_judge(judged):
    run, part, asked = judged(flip_share=0.5)
    before = part.verdicts().read_bytes(), part.flips().read_bytes()
    part.verdicts().unlink()
    consult.ask(run, part, asked, frozen=True)
    assert (part.verdicts().read_bytes(), part.flips().read_bytes()) == before


def test_frozen_says_how_many_are_missing_and_the_first_and_writes_nothing(judged):
    run, part, asked = judged()
    with Ledger(run.file("ledger.sqlite")) as ledger:
        before = ledger.totals()
    warmer = [replace(prompt, temperature=1.0) if n in (3, 5) else prompt for n, prompt in enumerate(asked)]
    with pytest.raises(JudgeError, match=f"2 of {len(asked)} questions have no recorded answer.*about {asked[3].id}"):
        consult.ask(run, part, warmer, frozen=True)
    with Ledger(run.file("ledger.sqlite")) as ledger:
        assert ledger.totals() == before
    run.file("ledger.sqlite").unlink()
    with pytest.raises(JudgeError, match=f"{len(asked)} of {len(asked)}"):
        consult.ask(run, part, asked, frozen=True)
    assert not run.file("ledger.sqlite").exists()


def test_frozen_reads_a_recording(judged):
    run, part, asked = judged()
    wanted = part.verdicts().read_bytes()
    recording = part.verdicts().rename(part.folder / "recording.jsonl")
    settings = run.config.judge.model_copy(update={"judge": f"replay:{recording}"})
    run = replace(run, config=run.config.model_copy(update={"judge": settings}))
    consult.ask(run, part, asked, frozen=True)
    assert part.verdicts().read_bytes() == wanted
    with pytest.raises(JudgeError, match="1 of 1 questions"):
        consult.ask(run, part, [replace(asked[0], temperature=1.0)], frozen=True)


def test_a_judge_that_says_what_stands_first_flips_every_time(judged):
    run, part, asked = judged(flip_share=0.5)
    usual, turned = ([p for p in asked if p.turned == t] for t in (False, True))
    assert 0.2 * len(usual) < len(turned) < 0.8 * len(usual)
    assert [v.id for v in read_jsonl(part.flips(), Verdict)] == [p.id for p in turned]
    assert [v.id for v in read_jsonl(part.verdicts(), Verdict)] == [p.id for p in usual]
    row = find(evaluate(run), "judge", "order_flips", ("emotions", "test"))
    assert (row["value"], row["high"]) == (1.0, 1.0) and 0.5 < row["low"] < 1
    assert row["n"] == len(turned)


def test_without_a_share_there_are_no_flips(judged):
    run, part, _ = judged()
    assert not list(read_jsonl(part.flips(), Verdict))
    assert find(evaluate(run), "judge", "order_flips", ("emotions", "test")) is None

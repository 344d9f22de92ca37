"""The study of the judge on composite: its tables come out of the recording as they came out of the judge."""

import json
import re
import sys

import pytest

from benchmarks import judge_composite as study
from emojudge.answers import Reply
from emojudge.prompts import version
from emojudge.types import Verdict
from tests.made_up_run import made_up_run


class Loud:
    """A judge for tests, which hears anger in what is loud and is right about little else."""

    name, remote, recorded = study.JUDGE, False, False

    def judge(self, prompts):
        for prompt in prompts:
            about, said, _ = (message["content"] for message in prompt.messages[-3:])
            label = "Angry" if "very high" in about else sorted(prompt.labels)[len(said) % len(prompt.labels)]
            rest = 0.3 / (len(prompt.labels) - 1)
            probabilities = {name: 0.7 if name == label else rest for name in prompt.labels}
            verdict = Verdict(prompt.id, label, probabilities, 0.7, f"They say {said}", self.name, prompt.key(self.name))
            yield Reply(verdict, "loud-1")


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """The command on a made-up run, with options; what it prints."""
    run = made_up_run(tmp_path / "run", clips=240, speakers=12, tasks=("emotions",), judge=False).root

    def call(*options):
        monkeypatch.setattr(sys, "argv", ["judge_composite.py", str(run), f"--recorded={tmp_path / 'r.jsonl'}", *options])
        study.main()
        return capsys.readouterr().out

    monkeypatch.setattr(study.judging, "open_judge", lambda settings: Loud())
    return call


def test_the_tables_are_rebuilt_without_the_judge(command, tmp_path, monkeypatch):
    told = command("--ask")
    monkeypatch.setattr(study.judging, "open_judge", None)
    assert command() == told
    assert "all" in told and "conflict" in told and "of 24 answered" not in told
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    (tmp_path / "r.jsonl").write_text("\n".join(lines[: len(lines) // 2]))
    assert "answered)" in command() != told, "what is missing is said"


def test_what_is_recorded_holds_neither_ids_nor_reasons(command, tmp_path):
    command("--ask")
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert not any({"id", "reason"} & row.keys() for row in rows) and "They say" not in (tmp_path / "r.jsonl").read_text()


def test_what_is_recorded_elsewhere_is_not_asked_again(command, tmp_path, monkeypatch):
    told = command("--ask")
    (tmp_path / "run" / "judge_composite.sqlite").unlink()
    asked = []
    monkeypatch.setattr(Loud, "judge", lambda self, prompts: asked.extend(prompts) or iter(()))
    assert command("--ask") == told and not asked


def test_the_committed_recording_tells_nothing_of_the_clips():
    """Digests, labels and numbers only: the corpora's words and names are not ours to pass on."""
    rows = [json.loads(line) for line in study.RECORDED.read_text(encoding="utf-8").splitlines()]
    known = {"label", "probabilities", "confidence", "judge", "key", "outcome", "model", "prompt_id", "date"}
    assert rows and {name for row in rows for name in row} <= known
    assert {row["judge"] for row in rows} == {study.JUDGE} and all(re.fullmatch(r"[0-9a-f]{64}", row["key"]) for row in rows)


def test_the_committed_recording_is_of_the_prompts_that_are_here():
    """Whoever changes a prompt asks again; the whole table takes the models and the corpus, by the command in docs/judge.md."""
    told = {row["prompt_id"] for row in map(json.loads, study.RECORDED.read_text(encoding="utf-8").splitlines())}
    assert told <= {f"{way}@{version(way)[:8]}" for way in study.WAYS}

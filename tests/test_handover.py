"""Requests out, answers in, status and cancel: whatever a person does about a judge."""

import json

import pytest
from typer.testing import CliRunner

from emojudge.cli import app
from emojudge.devserver import DevServer, Fault, toy
from emojudge.errors import ConfigError, DataError, JudgeError
from emojudge.handover import cancel, export, status, take_in
from emojudge.judging import judge, open_judge
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues
from tests.made_up_run import made_up_run

LABELS = ("Sad", "Happy", "Angry")
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def settings(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return JudgeSettings(judge="openai_batch:gpt-4", poll_seconds=0.001, batch_size=4)


def prompts(settings, count=6):
    return [build(str(i), f"Line {i}.", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for i in range(count)]


def answered(path, **changes):
    """What a model elsewhere makes of a file of requests, the last first."""
    for text in reversed(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(text)
        body = toy.completion(row["body"], toy.answer(row["body"]))
        yield {"id": "x", "custom_id": row["custom_id"], "response": {"status_code": 200, "body": body}, "error": None, **changes}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_out_and_in_again_is_what_the_batch_api_would_have_said(settings, tmp_path):
    """Without a key, consent or network; then the judge has nothing left to ask."""
    files = export(prompts(settings), settings, tmp_path / "l", tmp_path / "r.jsonl")
    assert files == {str(tmp_path / "r.jsonl"): 4, str(tmp_path / "r-2.jsonl"): 2}
    for name in files:
        path = tmp_path / name
        kept = take_in(prompts(settings), settings, tmp_path / "l", write(tmp_path / "answers.jsonl", answered(path)))
    assert kept == {"kept": 2, "unusable": 0, "errors": 0, "still missing": 0}
    assert export(prompts(settings), settings, tmp_path / "l", tmp_path / "more.jsonl") == {}
    offline = settings.model_copy(update={"base_url": NOWHERE})
    by_hand = list(judge(prompts(offline), open_judge(offline), tmp_path / "l"))
    with DevServer() as server:
        online = settings.model_copy(update={"base_url": server.url})
        assert list(judge(prompts(online), open_judge(online), tmp_path / "other")) == by_hand
        uploaded = {line for content in server.store.files.values() for line in content.splitlines()}
    assert set((tmp_path / "r.jsonl").read_bytes().splitlines()) < uploaded, "the very lines that are sent"


def test_what_was_not_asked_or_is_no_answer_is_told_and_the_rest_kept(settings, tmp_path):
    export(prompts(settings, 4), settings, tmp_path / "l", tmp_path / "r.jsonl")
    rows = list(answered(tmp_path / "r.jsonl"))
    rows[0]["custom_id"] = "unheard-of"
    with pytest.raises(DataError, match=r"unheard-of.*3 answers of it are kept"):
        take_in(prompts(settings, 4), settings, tmp_path / "l", write(tmp_path / "a.jsonl", rows))
    rows = list(answered(tmp_path / "r.jsonl"))
    rows[0]["response"]["body"]["choices"][0]["message"]["content"] = "No idea."
    rows[1]["response"] = {"status_code": 500, "body": {"error": {"message": "oh"}}}
    found = take_in(prompts(settings, 4), settings, tmp_path / "l", write(tmp_path / "a.jsonl", rows))
    assert found == {"kept": 2, "unusable": 1, "errors": 1, "still missing": 1}
    with pytest.raises(DataError, match="cannot be opened"):
        take_in(prompts(settings), settings, tmp_path / "l", tmp_path / "none.jsonl")


def test_only_judges_of_this_protocol_can_be_handed_over(settings, tmp_path):
    with pytest.raises(ConfigError, match="handed over"):
        export([], JudgeSettings(judge="local"), tmp_path / "l", tmp_path / "r.jsonl")
    with pytest.raises(ConfigError, match="has no batches"):
        cancel(JudgeSettings(judge="openai:gpt-4", base_url=NOWHERE), tmp_path / "l")


def test_status_and_cancel(settings, tmp_path):
    with DevServer([Fault("GET /v1/batches/{id}", "status", status=401)], tick=0) as server:
        online = settings.model_copy(update={"base_url": server.url, "batch_size": 50_000})
        with pytest.raises(JudgeError, match="refuses the API key"):
            list(judge(prompts(online), open_judge(online), tmp_path / "l"))
        told = status(online, tmp_path / "l")
        assert (told["requests"], told["answers"]) == (6, 0)
        assert [(b["id"], b["requests"], b["status"]) for b in told["batches"]] == [("batch_1", 6, "validating")]
        server.store.advance(60)
        assert cancel(online, tmp_path / "l") == ["batch_1"] and cancel(online, tmp_path / "l") == []
        server.store.tick = 60
        with pytest.raises(JudgeError, match="was cancelled"):
            list(judge(prompts(online), open_judge(online), tmp_path / "l"))
        assert status(online, tmp_path / "l")["answers"] == 3
        assert len(list(judge(prompts(online), open_judge(online), tmp_path / "l"))) == 6
        assert server.meter.read()["double"] == 0
        told = status(online, tmp_path / "l")
        assert told["batches"] == [] and 0 < told["dollars"] < 0.1


def call(*words, code=0):
    """A command that ends with `code`; what it prints."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def test_the_verbs(settings, tmp_path):
    """A run judged through the Batch API, exported, answered, imported, over budget, and looked at."""
    run, file = made_up_run(tmp_path / "run", clips=60, speakers=12).root, tmp_path / "r.jsonl"
    with DevServer() as server:
        here = ["--set", f"judge.base_url={server.url}", "--set", "judge.judge=openai_batch:gpt-4", "--set", "judge.ask=all"]
        at_once = [*here, "--set", "judge.judge=openai:gpt-4"]
        half, whole = (json.loads(call("judge", run, "--dry-run", "--json", *how).stdout)[0] for how in (here, at_once))
        assert half["dollars"] == pytest.approx(whole["dollars"] / 2)
        over = call("judge", run, *here, "--set", "judge.budget_dollars=0.001", code=3)
        assert "budget_dollars" in over.stderr and not server.seen
        written = json.loads(call("judge-export", run, file, "--json", *here).stdout)["requests"]
        assert list(written.values()) == [half["requests"]]
        write(tmp_path / "a.jsonl", answered(file))
        kept = json.loads(call("judge-import", run, tmp_path / "a.jsonl", "--json", *here).stdout)["answers"]
        assert kept["kept"] == half["requests"] and kept["still missing"] == 0
        call("judge", run, *here)
        assert not server.seen, "all of it was answered by hand"
        call("judge", run, *here, "--set", "judge.seed=1", "--set", "judge.poll_seconds=0.001")
        assert server.meter.read()["charged"] == half["requests"]
        told = json.loads(call("judge-status", run, "--json", *here).stdout)["judge"]
        assert told["answers"] == 2 * half["requests"] and told["batches"] == []
        assert "nothing to cancel" in call("judge-cancel", run, *here).stdout
        assert call("judge", "status", run, "--json", *here).stdout == call("judge-status", run, "--json", *here).stdout
        assert call("judge", "record", run, tmp_path / "v.jsonl", "--bare").stdout == f"{told['answers']} answers\n"
        call("judge", run, *here, "--set", f"judge.judge=replay:{tmp_path / 'v.jsonl'}", "--frozen")
    assert {json.loads(line)["judge"] for line in (run / "emotions" / "verdicts.jsonl").read_text().splitlines()} == {
        "openai:gpt-4"
    }

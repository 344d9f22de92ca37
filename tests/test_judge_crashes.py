"""SIGKILL at every step of a judge, then the same command again: the same verdicts, and nothing is paid twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from emojudge.devserver import DevServer, toy
from emojudge.judges._exchange import Exchange
from tests.crashes import prompts_for, settings_for

ROOT = Path(__file__).parents[1]


def die_everywhere(name, server, folder):
    """One row a step: where it died, and what the second process found."""
    command = [sys.executable, "-m", "tests.crashes", name, server.url, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected(name, server, step):
    """What the test double says to the clips of a step, worked out without ledger, files and batches."""
    settings = settings_for(name, server.url)
    exchange = Exchange("gpt-4o", settings)
    for prompt in prompts_for(step, settings):
        body = exchange.body(prompt)
        verdict = exchange.reply(prompt, toy.completion(body, toy.answer(body))).verdict
        yield [verdict.id, verdict.label, verdict.confidence, verdict.outcome]


@pytest.mark.parametrize(("name", "least", "most_twice"), [("openai_batch:gpt-4o", 40, 0), ("openai:gpt-4o", 12, 2)])
def test_killed_anywhere_and_run_again(tmp_path, name, least, most_twice):
    """At once, an answer under way when the process died is lost: at most `concurrency` (2) are paid again (docs/judge.md).

    Answers that come together are one commit, so there are two steps fewer where they do.
    """
    with DevServer() as server:
        rows = die_everywhere(name, server, tmp_path)
        meter = server.meter.read()
    assert len(rows) > least and {"before a commit", "after a commit"} < {row["what"] for row in rows}
    for row in rows:
        assert row["code"] == 0, row
        assert json.loads(row["said"]) == list(expected(name, server, row["step"])), row
    assert meter["charged"] - meter["double"] == 3 * len(rows), "every clip is paid for once"
    assert meter["double"] <= most_twice * len(rows)

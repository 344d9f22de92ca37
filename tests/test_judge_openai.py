"""The remote judge against the test double: what is sent, what comes back, and every fault."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from emojudge.devserver import DevServer, Fault
from emojudge.errors import AuthenticationError, ConfigError, JudgeError
from emojudge.judges import _service
from emojudge.judging import judge, open_judge
from emojudge.ledger import Ledger
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues
from tests.made_up_run import made_up_run

ROOT = Path(__file__).parents[1]
LABELS = ("Sad", "Happy")
CANARY = "sk-canary-0123456789"
CHAT = "POST /v1/chat/completions"
GOOD = json.dumps({"reason": "It is.", "probabilities": {"Sad": 5, "Happy": 95}, "label": "Happy", "confidence": 95})


def says(text, **rest):
    return Fault(CHAT, "answer", text=text, **rest)


def fails(status, message="no", times=1, **rest):
    return Fault(CHAT, "status", status=status, message=message, times=times, **rest)


@pytest.fixture
def serve(monkeypatch):
    """Start servers with faults; they end with the test."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setattr(_service.random, "random", lambda: -3.9)  # waits of a fortieth, so that the tests are quick
    running = []

    def start(*faults, **options):
        running.append(DevServer(faults, **options))
        return running[-1]

    yield start
    for server in running:
        server.close()


def ask(server, ledger, count=1, model="gpt-4o", **settings):
    settings = JudgeSettings(judge=f"openai:{model}", base_url=server.url, **settings)
    prompts = [build(str(i), f"Line {i}.", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for i in range(count)]
    return list(judge(prompts, open_judge(settings), ledger))


def test_the_request_is_what_the_protocol_and_the_paper_say(serve, tmp_path):
    server = serve(says(GOOD))
    (verdict,) = ask(server, tmp_path / "l")
    assert (verdict.label, verdict.confidence, verdict.reason, verdict.judge) == ("Happy", 0.95, "It is.", "openai:gpt-4o")
    ((_, body, headers),) = server.seen
    assert (body["model"], body["temperature"], body["store"]) == ("gpt-4o", 0.3, False)
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["messages"][0]["role"] == "system"
    assert headers["authorization"] == f"Bearer {CANARY}"
    with Ledger(tmp_path / "l") as ledger:
        totals = ledger.totals()
        model = ledger._base.execute("SELECT model FROM answers").fetchone()[0]
    assert totals["tokens_in"] + totals["tokens_out"] == server.meter.tokens
    assert model == "toy-judge-1 fp_toy"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (says(f"```json\n{GOOD}\n```"), "ok"),
        (says(GOOD.replace("Happy", "HAPPY")), "ok"),
        (says(GOOD.replace('"reason"', '"more": [1], "reason"')), "ok"),
        (says(GOOD.replace('"confidence": 95', '"confidence": 0.95')), "ok"),
        (says(GOOD.replace('"label": "Happy"', '"label": "Joy"')), "invalid"),
        (says(GOOD.replace('"label": "Happy"', '"label": ["Happy", "Sad"]')), "invalid"),
        (says(GOOD.replace('"Happy": 95', '"Happy": "high"')), "ok"),
        (says(GOOD.replace('"confidence": 95', '"confidence": "high"')), "invalid"),
        (says(GOOD.replace('"confidence": 95', '"confidence": 250')), "invalid"),
        (says(GOOD.replace('"confidence": 95', '"confidence": NaN')), "invalid"),
        (says("I think Happy"), "invalid"),
        (says(""), "invalid"),
        (says(None, refusal="I will not."), "refusal"),
        (says(None, finish="content_filter"), "refusal"),
        (says(GOOD[:20], finish="length"), "truncated"),
        (Fault(CHAT, "content", content="<html>busy</html>"), "error"),
        (Fault(CHAT, "content", content=[1, 2]), "error"),
        (Fault(CHAT, "content", content={"choices": []}), "invalid"),
        (Fault(CHAT, "content", content=GOOD * 20_000), "error"),
        (Fault(CHAT, "bomb"), "error"),
        (fails(400, "context too long", code="context_length_exceeded"), "error"),
        (fails(307, "over there", headers={"Location": "http://127.0.0.1:9/v1/chat/completions"}), "error"),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_every_kind_of_answer_is_a_verdict(serve, tmp_path, fault, outcome, api):
    fault = Fault(**{**vars(fault), "on": CHAT if api == "chat" else "POST /v1/responses"})
    verdicts = ask(serve(fault), tmp_path / "l", count=2, concurrency=1, api=api)
    assert [verdict.outcome for verdict in verdicts] == [outcome, "ok"]
    assert (verdicts[0].label is None) == (outcome != "ok")


def test_busy_then_fine(serve, tmp_path):
    server = serve(fails(429, headers={"Retry-After": "0.2"}), fails(503, at=2), fails(408, at=3))
    begun = time.monotonic()
    assert ask(server, tmp_path / "l")[0].outcome == "ok"
    assert time.monotonic() - begun >= 0.2
    assert len(server.seen) == 4


@pytest.mark.parametrize("kind", ["drop", "lose", "cut"])
def test_a_connection_that_breaks_is_tried_again(serve, tmp_path, kind):
    server = serve(Fault(CHAT, kind))
    assert ask(server, tmp_path / "l")[0].outcome == "ok"
    assert server.meter.read()["double"] == (0 if kind == "drop" else 1), "at once there is no telling whether it was answered"


def test_a_request_without_an_answer_in_time_is_tried_again(serve, tmp_path):
    server = serve(Fault(CHAT, "delay", seconds=2.0))
    assert ask(server, tmp_path / "l", timeout=0.5)[0].outcome == "ok"
    assert len(server.seen) == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502])
def test_tries_are_bounded_and_the_label_stays(serve, tmp_path, status):
    server = serve(fails(status, times=5))
    first, second = ask(server, tmp_path / "l", count=2, concurrency=1)
    assert (first.outcome, second.outcome) == ("error", "ok")
    assert len(server.seen) == 6
    assert ask(server, tmp_path / "l")[0].outcome == "ok"  # an error is asked again


def test_a_wait_that_is_too_long_is_not_waited(serve, tmp_path):
    server = serve(fails(429, headers={"Retry-After": "600"}))
    begun = time.monotonic()
    assert ask(server, tmp_path / "l")[0].outcome == "error"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (fails(401, f"Incorrect key {CANARY}"), AuthenticationError),
        (fails(403), AuthenticationError),
        (fails(429, "quota", code="insufficient_quota"), AuthenticationError),
        (fails(404, "The model does not exist"), JudgeError),
    ],
)
def test_what_would_hit_every_request_stops_at_once(serve, tmp_path, fault, error):
    server = serve(fault)
    with pytest.raises(error) as caught:
        ask(server, tmp_path / "l", count=20, concurrency=1)
    assert len(server.seen) == 1
    assert CANARY not in str(caught.value)
    assert len(ask(server, tmp_path / "l", count=20)) == 20


@pytest.mark.parametrize("fault", [fails(401, at=4), fails(429, "quota", code="insufficient_quota", at=4)])
def test_a_key_that_ends_half_way_keeps_what_it_paid_for(serve, tmp_path, fault):
    server = serve(fault)
    with pytest.raises(AuthenticationError):
        ask(server, tmp_path / "l", count=6, concurrency=1)
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.totals()["answers"] == 3
    assert [v.outcome for v in ask(server, tmp_path / "l", count=6)] == ["ok"] * 6
    assert (server.meter.read()["charged"], server.meter.read()["double"]) == (6, 0)


@pytest.mark.parametrize("name", ["temperature", "seed", "response_format", "max_completion_tokens", "store"])
def test_a_refused_parameter_is_dropped_once_and_noted(serve, tmp_path, name):
    server = serve(refuses={name})
    assert [v.outcome for v in ask(server, tmp_path / "l", count=3, concurrency=1)] == ["ok"] * 3
    assert sum(name in body for body in server.bodies()) == 1
    with Ledger(tmp_path / "l") as ledger:
        notes = {row[0] for row in ledger._base.execute("SELECT note FROM answers")}
    assert notes == {f"refused: {name}"}


def test_what_a_model_is_known_to_refuse_is_never_sent(serve, tmp_path):
    server = serve()
    assert ask(server, tmp_path / "l", model="gpt-4")[0].outcome == "ok"
    assert ask(server, tmp_path / "l", model="o3-mini")[0].outcome == "ok"
    old, reasoning = server.bodies()
    assert "response_format" not in old and "temperature" in old
    assert "response_format" in reasoning and not {"temperature", "seed"} & reasoning.keys()
    with Ledger(tmp_path / "l") as ledger:
        notes = {row[0] for row in ledger._base.execute("SELECT note FROM answers")}
    assert notes == {"refused: response_format", "refused: seed, temperature"}
    with pytest.raises(ConfigError, match="no log-probabilities"):
        open_judge(JudgeSettings(judge="openai:o3-mini", base_url=server.url, confidence_from="logprobs"))


def test_the_key_is_in_no_file_and_no_message(serve, tmp_path):
    (verdict,) = ask(serve(fails(400, f"your key {CANARY} is odd")), tmp_path / "l")
    assert verdict.outcome == "error" and "[key] is odd" in verdict.reason
    assert not any(CANARY.encode() in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_requests_run_side_by_side_and_not_more_than_allowed(serve, tmp_path, concurrency):
    server = serve(Fault(CHAT, "delay", seconds=0.1, times=0))
    assert len(ask(server, tmp_path / "l", count=6, concurrency=concurrency)) == 6
    assert server.most == concurrency


def test_leaving_does_not_wait_for_what_is_under_way(serve):
    server = serve(Fault(CHAT, "delay", at=2, seconds=3.0))
    settings = JudgeSettings(judge="openai:gpt-4o", base_url=server.url, concurrency=2)
    prompts = [build(i, f"Hi {i}", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for i in ("a", "b")]
    answers = open_judge(settings).judge(prompts)
    assert next(answers).verdict.outcome == "ok"
    begun = time.monotonic()
    answers.close()
    assert time.monotonic() - begun < 1


def test_a_person_who_interrupts_does_not_wait_for_the_service(serve, tmp_path):
    """A process of its own, with Ctrl-C while the service is silent; the next run asks only what has no answer."""
    server = serve(Fault(CHAT, "delay", at=3, times=2, seconds=30.0))
    run = made_up_run(tmp_path / "run", clips=60, speakers=12, tasks=("emotions",)).root
    sets = f"judge=openai:gpt-4o base_url={server.url} ask=all concurrency=2".split()
    command = [sys.executable, "-m", "emojudge", "judge", str(run), *(f"--set=judge.{one}" for one in sets)]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, as these tests may be, ignore it
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:  # noqa: PLW1509 (no threads here yet)
        try:
            while len(server.seen) < 4:
                time.sleep(0.05)
                assert process.poll() is None
            time.sleep(0.5)  # the two answers that came are on their way into the ledger
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[1]
            assert time.monotonic() - begun < 15, "5 on a machine with nothing else to do; the service is silent for 30"
        finally:
            process.kill()
    assert process.returncode == 130 and "run the same command again" in said
    with Ledger(run / "ledger.sqlite") as ledger:
        assert ledger.totals()["answers"] == 2


@pytest.mark.parametrize(("api", "most"), [("chat", "max_completion_tokens"), ("responses", "max_output_tokens")])
def test_log_probabilities(serve, tmp_path, api, most):
    server = serve()
    (verdict,) = ask(server, tmp_path / "l", confidence_from="logprobs", api=api)
    assert verdict.label in LABELS and verdict.confidence == pytest.approx(0.95)
    ((_, body, _),) = server.seen
    assert body["top_logprobs"] == 20 and body[most] == (1 if api == "chat" else 16)
    assert not {"response_format", "text"} & body.keys()


def test_no_proxy_stands_between_us_and_this_machine(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert ask(serve(), tmp_path / "l")[0].outcome == "ok"


def test_a_service_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(_service.random, "random", lambda: -3.9)
    settings = JudgeSettings(judge="openai:m", base_url="http://127.0.0.1:9/v1")
    prompt = build("a", "Hi", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings)
    (verdict,) = judge([prompt], open_judge(settings), tmp_path / "l")
    assert verdict.outcome == "error" and "APIConnectionError" in verdict.reason


@pytest.mark.parametrize("name", ["openai", "openai_batch"])
def test_certificates_that_are_not_there(name, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    settings = JudgeSettings(judge=f"{name}:gpt-4o", consent=True)
    prompt = build("a", "Hi", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings)
    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        list(judge([prompt], open_judge(settings), tmp_path / "l"))


def test_the_key_comes_from_the_environment_or_a_private_file(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        open_judge(JudgeSettings(judge="openai:gpt-4", consent=True))
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\n")
    file.chmod(0o644)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(file))
    with pytest.raises(AuthenticationError, match="chmod 600"):
        open_judge(JudgeSettings(judge="openai:gpt-4", consent=True))
    file.chmod(0o600)
    assert open_judge(JudgeSettings(judge="openai:gpt-4", consent=True)).service.key == CANARY
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(AuthenticationError, match="cannot be read"):
        open_judge(JudgeSettings(judge="openai:gpt-4", consent=True))


def test_model_and_url_are_checked():
    with pytest.raises(ConfigError, match="needs a model"):
        open_judge(JudgeSettings(judge="openai"))
    with pytest.raises(ConfigError, match="no URL"):
        open_judge(JudgeSettings(judge="openai:m", base_url="localhost:8000"))

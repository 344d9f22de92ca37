"""The remote judge against a server on loopback that speaks the protocol, with its faults."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from emojudge.errors import AuthenticationError, ConfigError, JudgeError
from emojudge.judges import openai as module
from emojudge.judging import judge, open_judge
from emojudge.ledger import Ledger
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues

LABELS = ("Sad", "Happy")
CANARY = "sk-canary-0123456789"


def completion(content, finish="stop", **message):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4-0613",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 40, "total_tokens": 440},
    }


def failure(status, message="no", code=None, param=None, **headers):
    return status, {"error": {"message": message, "type": "x", "code": code, "param": param}}, headers


GOOD = json.dumps({"reason": "It is.", "probabilities": {"Sad": 5, "Happy": 95}, "label": "Happy", "confidence": 95})


class Service:
    """Answers with the scripted responses, then with GOOD; keeps what it was sent."""

    def __init__(self):
        self.script, self.bodies, self.headers, self.delays = [], [], [], []
        self.refuses, self.running, self.most, self.lock = set(), 0, 0, threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, content, headers = service.answer(self.path, body, {k.lower(): v for k, v in self.headers.items()})
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path, body, headers):
        assert path == "/v1/chat/completions"
        self.bodies.append(body)
        self.headers.append(headers)
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.delays.pop(0) if self.delays else 0)
        with self.lock:
            self.running -= 1
        for name in self.refuses & body.keys():
            return failure(400, f"Unsupported parameter: '{name}'", param=name)
        response = self.script.pop(0) if self.script else completion(GOOD)
        return response if isinstance(response, tuple) else (200, response, {})


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setattr(module.random, "random", lambda: -3.9)  # waits of a fortieth, so that the tests are quick
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def ask(service, ledger, count=1, **settings):
    settings = JudgeSettings(judge="openai:gpt-4", base_url=service.url, **settings)
    prompts = [build(str(i), f"Line {i}.", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for i in range(count)]
    return list(judge(prompts, open_judge(settings), ledger))


def test_the_request_is_what_the_protocol_and_the_paper_say(service, tmp_path):
    (verdict,) = ask(service, tmp_path / "l")
    assert (verdict.label, verdict.confidence, verdict.reason, verdict.judge) == ("Happy", 0.95, "It is.", "openai:gpt-4")
    (body,) = service.bodies
    assert (body["model"], body["temperature"], body["store"]) == ("gpt-4", 0.3, False)
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["messages"][0]["role"] == "system"
    assert service.headers[0]["authorization"] == f"Bearer {CANARY}"
    with Ledger(tmp_path / "l") as ledger:
        totals = ledger.totals()
        model = ledger._base.execute("SELECT model FROM answers").fetchone()[0]
    assert (totals["tokens_in"], totals["tokens_out"], model) == (400, 40, "gpt-4-0613 fp_1")


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (completion(f"```json\n{GOOD}\n```"), "ok"),
        (completion(GOOD.replace("Happy", "HAPPY")), "ok"),
        (completion(GOOD.replace('"label": "Happy"', '"label": "Joy"')), "invalid"),
        (completion(GOOD.replace('"Happy": 95', '"Happy": "high"')), "ok"),
        (completion(GOOD.replace('"confidence": 95', '"confidence": "high"')), "invalid"),
        (completion(GOOD.replace('"confidence": 95', '"confidence": 250')), "invalid"),
        (completion(GOOD.replace('"confidence": 95', '"confidence": NaN')), "invalid"),
        (completion("I think Happy"), "invalid"),
        (completion(""), "invalid"),
        (completion(None, refusal="I will not."), "refusal"),
        (completion(None, finish="content_filter"), "refusal"),
        (completion(GOOD[:20], finish="length"), "truncated"),
        ((200, b"<html>busy</html>", {}), "error"),
        ((200, b"[1, 2]", {}), "error"),
        ((200, {"choices": []}, {}), "invalid"),
        (failure(400, "context too long", code="context_length_exceeded"), "error"),
        (failure(307, "over there", Location="http://127.0.0.1:9/v1/chat/completions"), "error"),
    ],
)
def test_every_kind_of_answer_is_a_verdict(service, tmp_path, response, outcome):
    service.script = [response]
    verdicts = ask(service, tmp_path / "l", count=2, concurrency=1)
    assert [verdict.outcome for verdict in verdicts] == [outcome, "ok"]
    assert (verdicts[0].label is None) == (outcome != "ok")


def test_busy_then_fine(service, tmp_path):
    service.script = [failure(429, **{"Retry-After": "0.2"}), failure(503), failure(408)]
    begun = time.monotonic()
    assert ask(service, tmp_path / "l")[0].outcome == "ok"
    assert time.monotonic() - begun >= 0.2
    assert len(service.bodies) == 4


def test_tries_are_bounded_and_the_label_stays(service, tmp_path):
    service.script = [failure(500)] * 5
    first, second = ask(service, tmp_path / "l", count=2, concurrency=1)
    assert (first.outcome, second.outcome) == ("error", "ok")
    assert len(service.bodies) == 6
    assert ask(service, tmp_path / "l")[0].outcome == "ok"  # an error is asked again


def test_a_wait_that_is_too_long_is_not_waited(service, tmp_path):
    service.script = [failure(429, **{"Retry-After": "600"})]
    begun = time.monotonic()
    assert ask(service, tmp_path / "l")[0].outcome == "error"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (failure(401, f"Incorrect key {CANARY}"), AuthenticationError),
        (failure(403), AuthenticationError),
        (failure(429, "quota", code="insufficient_quota"), AuthenticationError),
        (failure(404, "The model does not exist"), JudgeError),
    ],
)
def test_what_would_hit_every_request_stops_at_once(service, tmp_path, response, error):
    service.script = [response]
    with pytest.raises(error) as caught:
        ask(service, tmp_path / "l", count=20, concurrency=1)
    assert len(service.bodies) == 1
    assert CANARY not in str(caught.value)
    assert len(ask(service, tmp_path / "l", count=20)) == 20


@pytest.mark.parametrize("name", ["temperature", "seed", "response_format", "max_completion_tokens", "store"])
def test_a_refused_parameter_is_dropped_once_and_noted(service, tmp_path, name):
    service.refuses = {name}
    assert [v.outcome for v in ask(service, tmp_path / "l", count=3, concurrency=1)] == ["ok"] * 3
    assert sum(name in body for body in service.bodies) == 1
    with Ledger(tmp_path / "l") as ledger:
        notes = {row[0] for row in ledger._base.execute("SELECT note FROM answers")}
    assert notes == {f"refused: {name}"}


def test_the_key_is_in_no_file_and_no_message(service, tmp_path):
    service.script = [failure(400, f"your key {CANARY} is odd")]
    (verdict,) = ask(service, tmp_path / "l")
    assert verdict.outcome == "error" and "[key] is odd" in verdict.reason
    assert not any(CANARY.encode() in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_requests_run_side_by_side_and_not_more_than_allowed(service, tmp_path, concurrency):
    service.delays = [0.2] * 6
    assert len(ask(service, tmp_path / "l", count=6, concurrency=concurrency)) == 6
    assert service.most == concurrency


def test_leaving_does_not_wait_for_what_is_under_way(service):
    service.delays = [0.0, 3.0]
    settings = JudgeSettings(judge="openai:gpt-4", base_url=service.url, concurrency=2)
    prompts = [build(i, f"Hi {i}", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for i in ("a", "b")]
    answers = open_judge(settings).judge(prompts)
    assert next(answers).verdict.outcome == "ok"
    begun = time.monotonic()
    answers.close()
    assert time.monotonic() - begun < 1


def test_log_probabilities(service, tmp_path):
    top = [{"token": "Happy", "logprob": -0.1, "bytes": None}, {"token": "Sad", "logprob": -3.0, "bytes": None}]
    answer = completion("Happy", finish="length")
    answer["choices"][0]["logprobs"] = {"content": [{"token": "Happy", "logprob": -0.1, "top_logprobs": top}]}
    service.script = [answer]
    (verdict,) = ask(service, tmp_path / "l", confidence_from="logprobs")
    assert verdict.label == "Happy" and 0.9 < verdict.confidence < 1
    (body,) = service.bodies
    assert (body["logprobs"], body["top_logprobs"], body["max_completion_tokens"]) == (True, 20, 1)
    assert "response_format" not in body


def test_no_proxy_stands_between_us_and_this_machine(service, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert ask(service, tmp_path / "l")[0].outcome == "ok"


def test_a_service_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(module.random, "random", lambda: -3.9)
    settings = JudgeSettings(judge="openai:m", base_url="http://127.0.0.1:9/v1")
    prompt = build("a", "Hi", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings)
    (verdict,) = judge([prompt], open_judge(settings), tmp_path / "l")
    assert verdict.outcome == "error" and "APIConnectionError" in verdict.reason


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
    assert open_judge(JudgeSettings(judge="openai:gpt-4", consent=True)).key == CANARY
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(AuthenticationError, match="cannot be read"):
        open_judge(JudgeSettings(judge="openai:gpt-4", consent=True))


def test_model_and_url_are_checked():
    with pytest.raises(ConfigError, match="needs a model"):
        open_judge(JudgeSettings(judge="openai"))
    with pytest.raises(ConfigError, match="no URL"):
        open_judge(JudgeSettings(judge="openai:m", base_url="localhost:8000"))

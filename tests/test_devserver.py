"""The test double itself: protocol, faults, clock, meter, and that it says what it is."""

import json
import time
import urllib.error
import urllib.request

import pytest

from emojudge import devserver
from emojudge.devserver import DevServer, Fault, read_script
from emojudge.devserver.toy import fill
from emojudge.errors import ConfigError

BODY = {"model": "any", "messages": [{"role": "user", "content": "Allowed emotions: Sad, Happy"}]}
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["Sad", "Happy"]}, "confidence": {"type": "integer", "maximum": 90}}}


def call(server, path, body=None, method=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        server.url.removesuffix("/v1") + path, data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read()), response.headers


@pytest.fixture
def server():
    with DevServer() as started:
        yield started


def test_it_says_that_it_is_a_double_and_listens_on_loopback_only(server):
    assert "test double" in devserver.__doc__ and server._server.server_address[0] == "127.0.0.1"
    content, headers = call(server, "/v1/chat/completions", BODY)
    assert "test double" in content["choices"][0]["message"]["content"]
    assert headers["x-ratelimit-remaining-requests"] == "9999"


def test_the_same_messages_have_the_same_label_wherever_they_are_asked(server):
    chat = call(server, "/v1/chat/completions", BODY)[0]["choices"][0]["message"]["content"]
    form = {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    said = call(server, "/v1/responses", {"model": "any", "input": BODY["messages"], **form})[0]["output"][0]["content"][0][
        "text"
    ]
    assert json.loads(chat)["label"] == json.loads(said)["label"]
    assert set(json.loads(said)) == {"label", "confidence"}
    top = call(server, "/v1/chat/completions", {**BODY, "logprobs": True})[0]["choices"][0]["logprobs"]["content"][0]
    assert top["token"] == json.loads(chat)["label"] and {t["token"] for t in top["top_logprobs"]} == {"Sad", "Happy"}


def test_a_schema_is_obeyed_without_our_prompt():
    assert fill(SCHEMA, 4) == {"label": "Sad", "confidence": 90}


def test_the_clock_drives_batches_and_the_meter_counts(server):
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": BODY}
    server.store.tick = 0
    file_id = server.store.keep(json.dumps(line).encode())
    asked = {"input_file_id": file_id, "endpoint": line["url"], "completion_window": "24h", "metadata": {"k": "v"}}
    name = call(server, "/v1/batches", asked)[0]["id"]
    seen = []
    for _ in range(4):
        seen.append(call(server, f"/v1/batches/{name}")[0]["status"])
        call(server, "/clock", {"seconds": 60})
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    call(server, "/v1/chat/completions", BODY)
    meter = call(server, "/meter")[0]
    assert (meter["charged"], meter["double"]) == (2, 1) and list(meter["requests"].values()) == [2]
    assert call(server, "/v1/batches?limit=5")[0]["data"][0]["metadata"] == {"k": "v"}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "empty_file"),
        (["{"], "invalid_json_line"),
        (["same", "same"], "duplicate_custom_id"),
        (["a", "url"], "url_mismatch"),
        (["a", "model"], "model_mismatch"),
    ],
)
def test_a_batch_is_validated_late(server, lines, code):
    def row(name):
        body = {**BODY, "model": name if name == "model" else "any"}
        url = "/v1/responses" if name == "url" else "/v1/chat/completions"
        return name if name == "{" else json.dumps({"custom_id": name, "url": url, "body": body})

    file_id = server.store.keep("\n".join(map(row, lines)).encode())
    made = server.store.create({"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"})
    assert made["status"] == "validating"
    shown = server.store.look(made["id"])
    assert shown["status"] == "failed" and shown["errors"]["data"][0]["code"] == code


def test_what_is_not_there(server):
    for path in ("/v1/batches/batch_9", "/v1/files/file-9/content", "/elsewhere"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            call(server, path)
        assert caught.value.code == 404
        caught.value.close()


def test_a_script_is_read_and_checked(tmp_path):
    path = tmp_path / "faults.toml"
    path.write_text('[[faults]]\non = "POST /v1/batches"\ndo = "lose"\n', encoding="utf-8")
    assert read_script(path) == [Fault("POST /v1/batches", "lose")]
    for wrong in ('[[faults]]\non = "x"\ndo = "explode"\n', "[[faults]]\nat = 3\n", "[[", "faults = 3"):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(ConfigError):
            read_script(path)


def test_a_port_that_is_taken_is_told(server):
    with pytest.raises(ConfigError, match="--port"):
        devserver.serve(server._server.server_port, None)


def test_it_keeps_up(server):
    """3,900 a second were seen on one connection; loosely here, for a busy machine."""
    import http.client

    connection, data = http.client.HTTPConnection(*server._server.server_address), json.dumps(BODY)
    begun = time.monotonic()
    for _ in range(300):
        connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()
    assert time.monotonic() - begun < 6

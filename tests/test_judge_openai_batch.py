"""The Batch API against the test double: shards, joins, resumption, budgets, and every fault."""

import json
from collections import Counter

import pytest

from emojudge.answers import read
from emojudge.devserver import DevServer, Fault
from emojudge.errors import AuthenticationError, BudgetError, ConfigError, ConsentError, JudgeError
from emojudge.judges import _batch_lines
from emojudge.judging import judge, open_judge
from emojudge.ledger import Ledger
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues

LABELS = ("Sad", "Happy", "Angry")
CANARY = "sk-canary-0123456789"
CREATE, UPLOAD, LOOK = "POST /v1/batches", "POST /v1/files", "GET /v1/batches/{id}"
CONTENT, LIST = "GET /v1/files/{id}/content", "GET /v1/batches"


@pytest.fixture
def serve(monkeypatch):
    """Start servers with faults; they end with the test."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    running = []

    def start(*faults, **options):
        running.append(DevServer(faults, **options))
        return running[-1]

    yield start
    for server in running:
        server.close()


class Time:
    """Seconds that pass when somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.sleeps = []

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds


def prompts(count, settings, text="Line"):
    return [build(str(i), f"{text} {i}.", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for i in range(count)]


def ask(server, ledger, count=6, time=None, model="gpt-4o", text="Line", **settings):
    settings = JudgeSettings(judge=f"openai_batch:{model}", base_url=server.url, **settings)
    opened, time = open_judge(settings), time or Time()
    opened.sleep, opened.clock = time.sleep, lambda: time.now
    return list(judge(prompts(count, settings, text), opened, ledger, count, settings))


def clean(server, count):
    """Everyone was charged once."""
    meter = server.meter.read()
    return (meter["charged"], meter["double"]) == (count, 0)


def outcomes(verdicts):
    return dict(Counter(verdict.outcome for verdict in verdicts))


def test_a_batch_is_what_the_protocol_says(serve, tmp_path):
    server = serve()
    found = ask(server, tmp_path / "l")
    assert [v.id for v in found] == list("012345") and outcomes(found) == {"ok": 6}
    (batch,) = server.store.batches.values()
    assert batch.shown["completion_window"] == "24h" and batch.shown["endpoint"] == "/v1/chat/completions"
    lines = [json.loads(line) for line in server.store.files["file-1"].splitlines()]
    assert {tuple(line) for line in lines} == {("custom_id", "method", "url", "body")}
    assert {line["custom_id"] for line in lines} == {v.key for v in found}
    assert lines[0]["body"]["store"] is False and lines[0]["body"]["temperature"] == 0.3
    assert clean(server, 6)


def test_at_once_and_in_a_batch_are_one_judge(serve, tmp_path):
    server = serve()
    first = ask(server, tmp_path / "l")
    settings = JudgeSettings(judge="openai:gpt-4o", base_url=server.url)
    assert list(judge(prompts(6, settings), open_judge(settings), tmp_path / "l")) == first
    alone = list(judge(prompts(6, settings), open_judge(settings), tmp_path / "other"))
    assert alone == first and server.meter.read()["double"] == 6, "the other ledger knew nothing"


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "o3-mini"])
@pytest.mark.parametrize("confidence", ["stated", "labels", "logprobs"])
def test_every_body_is_answered(serve, tmp_path, api, model, confidence):
    if model == "o3-mini" and confidence == "logprobs":
        pytest.skip("it gives none")
    server = serve()
    assert outcomes(ask(server, tmp_path / "l", model=model, api=api, confidence_from=confidence)) == {"ok": 6}


@pytest.mark.parametrize(("settings", "batches"), [({"batch_size": 2}, 3), ({"queue_tokens": 1}, 6), ({"queue_tokens": 2000}, 3)])
def test_shards_by_count_and_by_tokens(serve, tmp_path, settings, batches):
    server = serve()
    assert outcomes(ask(server, tmp_path / "l", **settings)) == {"ok": 6}
    assert len(server.store.batches) == batches and clean(server, 6)


def test_shards_by_bytes(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(_batch_lines, "MOST_BYTES", 10_000)
    server = serve()
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    uploads = [server.store.files[batch.shown["input_file_id"]] for batch in server.store.batches.values()]
    assert len(uploads) > 1 and max(map(len, uploads)) <= 10_000


def test_a_full_queue_is_waited_for_and_nothing_is_dropped(serve, tmp_path):
    server = serve(queue_tokens=2000)  # two requests
    assert outcomes(ask(server, tmp_path / "l", count=9, batch_size=3)) == {"ok": 9}
    assert clean(server, 9)
    assert any(batch.shown["status"] == "failed" for batch in server.store.batches.values())


def test_a_queue_too_small_for_one_request_is_told(serve, tmp_path):
    with pytest.raises(JudgeError, match="token_limit_exceeded"):
        ask(serve(queue_tokens=10), tmp_path / "l")


# -- faults


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(UPLOAD, "status", status=500)],
        [Fault(UPLOAD, "drop")],
        [Fault(UPLOAD, "lose")],
        [Fault(CREATE, "lose")],
        [Fault(CREATE, "cut")],
        [Fault(CREATE, "drop")],
        [Fault(CREATE, "status", status=502, times=2)],
        [Fault(CREATE, "status", status=409)],
        [Fault(CREATE, "status", status=429, headers={"Retry-After": "90"})],
        [Fault(CREATE, "status", status=404, message="No such File object: file-1", times=2)],
        [Fault(CREATE, "status", status=400, message="The file is not there", times=2)],
        [Fault(CREATE, "lose"), Fault(LIST, "status", status=500, times=3)],
        [Fault(LOOK, "status", status=500, times=20)],
        [Fault(LOOK, "drop", times=9)],
        [Fault(LOOK, "status", status=429, headers={"Retry-After": "600"})],
        [Fault(CONTENT, "status", status=404, times=2)],
        [Fault(CONTENT, "cut", times=2)],
        [Fault(CONTENT, "drop")],
        [Fault("line", "twice")],
        [Fault("batch", "fail", code="token_limit_exceeded")],
        [Fault("batch", "stuck")],
    ],
    ids=lambda faults: "+".join(f"{f.on} {f.do} {f.status if f.do == 'status' else f.code or ''}" for f in faults),
)
def test_passing_trouble_costs_nothing(serve, tmp_path, faults):
    """The clock of a stuck batch ends it after a day; half of it is done, and only the rest is asked again."""
    server = serve(*faults, tick=60 if faults[0].do != "stuck" else 3600)
    time = Time()
    assert outcomes(ask(server, tmp_path / "l", time=time, deadline_hours=100)) == {"ok": 6}
    assert clean(server, 6)
    asked = faults[0].headers.get("Retry-After")
    assert not asked or float(asked) in time.sleeps, "the service's wish is obeyed"


@pytest.mark.parametrize("code", ["batch_expired", "request_timeout"])
def test_lines_without_an_answer_are_asked_again_and_no_others(serve, tmp_path, code):
    server = serve(Fault("line", "error", at=2, times=3, code=code))
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    assert clean(server, 6)
    first, second = server.store.batches.values()
    assert (len(first.lines), len(second.lines)) == (6, 3)
    assert first.shown["error_file_id"] != "" == second.shown["error_file_id"]


def test_a_missing_line_is_asked_again(serve, tmp_path):
    """It was charged and never delivered: the one second charge that nobody can avoid."""
    server = serve(Fault("line", "missing"))
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    assert server.meter.read()["double"] == 1


def test_all_lines_may_fail_and_there_is_no_output_file(serve, tmp_path):
    server = serve(Fault("line", "status", status=400, message="context too long", times=0))
    found = ask(server, tmp_path / "l")
    assert outcomes(found) == {"error": 6} and "context too long" in found[0].reason
    (batch,) = server.store.batches.values()
    assert batch.shown["output_file_id"] is None


def test_rounds_are_bounded_and_the_label_stays(serve, tmp_path):
    server = serve(Fault("line", "status", status=500, times=0))
    assert outcomes(ask(server, tmp_path / "l", count=2)) == {"error": 2}
    assert len(server.store.batches) == 3


def test_an_expired_batch_keeps_what_was_done(serve, tmp_path):
    server = serve(Fault("batch", "expire"))
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    assert clean(server, 6) and len(server.store.batches) == 2


@pytest.mark.parametrize("name", ["temperature", "response_format"])
def test_a_refused_parameter_is_learnt(serve, tmp_path, name):
    server = serve(refuses={name})
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    assert clean(server, 6)
    with Ledger(tmp_path / "l") as ledger:
        assert {row[0] for row in ledger._base.execute("SELECT note FROM answers")} == {f"refused: {name}"}


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("line", "answer", text="I think Happy"), "invalid"),
        (Fault("line", "answer", refusal="No."), "refusal"),
        (Fault("line", "answer", text="", finish="content_filter"), "refusal"),
        (Fault("line", "answer", text='{"label": "Ha', finish="length"), "truncated"),
        (Fault("line", "answer", text='{"label": "Joy", "confidence": 90}'), "invalid"),
        (Fault("line", "content", content={"choices": []}), "invalid"),
        (Fault("line", "content", content="text"), "error"),
    ],
)
def test_odd_answers_are_verdicts(serve, tmp_path, fault, outcome):
    found = outcomes(ask(serve(fault), tmp_path / "l"))
    assert found == {"ok": 5, outcome: 1}


@pytest.mark.parametrize(
    ("faults", "error", "kept"),
    [
        ([Fault(UPLOAD, "status", status=401)], AuthenticationError, 0),
        ([Fault(CREATE, "status", status=401)], AuthenticationError, 0),
        ([Fault(CREATE, "status", status=403)], AuthenticationError, 0),
        ([Fault(CREATE, "status", status=429, code="insufficient_quota")], AuthenticationError, 0),
        ([Fault(LOOK, "status", status=401, at=2)], AuthenticationError, 0),
        ([Fault(CONTENT, "status", status=403)], AuthenticationError, 0),
        ([Fault(CREATE, "status", status=404, message="model retired", code="model_not_found")], JudgeError, 0),
        ([Fault(CREATE, "status", status=400, message="no")], JudgeError, 0),
        ([Fault(CREATE, "status", status=429, headers={"Retry-After": "600"})], JudgeError, 0),
        ([Fault(UPLOAD, "status", status=500, times=5)], JudgeError, 0),
        ([Fault("batch", "fail", code="invalid_json_line", message="line 3")], JudgeError, 0),
        ([Fault("batch", "fail", code="insufficient_quota")], AuthenticationError, 0),
        ([Fault("batch", "cancel")], JudgeError, 3),
        ([Fault("line", "status", status=401)], AuthenticationError, 5),
        ([Fault("line", "status", status=404, code="model_not_found")], JudgeError, 6),
        ([Fault("line", "status", status=429, code="insufficient_quota")], AuthenticationError, 5),
        ([Fault("line", "foreign")], JudgeError, 5),
        ([Fault("line", "differ")], JudgeError, 5),
    ],
    ids=lambda value: f"{value[0].on} {value[0].do} {value[0].code or value[0].status}" if isinstance(value, list) else None,
)
def test_what_needs_a_person_stops_and_the_second_run_goes_on(serve, tmp_path, faults, error, kept):
    server = serve(*faults)
    with pytest.raises(error) as caught:
        ask(server, tmp_path / "l")
    assert CANARY not in str(caught.value)
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.totals()["answers"] == (kept if kept < 6 else 5)
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    lost = {"foreign": 1, "differ": 1}.get(faults[0].do, 0)
    assert server.meter.read()["double"] == lost


def test_a_late_batch_stops_the_run_and_the_next_one_waits_on(serve, tmp_path):
    server, time = serve(Fault("batch", "stuck", status_name="in_progress"), tick=0), Time()
    with pytest.raises(JudgeError, match="still validating after 1 hours"):
        ask(server, tmp_path / "l", time=time, deadline_hours=1)
    assert len(time.sleeps) > 100
    server.store.tick = 12 * 3600
    assert outcomes(ask(server, tmp_path / "l", time=time, deadline_hours=100)) == {"ok": 6}
    assert clean(server, 6)


def test_a_batch_that_is_long_in_finalizing_is_worth_a_word(serve, tmp_path, capsys):
    ask(serve(Fault("batch", "stuck"), tick=300), tmp_path / "l", deadline_hours=100, poll_seconds=300)
    assert capsys.readouterr().err.count("finalizing for long") == 1


def test_a_clock_put_back_loses_nothing(serve, tmp_path):
    """A day, in the middle of a batch, and once more before the second run; only the deadlines move."""
    server, time = serve(Fault(LOOK, "status", status=401, at=3)), Time()
    time.now = 100_000.0
    with pytest.raises(AuthenticationError):
        ask(server, tmp_path / "l", time=time)
    time.now = 13_600.0
    sleep = time.sleep
    time.sleep = lambda seconds: (sleep(seconds), setattr(time, "now", time.now - 3600))
    assert outcomes(ask(server, tmp_path / "l", time=time)) == {"ok": 6}
    assert clean(server, 6) and len(server.store.batches) == 1


def test_a_service_away_at_the_deadline_is_told(serve, tmp_path):
    server, time = serve(Fault(LOOK, "status", status=503, times=0)), Time()
    with pytest.raises(JudgeError, match="503"):
        ask(server, tmp_path / "l", time=time, deadline_hours=2)
    assert time.now > 7200


def test_looks_are_jittered(serve, tmp_path):
    time = Time()
    ask(serve(), tmp_path / "l", time=time, poll_seconds=20)
    assert len(set(time.sleeps)) > 1 and all(15 <= seconds <= 25 for seconds in time.sleeps)


def test_the_list_is_paged_when_a_batch_is_sought(serve, tmp_path):
    server = serve(Fault(CREATE, "lose", at=121))
    file_id = server.store.keep(b"")
    for _ in range(120):
        server.store.create({"input_file_id": file_id, "endpoint": "x", "completion_window": "24h"})
    server.script.seen[CREATE] = 120
    server.store.page, page = lambda after, limit: page(after, min(limit, 7)), server.store.page
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6} and clean(server, 6)


def test_a_batch_of_other_words_is_left_alone_and_found_when_wanted(serve, tmp_path):
    server = serve(Fault(LOOK, "status", status=401))
    with pytest.raises(AuthenticationError):
        ask(server, tmp_path / "l")
    assert outcomes(ask(server, tmp_path / "l", text="Other")) == {"ok": 6}
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    assert len(server.store.batches) == 2 and clean(server, 12)


def test_answers_that_are_not_wanted_today_are_there_tomorrow(serve, tmp_path):
    """A batch of six, of which a later run wants two, one of them failed: the other four are fetched by a third run."""
    server = serve(Fault(LOOK, "status", status=401), Fault("line", "error", at=6, code="batch_expired"))
    with pytest.raises(AuthenticationError):
        ask(server, tmp_path / "l")
    assert outcomes(ask(server, tmp_path / "l", count=2)) == {"ok": 2}
    with Ledger(tmp_path / "l") as ledger:
        assert [batch["requests"] for batch in ledger.under_way()] == [6]
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.under_way() == []
    assert len(server.store.batches) == 2 and clean(server, 6)


def test_what_is_in_two_batches_is_expected_from_the_later_one(serve, tmp_path):
    """The first batch stays open for its other answers; its failed line is under way again when the process dies."""
    server = serve(
        Fault(LOOK, "status", status=401),
        Fault("line", "error", at=6, code="batch_expired"),
        Fault(LOOK, "status", status=401, at=5),
    )
    for count in (6, 2):
        with pytest.raises(AuthenticationError):
            ask(server, tmp_path / "l", count=count)
    assert len(server.store.batches) == 2
    assert outcomes(ask(server, tmp_path / "l")) == {"ok": 6}
    assert len(server.store.batches) == 2 and clean(server, 6)


def test_budgets_refuse_before_anything_is_sent(serve, tmp_path):
    server = serve()
    for limit in ({"budget_dollars": 0.001}, {"budget_tokens": 100}):
        with pytest.raises(BudgetError, match=r"judge\.budget") as caught:
            ask(server, tmp_path / "l", **limit)
        assert caught.value.exit_code == 3
    assert not server.seen
    assert outcomes(ask(server, tmp_path / "l", budget_dollars=1.0, budget_tokens=100_000)) == {"ok": 6}
    with pytest.raises(BudgetError, match="are spent"):
        ask(server, tmp_path / "l", text="More", budget_tokens=server.meter.tokens + 10)
    again = ask(server, tmp_path / "l", budget_dollars=0.0)
    assert outcomes(again) == {"ok": 6}, "what is answered costs nothing"


def test_an_unknown_price_is_refused_unless_allowed(serve, tmp_path):
    with pytest.raises(BudgetError, match="allow_unknown_price"):
        open_judge(JudgeSettings(judge="openai_batch:unheard-of", consent=True, base_url="http://192.0.2.1/v1"))
    settings = {"consent": True, "base_url": "http://192.0.2.1/v1", "allow_unknown_price": True}
    assert open_judge(JudgeSettings(judge="openai_batch:unheard-of", **settings)).remote


def test_consent_model_and_ledger_are_needed(serve):
    server = serve()
    with pytest.raises(ConsentError, match="consent"):
        open_judge(JudgeSettings(judge="openai_batch:gpt-4"))
    with pytest.raises(ConfigError, match="needs a model"):
        open_judge(JudgeSettings(judge="openai_batch"))
    settings = JudgeSettings(judge="openai_batch:gpt-4", base_url=server.url)
    with pytest.raises(JudgeError, match="ledger"):
        list(open_judge(settings).judge(prompts(1, settings)))


def test_the_key_is_nowhere(serve, tmp_path):
    server = serve(Fault("line", "status", status=400, message=f"your key {CANARY} is odd"))
    found = ask(server, tmp_path / "l")
    assert sum("[key] is odd" in v.reason for v in found) == 1
    assert not any(CANARY.encode() in file.read_bytes() for file in tmp_path.iterdir())
    assert CANARY not in repr(open_judge(JudgeSettings(judge="openai_batch:gpt-4o", base_url=server.url)))


def test_a_result_file_without_end_is_cut(serve, tmp_path, monkeypatch):
    from emojudge.judges import _batch_calls

    monkeypatch.setattr(_batch_calls, "MOST_RESULT_BYTES", 1 << 20)
    with pytest.raises(JudgeError, match="1,048,576 bytes"):
        ask(serve(Fault(CONTENT, "bomb")), tmp_path / "l")


def test_joining_is_by_name_whatever_the_order():
    settings = JudgeSettings()
    lines = [json.dumps({"custom_id": k, "response": {"status_code": 200, "body": {"n": k}}}).encode() for k in "cab"]
    results = _batch_lines.join([*lines, b"", lines[0], b"no json", b"[]"], "abcd")
    assert {k: body["n"] for k, body in results.answers.items()} == {"a": "a", "b": "b", "c": "c"}
    assert len(results.wrong) == 2 and not results.errors
    other = lines[0].replace(b'"n": "c"', b'"n": "x"')
    assert "c" not in _batch_lines.join([lines[0], other, lines[0]], "abc").answers
    assert read({"choices": []}, prompts(1, settings)[0], "x").outcome == "invalid"
    odd = [{"custom_id": "a", "error": "boom"}, {"custom_id": "b", "response": [1]}, {"custom_id": "c", "response": "none"}]
    results = _batch_lines.join((json.dumps(row).encode() for row in odd), "abc")
    assert [told[3] for told in results.errors.values()] == ["boom", "no message", "no message"] and not results.answers

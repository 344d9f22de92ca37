"""Rate limits told by headers: a bucket that fills evenly, shared by threads; checked by a bucket of our own."""

import threading
import time

import pytest

from emojudge.devserver import DevServer, Fault
from emojudge.judges._pace import LONGEST, Pace
from emojudge.judging import judge, open_judge
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.types import Cues

LABELS = ("Sad", "Happy")


class Clock:
    """Time that passes while somebody waits for it; also the event that is waited on."""

    now, stopped = 0.0, False

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        return self.stopped


def headers(left, limit, reset, kind="requests"):
    about = {"remaining": left, "limit": limit, "reset": reset}
    return {f"x-ratelimit-{name}-{kind}": str(value) for name, value in about.items()}


def taken_at(pace, clock, count, tokens=0):
    times = []
    for _ in range(count):
        assert pace.take(tokens, clock)
        times.append(round(clock.now, 6))
    return times


def test_nothing_is_known_at_first_and_nothing_waits():
    clock = Clock()
    pace = Pace(clock)
    pace.note({"content-type": "application/json"})
    pace.note(headers("many", "more", "1s"))
    assert taken_at(pace, clock, 5) == [0.0] * 5


def test_what_is_left_is_taken_at_once_and_the_rest_as_it_comes_back():
    """2 of 10 left, full in 4 s: 2 requests a second come back."""
    clock = Clock()
    pace = Pace(clock)
    pace.note(headers(2, 10, "4s"))
    assert taken_at(pace, clock, 5) == [0, 0, 0.5, 1.0, 1.5]
    pace.note(headers(9, 10, "0.5s"))
    assert taken_at(pace, clock, 2) == [1.5, 1.5]


def test_tokens_count_by_the_size_of_the_request():
    clock = Clock()
    pace = Pace(clock)
    pace.note(headers(0, 1000, "10s", "tokens"))
    assert taken_at(pace, clock, 2, tokens=300) == [3.0, 6.0]


def test_a_request_that_never_fits_is_sent_after_a_while():
    clock = Clock()
    pace = Pace(clock)
    pace.note(headers(0, 10, "10s", "tokens"))
    assert taken_at(pace, clock, 1, tokens=10**6) == [LONGEST]
    pace.note(headers(0, 10, "24h"))
    assert taken_at(pace, clock, 1)[0] <= 2 * LONGEST


def test_leaving_ends_the_waiting():
    clock = Clock()
    pace = Pace(clock)
    pace.note(headers(0, 1, "60s"))
    clock.stopped = True
    assert not pace.take(0, clock)


def test_threads_do_not_share_one_place():
    pace = Pace()
    pace.note(headers(3, 10, "1h"))
    stop, got = threading.Event(), []
    threads = [threading.Thread(target=lambda: got.append(pace.take(0, stop))) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 5 + [True] * 3


@pytest.mark.parametrize("do", ["answer", "status"])
def test_the_judge_obeys_the_headers_of_answers_and_of_errors(tmp_path, do):
    told = headers(0, 1, "400ms") | ({"Retry-After": "0"} if do == "status" else {})
    text = '{"label": "Sad", "confidence": 90}'
    fault = Fault("POST /v1/chat/completions", do, status=429, text=text, headers=told)
    with DevServer([fault]) as server:
        settings = JudgeSettings(judge="openai:x", base_url=server.url, concurrency=1)
        made = (build(str(n), f"Line {n}.", Cues("a", 1.0), shown="Sad", labels=LABELS, settings=settings) for n in range(2))
        begun = time.monotonic()
        verdicts = list(judge(list(made), open_judge(settings), tmp_path / "l"))
    assert [verdict.outcome for verdict in verdicts] == ["ok", "ok"]
    assert 0.4 <= time.monotonic() - begun < 5

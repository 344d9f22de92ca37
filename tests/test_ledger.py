"""The ledger: nothing twice, nothing lost, one writer."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from emojudge.answers import Reply
from emojudge.errors import DataError, JudgeError
from emojudge.judges.replay import recorded
from emojudge.ledger import MIGRATIONS, Ledger
from emojudge.prompts import build
from emojudge.settings import JudgeSettings
from emojudge.storage import read_jsonl
from emojudge.types import Cues, Verdict

ROOT = Path(__file__).parents[1]


def prompt(text="Well."):
    return build("a", text, Cues("a", 1.0), shown="Sad", labels=("Sad", "Happy"), settings=JudgeSettings())


def reply(key, outcome="ok", label="Happy"):
    verdict = Verdict("a", label, {"Sad": 0.1, "Happy": 0.9}, 0.9, "so — “ü”", "test", key, outcome)
    return Reply(verdict, model="m-1", tokens_in=100, tokens_out=20, seconds=1.5, note="refused: seed")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as opened:
        yield opened


def fill(ledger, text="Well.", **changes):
    key = prompt(text).key("test")
    ledger.intend({key: prompt(text)}, "test")
    ledger.record(reply(key, **changes))
    return key


def test_an_answer_comes_back_as_it_went_in(ledger):
    key = fill(ledger)
    assert ledger.find(key) == reply(key).verdict
    assert ledger.find("another") is None
    expected = {"requests": 1, "answers": 1, "errors": 0, "tokens_in": 100, "tokens_out": 20, "seconds": 1.5}
    assert ledger.totals() == expected


def test_it_lasts_and_a_later_answer_does_not_replace_it(tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        key = fill(ledger)
    with Ledger(tmp_path / "l") as ledger:
        fill(ledger, label="Sad")
        assert ledger.find(key).label == "Happy"


def test_an_error_may_be_asked_again_and_is_replaced_by_an_answer(ledger):
    key = fill(ledger, outcome="error", label=None)
    assert ledger.find(key) is None and ledger.totals()["errors"] == 1
    fill(ledger)
    assert ledger.find(key).label == "Happy" and ledger.totals()["errors"] == 0


@pytest.mark.parametrize("outcome", ["invalid", "refusal", "truncated"])
def test_a_paid_answer_without_a_label_counts(ledger, outcome):
    assert ledger.find(fill(ledger, outcome=outcome, label=None)).outcome == outcome


def test_an_answer_without_a_request_is_refused(ledger):
    with pytest.raises(DataError, match="FOREIGN KEY"):
        ledger.record(reply("never asked"))
    assert ledger.totals()["answers"] == 0


def test_export_is_what_replay_reads(ledger, tmp_path):
    keys = sorted(fill(ledger, text) for text in ("a", "b", "c"))
    fill(ledger, "d", outcome="error", label=None)
    assert ledger.export(tmp_path / "v.jsonl") == 3
    wanted = {key: reply(key).verdict for key in keys}
    assert recorded(tmp_path / "v.jsonl") == wanted
    rows = list(read_jsonl(tmp_path / "v.jsonl", dict))
    assert {(row["model"], row["date"]) for row in rows} == {(reply("k").model, time.strftime("%Y-%m-%d", time.gmtime()))}
    assert {row["prompt_id"] for row in rows} == {prompt().prompt_id}


def test_a_bare_recording_tells_nothing_of_the_clips(ledger, tmp_path):
    """Neither the id, which may be a file's name, nor the reason, which may quote what was said."""
    key = fill(ledger)
    assert ledger.export(tmp_path / "v.jsonl", bare=True) == 1
    (row,) = read_jsonl(tmp_path / "v.jsonl", dict)
    assert row.keys() == {"label", "probabilities", "confidence", "judge", "key", "outcome", "model", "prompt_id", "date"}
    assert recorded(tmp_path / "v.jsonl") == {key: replace(reply(key).verdict, id="", reason="")}


def test_a_second_writer_is_told_and_the_first_goes_on(ledger):
    with pytest.raises(JudgeError, match="in use by another"):
        Ledger(ledger.path)
    fill(ledger)


def test_a_second_process_is_told(ledger):
    code = f"from emojudge.ledger import Ledger\nLedger({str(ledger.path)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "JudgeError" in done.stderr and "in use by another" in done.stderr


def test_kill_loses_nothing_that_was_recorded(tmp_path):
    code = (
        "import os, signal\nfrom tests.test_ledger import *\n"
        f"ledger = Ledger({str(tmp_path / 'l')!r})\n"
        "fill(ledger)\nledger.intend({'k': prompt()}, 'test')\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.find(prompt().key("test")).label == "Happy"
        assert ledger.find("k") is None
        assert ledger.totals()["requests"] == 2


def test_what_is_no_ledger_is_named(tmp_path):
    (tmp_path / "l").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataError, match="damaged or no ledger"):
        Ledger(tmp_path / "l")


def test_a_page_that_the_disk_has_lost_is_a_sentence(tmp_path):
    """The first page is whole, so that it opens; every reading beyond it says what to do."""
    with Ledger(tmp_path / "l") as ledger:
        for number in range(300):
            fill(ledger, f"line {number}")
    content = bytearray((tmp_path / "l").read_bytes())
    content[4096 * 6 :] = b"\xff" * (len(content) - 4096 * 6)
    (tmp_path / "l").write_bytes(content)
    with Ledger(tmp_path / "l") as ledger:
        for reading in (lambda: list(ledger.verdicts()), ledger.totals, ledger.used, lambda: ledger.export(tmp_path / "v")):
            with pytest.raises(DataError, match="damaged.*restore it, or move it away"):
                reading()


def test_a_clock_put_back_makes_no_batch_of_the_future(ledger):
    ledger.begin_batch("test", "http://here", [fill(ledger)], 50, now=time.time() + 7200)
    assert ledger.under_way()[0]["hours"] == 0.0


def test_a_newer_ledger_is_refused_and_an_empty_file_is_fine(tmp_path):
    (tmp_path / "empty").touch()
    Ledger(tmp_path / "empty").close()
    base = sqlite3.connect(tmp_path / "l")
    base.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    base.close()
    with pytest.raises(DataError, match="newer EmoJudge"):
        Ledger(tmp_path / "l")


def test_a_ledger_of_the_first_version_is_brought_up_to_date(tmp_path):
    base = sqlite3.connect(tmp_path / "l")
    base.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
    base.execute("INSERT INTO requests VALUES ('k', 'a', 'test', 'p', 'Sad', 'Sad, Happy', 0.3, 'stated', 0, 1.0)")
    base.execute("INSERT INTO answers VALUES ('k', 'ok', 'Happy', 0.9, '{}', '', 'm', 100, 20, 1.0, '', 2.0)")
    base.commit()
    base.close()
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.find("k").label == "Happy" and ledger.under_way() == []
        assert ledger.used() == [("test", 0, 100, 20)]


def test_a_batch_is_there_until_it_is_closed(tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        key = fill(ledger)
        batch = ledger.begin_batch("test", "http://here", [key], 50, now=7.0)
        ledger.mark_batch(batch, "creating")
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.open_batches("other", "http://here") == ledger.open_batches("test", "http://there") == []
        assert ledger.open_batches("test", "http://here") == [batch]
        ledger.mark_batch(batch, "in_progress", batch_id="b1")
        assert [(b["id"], b["status"], b["requests"]) for b in ledger.under_way()] == [("b1", "in_progress", 1)]
        assert ledger.used() == [("test", 1, 100, 20)]
        ledger.mark_batch(batch, "completed", closed=True)
        assert ledger.open_batches("test", "http://here") == ledger.under_way() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(JudgeError, match="cannot be written"):
        Ledger(tmp_path / "l")


def test_the_disk_is_asked_to_keep_it(ledger):
    assert ledger._base.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert ledger._base.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_equal_requests_are_one_row(ledger):
    key = prompt().key("test")
    ledger.intend({key: prompt()}, "test")
    ledger.intend({key: replace(prompt(), id="b")}, "test")
    assert ledger.totals()["requests"] == 1


def test_a_large_ledger_is_read_in_constant_memory(tmp_path):
    """Python's own allocations, at two sizes; benchmarks/ledger.py does it with a million rows and the whole process."""
    path = Path(__file__).parents[1] / "benchmarks" / "ledger.py"
    found = spec_from_file_location("ledger_benchmark", path)
    sys.modules[found.name] = benchmark = module_from_spec(found)
    found.loader.exec_module(benchmark)
    peaks = []
    for rows in (500, 5000):
        steps = list(benchmark.measure(rows, tmp_path / str(rows)))
        assert [step.rows for step in steps] == [rows] * 4
        with Ledger(tmp_path / str(rows)) as ledger:
            tracemalloc.start()
            assert sum(1 for _ in ledger.verdicts()) == rows and ledger.find("none") is None
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000

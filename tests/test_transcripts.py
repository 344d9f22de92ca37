"""A corpus is transcribed once, goes on where it was killed, and feeds the stages behind it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from emojudge import transcripts
from emojudge.config import load_config
from emojudge.errors import DataError, UnknownName
from emojudge.experiment import Experiment
from emojudge.settings import TranscriptSettings
from emojudge.storage import read_jsonl
from emojudge.types import Cues, Transcript, Utterance, Word

SETTINGS = TranscriptSettings(transcribe="counting", batch_size=2)


class Counting:
    """A transcriber that says how many samples it heard, and remembers each clip that it was given."""

    fingerprint = "counting"

    def __init__(self):
        self.heard = []

    def transcribe(self, batch):
        self.heard += [len(samples) for samples in batch]
        return [
            Transcript("", f"I hear {len(s)}", (Word("I", 0.1, 0.2, 0.9), Word("hear", 0.3, 0.5, 0.8)), 0.85, "en") for s in batch
        ]


@pytest.fixture
def counting(monkeypatch, tmp_path):
    """The transcriber `counting`, under a cache of its own."""
    made = Counting()
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))
    resolve = transcripts.resolve
    door = SimpleNamespace(open=lambda argument, settings: made)
    named = lambda folder, spec: (door, "") if spec == "counting" else resolve(folder, spec)  # noqa: E731
    monkeypatch.setattr(transcripts, "resolve", named)
    monkeypatch.setattr("emojudge.preflight.resolve", named)
    return made


@pytest.fixture
def corpus(tmp_path):
    """Seven clips in three splits: two alike, one broken, one that comes with a text."""
    root, rows = tmp_path / "corpus", []
    root.mkdir()
    for number in range(7):
        path = root / f"{number}.wav"
        soundfile.write(path, np.random.default_rng(min(number, 5)).normal(0, 0.1, 4000 + 1000 * min(number, 5)), 16000)
        split, emotion = ("train", "train", "dev", "test")[number % 4], ("Sad", "Happy")[number % 2]
        rows.append({"id": str(number), "audio": path.name, "split": split, "emotion": emotion, "speaker": f"s{number}"})
    rows[0]["text"] = "Brought along."
    (root / "3.wav").write_bytes(b"")
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def utterances(corpus):
    rows = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    return [Utterance(row["id"], str(corpus / row["audio"]), row.get("text")) for row in rows]


def test_each_sound_is_heard_once_shortest_first(counting, corpus):
    found, skipped = transcripts.hear(utterances(corpus), SETTINGS)
    assert counting.heard == [4000, 5000, 6000, 8000, 9000]  # 3 is broken, 5 and 6 are the same
    assert list(skipped) == ["3"] and "3.wav" in skipped["3"]
    assert {id: one.text for id, one in found.items()} == {
        "0": "I hear 4000", "1": "I hear 5000", "2": "I hear 6000", "4": "I hear 8000", "5": "I hear 9000", "6": "I hear 9000",
    }  # fmt: skip
    assert found["6"].id == "6" and found["6"].source == "counting" and found["6"].words[1] == Word("hear", 0.3, 0.5, 0.8)
    assert transcripts.hear(utterances(corpus), SETTINGS) == (found, skipped) and len(counting.heard) == 5


def test_gaps_alone_are_filled_where_so_set(counting, corpus):
    found, _ = transcripts.hear(utterances(corpus), SETTINGS.model_copy(update={"replace": False}))
    assert "0" not in found and 4000 not in counting.heard and len(found) == 5


def test_a_failure_loses_its_own_batch_alone(counting, corpus, monkeypatch):
    transcribe = counting.transcribe

    def failing(batch):
        if len(batch[0]) == 6000:
            raise KeyboardInterrupt
        return transcribe(batch)

    monkeypatch.setattr(counting, "transcribe", failing)
    with pytest.raises(KeyboardInterrupt):
        transcripts.hear(utterances(corpus), SETTINGS)
    monkeypatch.setattr(counting, "transcribe", transcribe)
    transcripts.hear(utterances(corpus), SETTINGS)
    assert counting.heard == [4000, 5000, 6000, 8000, 9000]


def test_another_transcriber_hears_for_itself(counting, corpus):
    transcripts.hear(utterances(corpus), SETTINGS)
    counting.fingerprint = "another"
    transcripts.hear(utterances(corpus), SETTINGS)
    assert len(counting.heard) == 10


def test_a_damaged_store_is_one_sentence(counting, corpus, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "transcripts.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"transcripts\.sqlite cannot be used .*; delete it"):
        transcripts.hear(utterances(corpus), SETTINGS)


# -- as a stage


def experiment(corpus, folder, *changes):
    usual = ["data.corpus=table", f"data.root={corpus}", 'data.labels=["Sad", "Happy"]', "transcripts.transcribe=counting"]
    return Experiment(load_config(changes=[*usual, *changes]), folder)


def texts(work):
    return {u.id: u.text for u in work.utterances.values()}


def test_the_stage_writes_transcripts_and_texts(counting, corpus, tmp_path, capfd):
    work = experiment(corpus, tmp_path / "run", "seeds=[0]")
    work.prepare()
    assert texts(work)["0"] == "Brought along." and texts(work)["1"] is None
    with pytest.raises(DataError, match="transcribe RUN"):
        work.cues()
    work.transcribe()
    assert texts(work)["0"] == "I hear 4000" and texts(work)["3"] is None
    assert list(work.run.transcripts()) == ["0", "1", "2", "4", "5", "6"] and "3" in work.skipped()
    row = json.loads((tmp_path / "run" / "transcripts.jsonl").read_text().splitlines()[0])
    assert row["words"][1] == {"word": "hear", "start": 0.3, "end": 0.5, "confidence": 0.8}
    assert {k: row[k] for k in ("id", "language", "source", "confidence")} == {
        "id": "0", "language": "en", "source": "counting", "confidence": 0.85,
    }  # fmt: skip
    capfd.readouterr()
    again = experiment(corpus, tmp_path / "run", "seeds=[0]")
    again.prepare()
    again.transcribe()
    assert texts(again) == texts(work) and "…" not in capfd.readouterr().err and len(counting.heard) == 5


def test_texts_that_came_along_come_back(counting, corpus, tmp_path):
    for change, expected in (
        ("transcripts.replace=true", "I hear 4000"),
        ("transcripts.replace=false", "Brought along."),
        ("transcripts.transcribe=none", "Brought along."),
    ):
        work = experiment(corpus, tmp_path / "run", change)
        work.prepare()
        if "none" not in change:
            work.transcribe()
        assert texts(work)["0"] == expected
        assert (texts(work)["1"] is None) == ("none" in change)
        assert ("0" in work.run.transcripts()) == (change == "transcripts.replace=true")


def test_the_rate_comes_from_the_words(counting, corpus, tmp_path):
    work = experiment(corpus, tmp_path / "run")
    work.prepare()
    work.transcribe()
    work.cues()
    rows = list(read_jsonl(work.run.file("cues.jsonl"), Cues))
    assert {(row.rate, row.rate_unit) for row in rows} == {(5.0, "words/s of speech")}


def test_what_cannot_be_trusted_gives_no_rate(counting, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "transcribe", lambda batch: [Transcript("", "no no no", (Word("no", 0, 1, 1.0),))] * len(batch))
    work = experiment(corpus, tmp_path / "run")
    work.prepare()
    work.transcribe()
    work.cues()
    assert {row.rate_unit for row in read_jsonl(work.run.file("cues.jsonl"), Cues)} == {"syllables/s"}


def test_folds_have_the_texts_too(counting, corpus, tmp_path):
    (corpus / "folds.json").write_text(json.dumps({"folds": {"1": ["s0", "s2"], "2": ["s1", "s4"]}}))
    work = experiment(corpus, tmp_path / "run", "data.folds=folds.json", "data.fold_dev_share=0")
    work.prepare()
    work.transcribe()
    assert all({u.id: u.text for u in part.manifest()} == texts(work) for part in work.run.parts())


def test_no_such_transcriber(corpus, tmp_path):
    work = experiment(corpus, tmp_path / "run", "transcripts.transcribe=wisper")
    work.prepare()
    with pytest.raises(UnknownName, match="did you mean 'whisper'"):
        work.transcribe()


def test_a_killed_run_goes_on(corpus, tmp_path):
    """With a real process and a real (tiny) Whisper: what was kept before the kill is not heard again."""
    from emojudge.tiny_checkpoints import tiny_whisper

    whisper = tiny_whisper(tmp_path / "whisper")
    command = [sys.executable, "-m", "emojudge", "transcribe", str(tmp_path / "run")]
    for change in (f"transcripts.transcribe=whisper:{whisper}", "transcripts.batch_size=1"):
        command += ["--set", change]
    experiment(corpus, tmp_path / "run").prepare()
    environment = os.environ | {"EMOJUDGE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(Path(__file__).parents[1])}
    first = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    store = tmp_path / "cache" / "transcripts.sqlite"
    deadline = time.monotonic() + 200
    while not kept(store) and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = kept(store)
    assert len(before) > 0 and not (tmp_path / "run" / "transcripts.jsonl").exists()
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    after = kept(store)
    assert len(after) == 5 and {key: after[key] for key in before} == before  # rowids tell that none was written anew


def kept(store):
    import sqlite3

    if not store.exists():
        return {}
    with sqlite3.connect(store) as known:
        try:
            return dict(known.execute("SELECT sound, rowid FROM transcripts"))
        except sqlite3.OperationalError:  # the table is not there yet
            return {}

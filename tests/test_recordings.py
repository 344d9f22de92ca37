"""`emojudge predict FILES` and `emojudge listen`, as a person meets them."""

import json
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from emojudge import hearing, pipeline, recordings, shards
from emojudge.cli import app
from emojudge.errors import DataError
from emojudge.relative import relative
from tests.made_up_speech import RATE, speech, tiny_run
from tests.test_cli import call, refused


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that hears voices only, so that nothing is transcribed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tiny_run(tmp_path_factory.mktemp("run"), 'modalities=["audio"]', 'tasks=["emotions"]')


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "in" / "a.wav", speech(0.5, 1.0, 1.0, 1.5, 0.5), RATE)
    soundfile.write(tmp_path / "in" / "deep" / "b.mp3", speech(0.5, 1.0, 0.7), RATE)
    (tmp_path / "in" / "broken.wav").write_bytes(b"RIFF")
    return tmp_path / "in"


def test_a_folder_becomes_files_and_what_is_broken_is_listed(run, folder, tmp_path):
    out = tmp_path / "out"
    words = ["predict", folder, "--run", run, "--output", out, "--format", "jsonl,srt"]
    result = call(*words)
    assert result.exit_code == 1 and "Traceback" not in result.output
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert names == {"a.jsonl", "a.srt", "deep/b.jsonl", "deep/b.srt", "skipped.jsonl"}
    [skipped] = [json.loads(line) for line in (out / "skipped.jsonl").read_text().splitlines()]
    assert skipped["file"].endswith("broken.wav") and "broken.wav" in skipped["reason"]
    assert len((out / "a.jsonl").read_text().splitlines()) == 2

    (folder / "broken.wav").unlink()
    before = (out / "a.srt").stat().st_mtime_ns
    (out / "deep" / "b.srt").unlink()
    resumed = call(*words)
    assert resumed.exit_code == 0 and "a.wav: done already" in resumed.stderr and "b.mp3: 2 s, 1 segments" in resumed.stderr
    assert (out / "a.srt").stat().st_mtime_ns == before and (out / "deep" / "b.srt").exists()
    assert not (out / "skipped.jsonl").exists()
    assert call(*words, "--again").exit_code == 0 and (out / "a.srt").stat().st_mtime_ns > before


def test_two_processes_write_what_one_writes(run, folder, tmp_path):
    """Real models in real processes; who dies in them is tests/test_engines.py's matter."""
    out, alone = tmp_path / "shared", shards.Task(str(run.resolve()), str(tmp_path / "alone"), size=2)
    words = ["predict", folder, "--run", run, "--shard", "2"]
    result = call(*words, "--workers", "2", "--output", out)
    assert result.exit_code == 1 and len(result.stdout.splitlines()) == 2 and "Traceback" not in result.output
    threads = torch.get_num_threads()
    for shard in shards.cut(alone, [folder]):
        shards.work(alone, shard)
    torch.set_num_threads(threads)
    for name in ("shard-000000.jsonl", "shard-000001.jsonl"):
        assert (out / "shards" / name).read_bytes() == (tmp_path / "alone" / "shards" / name).read_bytes()
    assert "broken.wav" in (out / "skipped.jsonl").read_text() and (out / "shards" / "shard-000001.jsonl").stat().st_size
    refused(call(*words), "--output")
    refused(call(*words, "--output", out, "--judge"), "leave out --judge")
    refused(call(*words, "--output", out, "--engine", "rya"), "did you mean 'ray'?")


def test_one_speaker_is_heard_as_a_whole(run, folder, tmp_path):
    """Every segment of every recording counts; fewer than eight say nothing about a voice."""
    words = ["predict", folder, "--run", run, "--set", "recordings.smoothing=0"]
    refused(call(*words, "--one-speaker"), "One speaker speaks in 3 clips, and emotions relative to a speaker need 8")
    refused(call(*words, "--one-speaker", "--judge"), "leave out --speakers, --judge")
    for name in ("c", "d", "e"):
        soundfile.write(folder / f"{name}.wav", speech(0.5, 1.0, 1.0, 1.5, 0.5, seed=ord(name)), RATE)
    out = {name: tmp_path / name for name in ("alone", "together")}
    assert call(*words, "--output", out["alone"]).exit_code == 1
    assert call(*words, "--output", out["together"], "--one-speaker").exit_code == 1
    found = {name: [row["emotions"] for row in _rows(out[name])] for name in out}
    probabilities = {name: np.array([list(row.values()) for row in rows]) for name, rows in found.items()}
    assert len(found["alone"]) == 9
    np.testing.assert_allclose(probabilities["together"], relative(probabilities["alone"], "x"), atol=1e-3)
    assert "broken.wav" in (out["together"] / "skipped.jsonl").read_text()


def _rows(folder):
    return [json.loads(line) for path in sorted(folder.rglob("?.jsonl")) for line in path.read_text().splitlines()]


def test_no_worker_no_order_and_no_batch_changes_a_prediction(run, folder, tmp_path, monkeypatch):
    """One process or two, the list forwards or backwards, shards of one or of three, segments together or one by one."""
    soundfile.write(folder / "c.wav", speech(0.4, 2.2, 0.8, 0.6, 0.5, seed=1), RATE)
    names = [folder / "a.wav", folder / "deep" / "b.mp3", folder / "c.wav"]

    def scores(words, paths):
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        assert call("predict", *paths, "--run", run, "--output", out, *words).exit_code == 0
        files = [path for path in out.rglob("*.jsonl") if path.name != "shards.jsonl"]
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        return {(Path(row["file"]).name, row["start"]): list(row["emotions"].values()) for row in rows}

    ways = [
        scores(["--engine", "local", "--workers", "1", "--shard", "3"], names),
        scores(["--engine", "local", "--workers", "2", "--shard", "1"], names[::-1]),
        scores([], names[::-1]),
    ]
    monkeypatch.setattr(hearing, "neighbours", partial(hearing.neighbours, count=1))
    ways.append(scores([], names))
    assert len(ways[0]) == 5 and all(way.keys() == ways[0].keys() for way in ways)
    assert max(np.ptp([way[key] for way in ways], axis=0).max() for key in ways[0]) < 1e-4


def test_results_are_printed_where_no_folder_is_given(run, folder):
    result = call("predict", folder / "a.wav", "--run", run, "--json", "--speakers", "1")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0 and [row["speaker"] for row in rows] == ["S1", "S1"]
    assert rows[0]["emotion"] in rows[0]["emotions"] and rows[0]["file"] == str(folder / "a.wav")
    table = call("predict", folder / "a.wav", "--run", run).stdout
    assert "a.wav" in table and rows[0]["emotion"] in table and "TINY" in table


def test_standard_input(run, folder):
    content = (folder / "a.wav").read_bytes()
    result = CliRunner().invoke(app, ["predict", "-", "--run", str(run), "--json"], input=content)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0 and len(rows) == 2 and rows[0]["file"] == "standard input"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "jsonl,srtt"], "did you mean 'srt'?"),
        (["--speakers", "some"], "no number of speakers"),
        (["--set", "recordings.threshold=2"], "recordings.threshold"),
    ],
)
def test_mistakes_are_one_sentence(run, folder, tmp_path, words, said):
    refused(call("predict", folder / "a.wav", "--run", run, "--output", tmp_path / "out", *words), said)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_skipped_like_a_broken_one(run):
    result = call("predict", "nowhere.wav", "--run", run)
    assert result.exit_code == 1 and "nowhere.wav cannot be opened" in result.stderr


def test_one_model_of_a_run_still_predicts_its_corpus(run):
    before = (run / "emotions" / "predictions" / "audio.jsonl").read_text()
    assert call("predict", run, "audio").exit_code == 0
    assert (run / "emotions" / "predictions" / "audio.jsonl").read_text() == before


def test_names_of_outputs(tmp_path):
    for name in ("x/a.wav", "x/a.mp3", "x/deep/b.wav", "y/b.wav", "z/b.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = recordings.jobs([tmp_path / "x", tmp_path / "y" / "b.wav"], Path("out"), ["srt"])
    assert [str(job.files["srt"]) for job in found] == ["out/a.mp3.srt", "out/a.wav.srt", "out/deep/b.srt", "out/b.srt"]
    with pytest.raises(DataError, match="the folder above"):
        recordings.jobs([tmp_path / "y" / "b.wav", tmp_path / "z" / "b.wav"], Path("out"), ["srt"])


def test_a_microphone_is_listened_to(run, monkeypatch):
    """A made-up PortAudio: it calls back with blocks, as the real one does from a thread of its own."""
    opened = {}

    class InputStream:
        def __init__(self, callback, blocksize, **options):
            opened.update(options)
            sound = speech(0.5, 1.6, 1.0)
            for start in range(0, len(sound), blocksize):
                callback(sound[start : start + blocksize, None], blocksize, None, None)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            opened["closed"] = True

    class PortAudioError(Exception):
        pass

    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError))
    judge = pipeline.EmoJudge.load(run)
    events = judge.stream(pipeline.live.microphone(device=3))
    first = next(events)
    events.close()
    assert first.kind == "segment" and abs(first.segment.end - 2.1) < 0.2, "what waited comes as one chunk"
    assert opened["device"] == 3 and opened["channels"] == 1 and opened["closed"]

    def broken(**options):
        raise PortAudioError("no such device")

    monkeypatch.setattr(sys.modules["sounddevice"], "InputStream", broken)
    refused(call("listen", "--run", run), "no such device")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    refused(call("listen", "--run", run), "pip install 'emojudge[live]'")


def test_live_events_are_printed_as_they_come(run, monkeypatch):
    sound = speech(0.5, 1.6, 1.0)
    chunks = np.array_split(sound, 31)
    monkeypatch.setattr(pipeline.live, "microphone", lambda device: iter(chunks))
    lines = call("listen", "--run", run).stdout.splitlines()
    assert [line.endswith("…") for line in lines] == [True, True, False]
    rows = [json.loads(line) for line in call("listen", "--run", run, "--json").stdout.splitlines()]
    assert [row["kind"] for row in rows] == ["window", "window", "segment"] and all(row["latency"] >= 0 for row in rows)

"""The contract of every engine, found in the folder: real processes, some of which are killed, and the same results from all."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emojudge import registry

ENGINES = registry.names("engines")

JUDGE = """
import os, signal
from pathlib import Path

from emojudge import shards
from emojudge.timeline import Segment, Timeline


def timeline(path, speakers):
    name, died = Path(path).stem, Path(f"{path}.died")
    if "poison" in name or ("unlucky" in name and not died.exists()):
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "full" in name:
        raise OSError(28, "No space left on device")
    scores = {"emotions": {"Happy": 0.75, "Sad": 0.25}}
    return Timeline(name, 2.0, [Segment(0.0, 1.5, "Hm.", scores=scores, alone=scores)], path=str(path))


shards._opened = lambda run, changes: type("Judge", (), {"timeline": staticmethod(timeline)})
"""
"""Python runs a sitecustomize.py in every process: this one puts a judge without weights in the place of a run's."""

JOB = """
import sys
from emojudge import shards

run, out, engine, size, *names = sys.argv[1:]
for record in shards.predict(shards.Task(run, out, size=int(size)), names, engine, workers=2):
    print("done", record["shard"])
"""


@pytest.fixture
def predict(tmp_path):
    """Predict recordings of these names, each with what it does in it, in a process of its own and its children."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(JUDGE)
    (tmp_path / "run.json").write_text("{}")
    root = Path(__file__).resolve().parents[1]
    env = os.environ | {"PYTHONPATH": f"{tmp_path / 'site'}:{root}"}

    def predict(names, engine, size=2):
        command = [sys.executable, "-c", JOB, str(tmp_path), str(tmp_path / engine), engine, str(size), *names]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=540, check=False)

    return predict


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_has_a_docstring_and_one_signature(name):
    module, _ = registry.resolve("engines", name)
    assert module.__doc__ and list(inspect.signature(module.run).parameters) == ["task", "shards", "workers", "gpus"]


@pytest.mark.timeout(600)  # Ray is slow to start, and on a busy machine very slow
@pytest.mark.parametrize("name", ENGINES)
def test_a_killed_process_costs_nothing_but_the_recording_that_kills_it(name, predict, tmp_path):
    twice = "unlucky.wav" if name == "local" else "f.wav"  # one that kills the first process only
    names = ["a.wav", "b.wav", twice, "c.wav", "d.wav", "poison.wav", "e.wav"]
    job = predict(names, name)
    assert job.returncode == 0, job.stderr
    said = [line for line in job.stdout.splitlines() if "raylet" not in line]  # Ray tells of the dead on standard output
    assert sorted(said) == [f"done {n}" for n in range(4)]
    out = tmp_path / name
    found = [json.loads(line)["file"] for file in sorted(out.glob("shards/*")) for line in file.read_text().splitlines()]
    assert found == ["a.wav", "b.wav", twice, "c.wav", "d.wav", "e.wav"]
    [skipped] = [json.loads(line) for line in (out / "skipped.jsonl").read_text().splitlines()]
    assert skipped["file"] == "poison.wav" and "ended 2 processes in turn (it was killed, or crashed)" in skipped["reason"]
    assert not list(out.rglob("*.at")) and not list(out.rglob("*.part"))
    assert "Traceback" not in job.stderr and "Warning" not in job.stderr, job.stderr
    if name != "local":
        assert predict(names, "local").returncode == 0
        for file in ("shards.jsonl", "skipped.jsonl", *(f"shards/shard-00000{n}.jsonl" for n in range(4))):
            assert (out / file).read_bytes() == (tmp_path / "local" / file).read_bytes()


def test_what_is_no_recordings_fault_ends_the_job_and_all_processes(predict, tmp_path):
    job = predict(["a.wav", "full.wav"], "local", size=1)
    assert job.returncode == 1 and "EmoJudgeError: [Errno 28] No space left on device" in job.stderr
    assert not list((tmp_path / "local").rglob("*.at"))

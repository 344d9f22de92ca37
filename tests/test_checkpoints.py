import subprocess
import sys

import pytest
import torch

from emojudge import checkpoints
from emojudge.checkpoints import Progress, State
from emojudge.storage import read_tensors
from tests.made_up_training import train_made_up

COMMAND = [sys.executable, "-m", "tests.made_up_training"]


def run(folder, task, die_at):
    return subprocess.run([*COMMAND, str(folder), task, str(die_at), "0.2"], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("task", "step"), [("emotions", 27), ("attributes", 7)], ids=["second stage", "first stage"])
def test_a_training_killed_without_warning_ends_in_the_same_weights(tmp_path, task, step):
    train_made_up(tmp_path / "whole", task)
    assert run(tmp_path / "cut", task, step).returncode == -9
    assert not (tmp_path / "cut" / "config.json").exists()
    end = run(tmp_path / "cut", task, -1)
    assert end.returncode == 0, end.stderr
    a, b = (read_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all((a[name] == b[name]).all() for name in a) and a.keys() == b.keys()
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    assert [line.split('"seconds"')[0] for line in logs[0]] == [line.split('"seconds"')[0] for line in logs[1]]
    assert not (tmp_path / "cut" / checkpoints.FILE).exists()


def state(about):
    weights = {"head.weight": torch.ones(2, 3)}
    moments = {0: {"step": torch.tensor(4.0), "exp_avg": torch.zeros(2, 3)}}
    return State(about, Progress(epoch=2, step=4, best=0.5), weights, weights, moments, {"scale": 2.0})


def test_what_is_written_is_read(tmp_path):
    checkpoints.write(tmp_path, state("one"))
    found = checkpoints.read(tmp_path, "one")
    assert found is not None and found.progress == Progress(epoch=2, step=4, best=0.5) and found.scaler == {"scale": 2.0}
    assert torch.equal(found.weights["head.weight"], torch.ones(2, 3)) and found.optimiser[0]["step"] == 4.0


def test_another_trainings_or_a_damaged_checkpoint_is_of_no_use(tmp_path):
    assert checkpoints.read(tmp_path, "one") is None
    checkpoints.write(tmp_path, state("one"))
    assert checkpoints.read(tmp_path, "another") is None
    path = tmp_path / checkpoints.FILE
    path.write_bytes(path.read_bytes()[:-8])
    assert checkpoints.read(tmp_path, "one") is None

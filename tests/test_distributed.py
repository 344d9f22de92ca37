import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emojudge.storage import read_tensors
from tests.made_up_training import train_made_up

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.parametrize("task", ["emotions", "attributes"])
def test_two_processes_reach_the_weights_of_one(tmp_path, task):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    made = subprocess.run(
        [*launch, "-m", "tests.made_up_training", str(tmp_path / "two"), task, "-1", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    train_made_up(tmp_path / "one", task, dropout=0.0)
    one, two = (read_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert max(np.abs(one[name] - two[name]).max() for name in one) < 1e-4
    scores = [
        [json.loads(line)["score"] for line in (tmp_path / n / "log.jsonl").read_text().splitlines()] for n in ("one", "two")
    ]
    assert np.allclose(*scores, atol=1e-6)


def test_a_whole_run_under_torchrun_writes_every_file_once(tmp_path):
    command = [*LAUNCH, "-m", "emojudge", "run", str(ROOT / "experiments/paper/task1_baseline.toml"), "--tiny", "--into"]
    made = subprocess.run([*command, str(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stderr.count("train audio emotions") == 1 and made.stdout.count("Report:") == 1
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["rows"]

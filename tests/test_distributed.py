import json
import subprocess
import sys

import numpy as np
import pytest

from emojudge.storage import read_tensors
from tests.made_up_training import train_made_up


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

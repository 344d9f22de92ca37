"""What must never happen: keys in files, connections nobody asked for, unpickling, weights that are not pinned."""

import json
import re
import socket
import tomllib
from pathlib import Path

import numpy as np
import pytest

from emojudge import EmoJudge, tiny
from emojudge.config import load_config
from tests import faulty
from tests.test_cli import call

ROOT = Path(__file__).resolve().parents[1]
CANARIES = {
    "OPENAI_API_KEY": "sk-canary-4f1d",
    "HF_TOKEN": "hf_canary4f1d",
    "AWS_SECRET_ACCESS_KEY": "aws-canary-4f1d",
    "EMOJUDGE_SOMETHING": "any-canary-4f1d",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole experiment with both models and no judge, with keys about and every socket closed."""
    folder = tmp_path_factory.mktemp("trust")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CANARIES.items():
            patch.setenv(name, value)
        patch.setenv("EMOJUDGE_CACHE", str(folder / "cache"))

        def closed(*_, **__):
            raise AssertionError("a connection was tried")

        for name in ("connect", "connect_ex", "bind", "sendto"):
            patch.setattr(socket.socket, name, closed)
        patch.setattr(socket, "getaddrinfo", closed)
        with tiny.experiment(None, ["judge.judge=none", "data.limit=1"], folder / "run") as work:
            work.everything()
        (folder / "clip.wav").write_bytes(faulty.coded())
        said = call("say", folder / "clip.wav", "--text", "Well.", "--run", folder / "run", "--json")
        yield folder, said


def test_a_whole_run_opens_no_connection_and_writes_no_key(run):
    folder, said = run
    assert said.exit_code == 0 and json.loads(said.stdout)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 30 and (folder / "run" / "report.html").exists()
    for path in files:
        assert b"canary" not in path.read_bytes(), path
    assert "canary" not in said.output


def test_batches_and_order_change_no_prediction(run):
    folder, _ = run
    judge = EmoJudge.load(folder / "run")
    rng = np.random.default_rng(0)
    clips = [(rng.normal(0, 0.1, length)).astype(np.float32) for length in (4000, 16000, 9000, 30000, 2000)]
    together = judge.predict_proba(clips, "Well.")
    order = [3, 0, 4, 2, 1]
    assert np.abs(judge.predict_proba([clips[i] for i in order], "Well.") - together[order]).max() < 1e-4
    alone = np.concatenate([judge.predict_proba(clip, "Well.") for clip in clips])
    assert np.abs(alone - together).max() < 1e-4


def test_the_lint_rules_against_unpickling_are_active():
    """S301 loads, S302 marshal, S403 imports, S614 torch.load: all of ruff's S, with no exception in the package."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in ruff["select"]
    forgiven = {
        *ruff["ignore"],
        *(rule for path, rules in ruff["per-file-ignores"].items() if "emojudge" in path for rule in rules),
    }
    assert not [rule for rule in forgiven if re.match(r"S(3|4|6)\d\d", rule) and rule != "S311"]
    silenced = [
        path.name for path in (ROOT / "emojudge").rglob("*.py") if re.search(r"noqa: .*S(301|302|403|614)", path.read_text())
    ]
    assert silenced == []


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.toml")), ids=lambda path: path.stem)
def test_weights_of_experiments_are_pinned(path):
    """Ours take packaged weights, whose hash is pinned, or name a hub's commit; the paper's rows leave it open."""
    config = load_config(path)
    for system in config.modalities:
        settings = getattr(config, system)
        assert ":offline" in settings.encoder or re.fullmatch(r"[0-9a-f]{40}", settings.revision or ""), settings.encoder

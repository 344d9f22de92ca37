"""Weights that are damaged or traps, disks that are full, folders that cannot be written, two processes at once."""

import errno
import json
import os
import pickle
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from emojudge import storage
from tests import faulty
from tests.made_up_speech import tiny_run
from tests.test_cli import call, refused

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tiny_run(tmp_path_factory.mktemp("run"), 'modalities=["audio"]', 'tasks=["emotions"]')


@pytest.fixture
def run(trained, tmp_path):
    """A copy, to be damaged, and a clip."""
    (tmp_path / "clip.wav").write_bytes(faulty.coded())
    return shutil.copytree(trained, tmp_path / "run")


class Trap:
    """What runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def flipped(content):
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


WEIGHTS = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a flipped bit": flipped,
    "a header beyond the file": lambda content: struct.pack("<Q", 1 << 60) + content[8:],
    "a header of a gigabyte": lambda content: struct.pack("<Q", 1 << 30) + content[8:],
    "offsets that overlap": lambda content: content.replace(b'"data_offsets":[0,', b'"data_offsets":[8,', 1),
    "noise": lambda content: np.random.default_rng(0).bytes(1000),
}


@pytest.mark.parametrize("damage", WEIGHTS)
def test_damaged_weights_are_one_sentence(run, damage):
    path = run / "emotions" / "audio" / "model.safetensors"
    path.write_bytes(WEIGHTS[damage](path.read_bytes()))
    refused(call("say", run.parent / "clip.wav", "--run", run), "model.safetensors")


@pytest.mark.parametrize(
    ("place", "verb"),
    [
        ("emotions/audio/model.safetensors", "say"),
        ("emotions/audio/config.json", "say"),
        ("quantiles.json", "say"),
        ("run.json", "stats"),
        ("manifest.jsonl", "cues"),
        ("emotions/predictions/audio.jsonl", "evaluate"),
    ],
)
def test_a_pickle_in_place_of_a_file_of_ours_is_never_opened(run, place, verb):
    (run / place).write_bytes(pickle.dumps(Trap(run.parent / "sprung")))
    words = ["say", run.parent / "clip.wav", "--run", run] if verb == "say" else [verb, run]
    refused(call(*words), Path(place).name)
    assert not (run.parent / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outputs": ["Happy", "Sad"]}, "does not fit"),
        ({"encoders": {"audio": "0" * 64}}, "another audio encoder"),
        ({"shapes": {}}, "config.json"),
        ({"surprise": 1}, "does not describe a model"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(run, change, said):
    path = run / "emotions" / "audio" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(call("say", run.parent / "clip.wav", "--run", run), said)


# -- disks


@pytest.fixture
def limited():
    """From here on no file of this process may become larger, as on a full disk; the kernel sees to it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("words", [["train", "audio"], ["predict", "audio"], ["evaluate"]])
def test_a_full_disk_is_one_sentence_and_spares_what_was_there(run, limited, words):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    verb, *rest = words
    limited(64)
    result = call(verb, run, *rest)
    limited(resource.RLIM_INFINITY)
    refused(result, "cannot be read or written")
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    made = {
        path for path in before | after if path.name in (".lock", "decisions.json")
    }  # the latter is made anew with every score
    assert {path: after.get(path) for path in before.keys() - made} == {path: before.get(path) for path in after.keys() - made}
    assert call(verb, run, *rest).exit_code == 0


def test_a_folder_that_cannot_be_written_is_one_sentence(run, monkeypatch):
    def refuse(*_, prefix="", dir="", **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(Path(dir, prefix)))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    refused(call("evaluate", run), "Read-only file system")


def test_a_reader_who_has_seen_enough_is_no_fault(monkeypatch):
    command = f"{sys.executable} -m emojudge list prompts --json | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and done.stdout == "["[: len(done.stdout)] or done.stdout == "{"


def test_results_that_cannot_be_printed_are_an_error():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "emojudge", "list", "prompts"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0


# -- processes


def test_two_processes_on_one_run_folder(run):
    with storage.alone(run):
        child = subprocess.run(
            [
                sys.executable,
                "-c",
                f"from emojudge.storage import alone\nfrom pathlib import Path\nwith alone(Path({str(run)!r})): pass",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "in use by another EmoJudge process" in child.stderr
        refused(call("evaluate", run), "in use by another EmoJudge process")
    assert call("evaluate", run).exit_code == 0


def test_the_lock_of_a_killed_process_is_free_and_its_half_files_are_gone(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from emojudge import storage
with storage.alone(Path({str(tmp_path)!r})), storage.atomic({str(tmp_path / "big.json")!r}) as half:
    half.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert [path.suffix for path in tmp_path.glob(".big*")] == [".part"]
    with storage.alone(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_a_run_killed_at_its_writes_ends_as_if_it_had_not_been(tmp_path):
    command = [sys.executable, "-m", "tests.crashing_run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["code"] for step in steps[:-2]] == [-signal.SIGKILL] * (len(steps) - 2), done.stderr
    assert [step["code"] for step in steps[-2:]] == [0, 0] and len(steps) > 3, steps
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for name in ("metrics.json", "emotions/predictions/audio.jsonl", "manifest.jsonl"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert storage.digest_tensors(storage.read_tensors(killed / "emotions/audio/model.safetensors")) == storage.digest_tensors(
        storage.read_tensors(whole / "emotions/audio/model.safetensors")
    )
    assert not list(killed.rglob("*.part"))

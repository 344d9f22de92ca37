import numpy as np
import pytest
import torch

from emojudge import audio, offline
from emojudge import tiny_checkpoints as tiny
from emojudge.encoders import whisper
from emojudge.errors import MissingWeights
from emojudge.settings import AudioSettings

GENERATOR = np.random.default_rng(1)


def noise(samples):
    return GENERATOR.normal(0, 0.1, samples).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def base():
    try:
        offline.whisper_base()
    except MissingWeights:
        pytest.skip("requirements/weights.txt is not installed")
    return whisper.open("offline", AudioSettings(layers="all"))


@pytest.mark.parametrize("samples", [1, 200, 319, 320, 321, 16000, 52847])
def test_the_spectrogram_is_that_of_the_padded_window_cut(folder, samples):
    from transformers import WhisperFeatureExtractor

    wave = noise(samples)
    ours = whisper.open(str(folder), AudioSettings()).front.log_mel(wave)
    frames = 2 * -(-samples // 320)
    window = WhisperFeatureExtractor()(wave, sampling_rate=16000, return_tensors="pt").input_features[0]
    assert ours.shape == (80, frames)
    assert torch.allclose(ours, window[:, :frames], atol=1e-5)


def test_thirty_seconds_agree_with_hugging_face(folder):
    """Where nothing is padded, the two modes are one."""
    from transformers import WhisperFeatureExtractor

    wave = noise(30 * 16000)
    encoder = whisper.open(str(folder), AudioSettings(layers="all"))
    features = WhisperFeatureExtractor()(wave, sampling_rate=16000, return_tensors="pt").input_features
    with torch.inference_mode():
        frames, mask = encoder.encode([wave])
        states = encoder.module(features, output_hidden_states=True).hidden_states
    assert mask.all() and frames.shape[2] == 1500
    for layer, state in enumerate(states):
        assert torch.allclose(frames[:, layer], state, atol=1e-4)


def test_long_clips_are_cut(folder):
    with torch.inference_mode():
        frames, _ = whisper.open(str(folder), AudioSettings(max_seconds=99)).encode([noise(40 * 16000)])
        assert frames.shape[2] == 1500
        wave = noise(16000)
        short, _ = whisper.open(str(folder), AudioSettings(max_seconds=0.5)).encode([wave])
        same, _ = whisper.open(str(folder), AudioSettings()).encode([wave[:8000]])
    assert torch.equal(short, same)


def test_nothing_and_silence_are_encoded(folder):
    encoder = whisper.open(str(folder), AudioSettings())
    with torch.inference_mode():
        frames, mask = encoder.encode([np.zeros(0, np.float32), np.zeros(1000, np.float32)])
    assert frames.isfinite().all() and mask.sum(1).tolist() == [1, 4]


@pytest.mark.weights
def test_real_weights_batched_and_alone(base, shared):
    """Exact in float64. In float32, layers 4 and 5 hold values of 500, whose rounding is all that differs."""
    names = ["01/03-01-01-01-01-01-01", "02/03-01-05-02-01-01-02", "03/03-01-04-01-02-01-03"]
    clips = [audio.read(shared / f"ravdess/Actor_{name}.flac") for name in names]
    clips[1] = clips[1][:20000]
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-6)):
        base.module.to(dtype)
        with torch.inference_mode():
            frames, mask = base.encode(clips)
            scale = frames.abs().amax((0, 2, 3))[:, None, None]
            for row, clip in enumerate(clips):
                alone, _ = base.encode([clip])
                assert ((alone[0] - frames[row][:, mask[row]]).abs() / scale).max() < tolerance
    base.module.float()
    assert (base.size, base.layers) == (512, 7)

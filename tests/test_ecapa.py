"""Against SpeechBrain 1.1.2, whose own ECAPA_TDNN, Fbank and InputNormalization gave the numbers below on this checkpoint."""

import numpy as np
import pytest
import torch

from emojudge import tiny_checkpoints as tiny
from emojudge.encoders import ecapa
from emojudge.errors import ConfigError, MissingWeights, ModelError
from emojudge.settings import AudioSettings

TIME = np.arange(16000)
WAVE = (np.sin(TIME**1.3 / 50).astype("f4") * np.linspace(0.001, 0.3, 16000).astype("f4")).astype("f4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.tiny_ecapa(tmp_path_factory.mktemp("ecapa")))


def test_the_numbers_are_speechbrain_s(folder):
    encoder = ecapa.open(folder, AudioSettings())
    bands = encoder.log_mel(WAVE)
    expected = [[1.853, -16.658, -8.584], [-5.132, 9.656, 11.033], [27.043, 32.609, 30.532]]
    assert bands.shape == (80, 101)
    assert torch.allclose(bands[[0, 40, 79]].T[[0, 50, 100]], torch.tensor(expected), atol=1e-3)
    frames, mask = encoder.encode([WAVE])
    expected = [[0.9319, 0.7615, 0.298], [0.8771, 0.7896, 0.381], [0.99, 1.0275, 0.6523]]
    assert frames.shape == (1, 1, 101, 48) and mask.all()
    assert torch.allclose(frames[0, 0, [0, 50, 100]][:, [29, 33, 36]], torch.tensor(expected), atol=1e-4)


def test_the_published_size():
    """SpeechBrain's model has 20,767,552 parameters, 2,768,448 of them in the pooling and embedding that are not read."""
    with torch.device("meta"):
        module = ecapa.Ecapa(ecapa.Sizes())
        frames = module(torch.zeros(80, 300))
    assert frames.shape == (300, 3072)
    size, attention, last = 3072, 128, 192
    pooling = (3 * size * attention + attention) + 2 * attention + (attention * size + size)
    embedding = 2 * (2 * size) + (2 * size * last + last)
    assert pooling + embedding == 2_768_448
    assert sum(p.numel() for p in module.parameters()) + pooling + embedding == 20_767_552
    assert ecapa.Sizes.of(module.state_dict()) == ecapa.Sizes()


def test_training_moves_no_statistics_and_clips_stay_apart(folder):
    encoder = ecapa.open(folder, AudioSettings())
    expected, _ = encoder.encode([WAVE])
    before = {name: tensor.clone() for name, tensor in encoder.module.state_dict().items()}
    encoder.module.train()
    found, mask = encoder.encode([WAVE[:5000], WAVE])
    assert torch.allclose(found[1], expected[0], atol=1e-5) and mask.sum(1).tolist() == [32, 101]
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.module.state_dict().items())


def test_short_and_long_clips(folder):
    encoder = ecapa.open(folder, AudioSettings(max_seconds=0.5))
    frames, mask = encoder.encode([WAVE[:0], WAVE[:1], WAVE])
    assert frames.isfinite().all() and mask.sum(1).tolist() == [5, 5, 51]
    assert torch.equal(encoder.encode([WAVE[:8000]])[0][0], frames[2])


def test_what_is_no_ecapa_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="layers 0 to 0"):
        ecapa.open(folder, AudioSettings(layers=(3,)))
    with pytest.raises(MissingWeights, match=r"neither embedding_model\.safetensors"):
        ecapa.open(str(tmp_path), AudioSettings())
    weights = torch.load(f"{folder}/embedding_model.ckpt", weights_only=True)
    for wrong in ({"classifier.weight": torch.ones(2)}, weights | {"extra": torch.ones(2)}, dict(list(weights.items())[3:])):
        torch.save(wrong, tmp_path / "embedding_model.ckpt")
        with pytest.raises(ModelError, match="holds no ECAPA-TDNN"):
            ecapa.open(str(tmp_path), AudioSettings())

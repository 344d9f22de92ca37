import numpy as np
import pytest
import torch

from emojudge import encoding
from emojudge.encoders import whisper
from emojudge.encoding import encode
from emojudge.errors import MissingWeights
from emojudge.settings import AudioSettings


class Recorded:
    """An encoder whose frames are its samples, and which notes how many clips it was given."""

    def __init__(self, modality="audio", device="cpu"):
        self.modality, self.module, self.given = modality, torch.nn.Linear(1, 1, device=device), []

    def encode(self, batch):
        self.given.append(len(batch))
        rows = [torch.as_tensor(samples) for samples in batch]
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in rows], batch_first=True)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)[:, None, :, None], mask


def clips(*lengths):
    return [np.full(length, number + 1.0, np.float32) for number, length in enumerate(lengths)]


def test_sound_goes_in_parts_on_a_cpu_and_comes_back_in_order(monkeypatch):
    monkeypatch.setattr(encoding, "CPU_SAMPLES", 10)
    batch = clips(3, 3, 3, 20, 2, 6, 4)
    parts, whole = Recorded(), Recorded("text")
    for got, wanted in zip(encode(parts, batch), encode(whole, batch), strict=True):
        assert torch.equal(got, wanted)
    assert parts.given == [3, 1, 1, 1, 1] and whole.given == [7]


def test_a_gpu_gets_it_all_at_once(monkeypatch):
    monkeypatch.setattr(encoding, "CPU_SAMPLES", 10)
    encoder = Recorded(device="meta")
    encode(encoder, clips(8, 8, 8))
    assert encoder.given == [3]


def test_parts_change_no_feature():
    try:
        encoder = whisper.open("offline", AudioSettings(train="none", layers="last"))
    except MissingWeights:
        pytest.skip("requirements/weights.txt is not installed")
    noise = [np.random.default_rng(n).normal(0, 0.1, 20_000 * (n + 1)).astype(np.float32) for n in range(5)]
    with torch.inference_mode():
        (parts, mask), (whole, same) = encode(encoder, noise), encoder.encode(noise)
    assert torch.equal(mask, same)
    assert (parts - whole)[:, 0][mask].abs().max() < 1e-4 * whole[:, 0][mask].abs().max()

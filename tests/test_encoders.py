"""What every encoder promises, on tiny checkpoints in the true format."""

import numpy as np
import pytest
import torch

from emojudge import registry
from emojudge import tiny_checkpoints as tiny
from emojudge.errors import ConfigError, MissingWeights, ModelError
from emojudge.settings import AudioSettings, TextSettings

GENERATOR = np.random.default_rng(0)
CLIPS = [GENERATOR.normal(0, 0.1, n).astype(np.float32) for n in (9000, 16000, 3333, 12345)]
TEXTS = ["Kids are talking by the door.", "", "I can't believe that you did this, it is wonderful?", "Dogs!"]

ENCODERS = {
    "whisper": ("whisper", tiny.tiny_whisper, {}, AudioSettings, CLIPS),
    "wavlm": ("hf_speech", tiny.tiny_wavlm, {}, AudioSettings, CLIPS),
    "wavlm-large": ("hf_speech", tiny.tiny_wavlm, {"large": True}, AudioSettings, CLIPS),
    "hubert": ("hf_speech", tiny.tiny_hubert, {}, AudioSettings, CLIPS),
    "wav2vec2": ("hf_speech", tiny.tiny_wav2vec2, {"large": True}, AudioSettings, CLIPS),
    "roberta": ("hf_text", tiny.tiny_roberta, {}, TextSettings, TEXTS),
    "deberta": ("hf_text", tiny.tiny_deberta, {}, TextSettings, TEXTS),
}


@pytest.fixture(scope="module", params=ENCODERS)
def case(request, tmp_path_factory):
    """(opener, inputs) of one encoder; `opener(**settings)` opens it."""
    name, make, options, kind, inputs = ENCODERS[request.param]
    folder = make(tmp_path_factory.mktemp(request.param), **options)

    def opener(**settings):
        module, argument = registry.resolve("encoders", f"{name}:{folder}")
        return module.open(argument, kind(**settings))

    return opener, inputs


def test_shapes_are_as_promised(case):
    opener, inputs = case
    encoder = opener(layers="all")
    frames, mask = encoder.encode(inputs)
    assert encoder.modality in ("audio", "text")
    assert frames.shape == (len(inputs), encoder.layers, mask.shape[1], encoder.size)
    assert encoder.layers == 4 and encoder.size == 32
    assert frames.dtype == torch.float32 and mask.dtype == torch.bool
    assert mask.any(1).all() and frames.isfinite().all()
    lengths = mask.sum(1)
    assert all(mask[i, : lengths[i]].all() for i in range(len(inputs)))
    assert lengths.max() == mask.shape[1] and lengths.min() < lengths.max()


def test_a_batch_gives_what_single_inputs_give(case):
    opener, inputs = case
    encoder = opener(layers="all")
    with torch.inference_mode():
        frames, mask = encoder.encode(inputs)
        for row, one in enumerate(inputs):
            alone, own = encoder.encode([one])
            assert own.sum() == mask[row].sum()
            assert (alone[0] - frames[row][:, mask[row]]).abs().max() < 1e-4


def test_layers_differ_and_can_be_chosen(case):
    opener, inputs = case
    everything, _ = opener(layers="all").encode(inputs)
    assert all((everything[:, i] - everything[:, j]).abs().max() > 1e-2 for i in range(4) for j in range(i))
    for layers, rows in (("last", [3]), ((0, 2), [0, 2]), ((1,), [1])):
        encoder = opener(layers=layers)
        some, _ = encoder.encode(inputs)
        assert encoder.layers == len(rows)
        assert torch.equal(some, everything[:, rows])
    with pytest.raises(ConfigError, match="layers 0 to 3"):
        opener(layers=(4,))


def test_gradients_reach_the_blocks_that_learn(case):
    opener, inputs = case
    for train, learning in (("all", {0, 1, 2}), ("top:2", {1, 2}), ("none", set())):
        encoder = opener(layers="last")
        encoder.freeze(train)
        frames, _ = encoder.encode(inputs)
        assert frames.requires_grad == bool(learning)
        if learning:
            frames.square().mean().backward()
        names = {name for name, p in encoder.module.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        found = {i for i in range(3) if any(f"layers.{i}." in name or f"layer.{i}." in name for name in names)}
        assert found == learning
        assert not any(part in name for name in names for part in ("conv1", "conv2", "embed_positions", "feature_extractor"))
    with pytest.raises(ConfigError, match="K from 1 to 3"):
        opener(layers="last").freeze("top:4")


def test_the_fingerprint_names_all_that_changes_the_output(case):
    opener, _ = case
    assert opener().fingerprint == opener().fingerprint
    assert opener(layers="all").fingerprint != opener(layers="last").fingerprint
    changed = opener()
    with torch.no_grad():
        next(changed.module.parameters()).add_(1e-3)
    assert changed.fingerprint != opener().fingerprint


@pytest.mark.parametrize(("name", "kind"), [("whisper", AudioSettings), ("hf_speech", AudioSettings), ("hf_text", TextSettings)])
def test_absent_weights_are_one_sentence(name, kind, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    module, _ = registry.resolve("encoders", name)
    for argument in ("nobody/nothing", str(tmp_path)):
        with pytest.raises(MissingWeights, match="offline") as error:
            module.open(argument, kind())
        assert "\n" not in str(error.value) and argument in str(error.value)
    with pytest.raises(ConfigError, match="after a colon"):
        module.open("", kind())


def test_a_pickle_is_never_opened(tmp_path):
    folder = tiny.tiny_roberta(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    module, _ = registry.resolve("encoders", "hf_text")
    with pytest.raises(MissingWeights, match="safetensors"):
        module.open(str(folder), TextSettings())


def test_another_architecture_is_refused(tmp_path):
    folder = tiny.tiny_roberta(tmp_path)
    tiny.tiny_hubert(folder)
    module, _ = registry.resolve("encoders", "hf_text")
    with pytest.raises(ModelError, match="no text encoder"):
        module.open(str(folder), TextSettings())

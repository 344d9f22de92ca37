import numpy as np
import pytest
import torch

from emojudge import tiny_checkpoints as tiny
from emojudge.encoders import hf_speech
from emojudge.errors import ModelError
from emojudge.settings import AudioSettings

WAVE = np.random.default_rng(2).normal(0, 0.1, 20000).astype(np.float32)


@pytest.fixture(
    scope="module", params=[(make, large) for make in ("wavlm", "hubert", "wav2vec2") for large in (False, True)], ids=str
)
def folder(request, tmp_path_factory):
    make, large = request.param
    return str(getattr(tiny, f"tiny_{make}")(tmp_path_factory.mktemp(make), large=large))


def test_states_are_those_of_hugging_face(folder):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        output = model(torch.from_numpy(WAVE)[None], output_hidden_states=True)
        frames, mask = hf_speech.open(folder, AudioSettings(layers="all")).encode([WAVE])
    states = [*output.hidden_states[:-1], output.last_hidden_state]  # the last is what the model puts out: after its final norm
    assert mask.all() and frames.shape[1] == len(states) == 4
    for layer, state in enumerate(states):
        assert torch.allclose(frames[:, layer], state, atol=1e-5)


def test_short_and_long_clips(folder):
    encoder = hf_speech.open(folder, AudioSettings(max_seconds=0.5))
    with torch.inference_mode():
        frames, mask = encoder.encode([np.zeros(0, np.float32), WAVE[:1], WAVE])
        cut, _ = encoder.encode([WAVE[:8000]])
    assert frames.isfinite().all() and mask.sum(1)[:2].tolist() == [1, 1]
    assert torch.allclose(frames[2], cut[0], atol=1e-4)


def test_nothing_is_dropped_or_masked_in_training(folder):
    """Dropout aside, training mode gives the same: no LayerDrop, no SpecAugment."""
    encoder = hf_speech.open(folder, AudioSettings(layers="all"))
    expected, _ = encoder.encode([WAVE])
    encoder.module.train()
    for part in encoder.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        for name in ("dropout", "activation_dropout", "dropout_prob"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    assert torch.allclose(encoder.encode([WAVE])[0], expected, atol=1e-4)


def test_published_sizes_have_the_names_that_the_encoder_needs():
    """wavlm-large's own configuration on the meta device: 24 blocks × 1024, 20 ms a frame."""
    from transformers import WavLMConfig, WavLMModel

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    with torch.device("meta"):
        module = WavLMModel(WavLMConfig(**sizes, feat_extract_norm="layer", do_stable_layer_norm=True))
    encoder = hf_speech.SpeechEncoder(module, AudioSettings(layers="all"))
    assert (encoder.size, encoder.layers, encoder.shortest) == (1024, 25, 400)
    assert sum(p.numel() for p in module.parameters()) == pytest.approx(315.5e6, rel=0.01)


def test_another_architecture_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no waveform encoder"):
        hf_speech.open(str(tiny.tiny_roberta(tmp_path)), AudioSettings())

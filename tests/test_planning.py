"""Published sizes on the meta device, and the plan's arithmetic against tensors that were really kept."""

import json

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from typer.testing import CliRunner

from emojudge import planning
from emojudge.cli import app
from emojudge.encoders import hf_text
from emojudge.errors import MissingWeights
from emojudge.models import EmotionModel, ModelCard
from emojudge.settings import AudioSettings, Config, TextSettings

SPEECH, TEXT = "hf_speech", "hf_text"
PUBLISHED = {  # millions of parameters (without a pooler that nobody reads), width, layers; the publishers' figures
    "hf_speech:microsoft/wavlm-base-plus": (94.38, 768, 13),
    "hf_speech:microsoft/wavlm-large": (315.45, 1024, 25),
    "hf_speech:facebook/hubert-base-ls960": (94.37, 768, 13),
    "hf_speech:facebook/hubert-large-ll60k": (315.44, 1024, 25),
    "hf_speech:facebook/wav2vec2-base": (94.37, 768, 13),
    "hf_speech:facebook/wav2vec2-large-lv60": (315.44, 1024, 25),
    "whisper:openai/whisper-base": (20.59, 512, 7),
    "whisper:offline": (20.59, 512, 7),
    "whisper:offline-tiny": (8.21, 384, 5),
    "whisper:openai/whisper-small": (88.15, 768, 13),
    "whisper:openai/whisper-large-v3": (636.97, 1280, 33),
    "ecapa:speechbrain/spkrec-ecapa-voxceleb": (18.00, 3072, 1),
    "hf_text:FacebookAI/roberta-base": (124.65 - 0.59, 768, 13),
    "hf_text:FacebookAI/roberta-large": (355.36 - 1.05, 1024, 25),
    "hf_text:microsoft/deberta-v3-base": (183.83, 768, 13),
    "hf_text:microsoft/deberta-v3-large": (434.01, 1024, 25),
    "hf_text:offline-minilm": (22.71 - 0.15, 384, 7),
    "hf_text:offline-mpnet": (109.49 - 0.59, 768, 13),
}


def settings_for(name, **changes):
    return (TextSettings if name.startswith(TEXT) else AudioSettings)(encoder=name, layers="all", **changes)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_and_shapes(name):
    millions, size, layers = PUBLISHED[name]
    encoder = planning.skeleton(settings_for(name))
    assert (encoder.size, encoder.layers) == (size, layers)
    assert sum(p.numel() for p in encoder.module.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)
    with torch.no_grad():
        if name.startswith(TEXT):
            ids = torch.zeros(2, 9, dtype=torch.long, device="meta")
            mask = ids + 1 if "deberta" in name else None  # transformers looks into the others' masks, which meta has not
            states = encoder.module(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            assert len(states) == layers and all(state.shape == (2, 9, size) for state in states)
        elif name.startswith(SPEECH):
            front = encoder._front_end(np.zeros(16000, np.float32))[None]
            state = encoder.module.feature_projection(front)
            state = state[0] if isinstance(state, tuple) else state
            assert front.shape[1] == 49 and encoder.module.encoder(state).last_hidden_state.shape == (1, 49, size)
        elif name.startswith("whisper"):
            bands = encoder.module.config.num_mel_bins
            mel, mask = torch.zeros(2, bands, 100, device="meta"), torch.ones(2, 50, dtype=torch.bool)
            assert [tuple(state.shape) for state in encoder._hidden(mel, mask)] == [(2, 50, size)] * layers


SMALL = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 1024}
CALM = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vocab_size": 500}
RELATIVE = {"relative_attention": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True}
RELATIVE |= {"pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0}
MIDDLING = {
    "wavlm": (
        SPEECH,
        SMALL
        | CALM
        | {"attention_dropout": 0.1, "conv_dim": [32] * 7, "do_stable_layer_norm": True, "feat_extract_norm": "layer"},
    ),
    "hubert": (SPEECH, SMALL | CALM | {"conv_dim": [32] * 7}),
    "roberta": (TEXT, SMALL | STILL),
    "deberta-v2": (TEXT, SMALL | STILL | RELATIVE),
}


def middling(kind, tmp_path):
    """A folder with a config.json, and the settings that name it."""
    encoder, facts = MIDDLING[kind]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **facts}))
    return f"{encoder}:{tmp_path}"


def kept(module, run):
    """Bytes of all tensors that a forward pass keeps, less the parameters."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*module.parameters(), *module.buffers()]}
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run()
    assert out.requires_grad
    return sum(storage.nbytes() for storage in found.values())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("train", ["all", "top:2"])
@pytest.mark.parametrize("kind", MIDDLING)
def test_estimated_activations_against_those_kept(kind, train, checkpointing, tmp_path):
    name = middling(kind, tmp_path)
    changes = {"train": train, "gradient_checkpointing": checkpointing, "precision": "float32"}
    settings = (TextSettings if name.startswith(TEXT) else AudioSettings)(encoder=name, **changes)
    settings = settings.model_copy(update={"max_seconds": 8.0} if name.startswith(SPEECH) else {"max_tokens": 128})
    outline = planning.skeleton(settings)
    encoder = type(outline)(*([outline.module.to_empty(device="cpu")] + ([None] if name.startswith(TEXT) else [])), settings)
    for parameter in encoder.module.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    for buffer_name, buffer in encoder.module.named_buffers():
        buffer.copy_(torch.arange(buffer.shape[-1]).expand(buffer.shape)) if "position_ids" in buffer_name else buffer.zero_()
    encoder.module.train()
    if name.startswith(TEXT):
        ids = torch.randint(5, 500, (1, 128))
        measured = kept(encoder.module, lambda: encoder.module(ids, output_hidden_states=True).last_hidden_state)
    else:
        wave = np.random.default_rng(0).normal(0, 0.1, 8 * 16000).astype(np.float32)
        measured = kept(encoder.module, lambda: encoder.encode([wave])[0])
    if checkpointing:  # what is computed again comes on top, one block at a time
        plain = settings.model_copy(update={"gradient_checkpointing": False})
        count = 6 if train == "all" else 2
        measured += (planning.activations(outline, plain, False) - 4 * planning.length(outline, plain) * 256 * 5) / count
    assert planning.activations(outline, settings, mixed=False) == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize("train", ["all", "top:2", "lora", "none"])
def test_parameters_gradients_and_moments_are_exact(train, tmp_path):
    settings = TextSettings(encoder=middling("roberta", tmp_path), train=train, precision="float32", layers=(0, 4))
    found = planning.plan("emotions", ("a", "b", "c"), {"text": settings})
    from transformers import AutoModel

    module = AutoModel.from_config(planning.architecture(str(tmp_path)))
    encoder = hf_text.TextEncoder(module, None, settings)
    encoder.prepare(settings)
    card = ModelCard("emotions", ("a", "b", "c"), ("text",), {"text": settings.model_dump()}, {}, {"text": (2, 256)})
    model = EmotionModel(card, {"text": encoder.module})
    trained = [p for p in model.parameters() if p.requires_grad]
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.trained == sum(p.numel() for p in trained)
    optimiser = torch.optim.AdamW(trained)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    moments = sum(t.nbytes for state in optimiser.state.values() for name, t in state.items() if name != "step")
    gradients = sum(p.grad.nbytes for p in trained)
    assert (found.weights, found.gradients, found.optimiser) == (sum(p.nbytes for p in model.parameters()), gradients, moments)


def test_a_frozen_encoder_in_half_the_bits_needs_half_the_memory():
    chosen = [settings_for("whisper:offline", train="none", encoder_precision=name) for name in ("float32", "bfloat16")]
    whole, half = (planning.plan("emotions", ("Sad", "Happy"), {"audio": one}).weights for one in chosen)
    assert whole - half == 2 * sum(p.numel() for p in planning.skeleton(chosen[0]).module.parameters())


def test_the_paper_s_models_are_planned_without_a_hub():
    config = Config(tasks=("emotions", "attributes"))
    found = {(one.task, one.system): one for one in planning.plans(config)}
    assert len(found) == 4
    audio = found["emotions", "audio"]
    assert 315e6 < audio.parameters < 320e6 and audio.parameters - audio.trained == pytest.approx(4.2e6, rel=0.02)
    assert audio.fits() == [80]  # thirty seconds, eight at a time
    lighter = config.model_copy(update={"audio": config.audio.model_copy(update={"gradient_checkpointing": True})})
    assert 24 in next(planning.plans(lighter)).fits()
    (early,) = planning.plans(config.model_copy(update={"fusion_method": "early", "tasks": ("emotions",)}))
    assert early.system == "early" and early.trained > 650e6


def test_the_command_prints_the_plan(tmp_path):
    (tmp_path / "x.toml").write_text('tasks = ["emotions"]\nmodalities = ["audio"]\n')
    done = CliRunner().invoke(app, ["doctor", "--plan", str(tmp_path / "x.toml"), "--json", "--set", "audio.train=top:2"])
    (row,) = json.loads(done.stdout)
    assert row["model"] == "emotions audio" and row["parameters"] == "318.7 M" and row["trained"] == "28.5 M"
    assert float(row["GiB"]) == pytest.approx(
        sum(float(row[part]) for part in ("weights", "gradients", "AdamW", "activations")), abs=0.1
    )


def test_an_unknown_architecture_is_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeights, match="nobody/nothing"):
        planning.skeleton(TextSettings(encoder="hf_text:nobody/nothing"))

"""What every encoder promises, on tiny checkpoints in the true format."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emojudge import encoding, registry
from emojudge import tiny_checkpoints as tiny
from emojudge.errors import ConfigError, MissingWeights, ModelError
from emojudge.models import EmotionModel, ModelCard
from emojudge.settings import AudioSettings, TextSettings

GENERATOR = np.random.default_rng(0)
CLIPS = [GENERATOR.normal(0, 0.1, n).astype(np.float32) for n in (9000, 16000, 3333, 12345)]
TEXTS = ["Kids are talking by the door.", "", "I can't believe that you did this, it is wonderful?", "Dogs!"]

ENCODERS = {
    "whisper": ("whisper", tiny.tiny_whisper, {}, AudioSettings, CLIPS),
    "wavlm": ("hf_speech", tiny.tiny_wavlm, {}, AudioSettings, CLIPS),
    "wavlm-large": ("hf_speech", tiny.tiny_wavlm, {"large": True}, AudioSettings, CLIPS),
    "hubert": ("hf_speech", tiny.tiny_hubert, {}, AudioSettings, CLIPS),
    "hubert-large": ("hf_speech", tiny.tiny_hubert, {"large": True}, AudioSettings, CLIPS),
    "wav2vec2": ("hf_speech", tiny.tiny_wav2vec2, {}, AudioSettings, CLIPS),
    "wav2vec2-large": ("hf_speech", tiny.tiny_wav2vec2, {"large": True}, AudioSettings, CLIPS),
    "ecapa": ("ecapa", tiny.tiny_ecapa, {}, AudioSettings, CLIPS),
    "roberta": ("hf_text", tiny.tiny_roberta, {}, TextSettings, TEXTS),
    "deberta": ("hf_text", tiny.tiny_deberta, {}, TextSettings, TEXTS),
    "bert": ("hf_text", tiny.tiny_bert, {}, TextSettings, TEXTS),
    "mpnet": ("hf_text", tiny.tiny_mpnet, {}, TextSettings, TEXTS),
}


@pytest.fixture(scope="module", params=ENCODERS)
def case(request, tmp_path_factory):
    """(opener, inputs) of one encoder; `opener(**settings)` opens it and lets it learn as they say."""
    name, make, options, kind, inputs = ENCODERS[request.param]
    folder = make(tmp_path_factory.mktemp(request.param), **options)

    def opener(train="none", **settings):
        module, argument = registry.resolve("encoders", f"{name}:{folder}")
        chosen = kind(train=train, **settings)
        encoder = module.open(argument, chosen)
        encoder.prepare(chosen)
        return encoder

    return opener, inputs


@pytest.fixture
def stack(case):
    """A case with three blocks between four layers; ECAPA has one layer."""
    if case[0](layers="all").layers == 1:
        pytest.skip("this encoder has one layer")
    return case


def learning(encoder):
    return {name for name, parameter in encoder.module.named_parameters() if parameter.requires_grad}


def blocks_of(names):
    return {i for i in range(4) if any(f"{part}.{i}." in name for name in names for part in ("layers", "layer", "blocks"))}


def gradients(encoder, inputs):
    """Gradient of each parameter by name, in training mode without dropout's chance."""
    encoder.module.train()
    torch.manual_seed(0)
    frames, mask = encoder.encode(inputs)
    (frames.square() * mask[:, None, :, None]).sum().backward()
    return {name: p.grad for name, p in encoder.module.named_parameters() if p.grad is not None}


def test_shapes_are_as_promised(case):
    opener, inputs = case
    encoder = opener(layers="all")
    frames, mask = encoder.encode(inputs)
    assert encoder.modality in ("audio", "text")
    assert frames.shape == (len(inputs), encoder.layers, mask.shape[1], encoder.size)
    assert (encoder.layers, encoder.size) in ((4, 32), (1, 48))
    assert frames.dtype == torch.float32 and mask.dtype == torch.bool
    assert mask.any(1).all() and frames.isfinite().all()
    lengths = mask.sum(1)
    assert all(mask[i, : lengths[i]].all() for i in range(len(inputs)))
    assert lengths.max() == mask.shape[1] and lengths.min() < lengths.max()


@pytest.mark.parametrize("train", ["none", "all", "lora"])
def test_padding_changes_nothing(case, train):
    """Alone, in a batch of other lengths, and in that batch the other way round, an input gets the same."""
    opener, inputs = case
    encoder = opener(train, layers="all")
    encoder.module.eval()
    with torch.inference_mode():
        frames, mask = encoder.encode(inputs)
        turned, other = encoder.encode(inputs[::-1])
        for row, one in enumerate(inputs):
            alone, own = encoder.encode([one])
            assert own.all() and own.sum() == mask[row].sum() == other[-1 - row].sum()
            for found in (frames[row][:, mask[row]], turned[-1 - row][:, other[-1 - row]]):
                assert (alone[0] - found).abs().max() < 1e-4


def test_layers_differ_and_can_be_chosen(stack):
    opener, inputs = stack
    everything, _ = opener(layers="all").encode(inputs)
    assert all((everything[:, i] - everything[:, j]).abs().max() > 1e-2 for i in range(4) for j in range(i))
    for layers, rows in (("last", [3]), ((0, 2), [0, 2]), ((1,), [1])):
        encoder = opener(layers=layers)
        some, _ = encoder.encode(inputs)
        assert encoder.layers == len(rows)
        assert torch.equal(some, everything[:, rows])
    with pytest.raises(ConfigError, match="layers 0 to 3"):
        opener(layers=(4,))


@pytest.mark.parametrize(
    ("layers", "train", "expected"),
    [
        ("last", "all", {0, 1, 2}),
        ("last", "top:2", {1, 2}),
        ("last", "lora", {0, 1, 2}),
        ("last", "none", set()),
        ((0, 1, 2), "all", {0, 1}),
        ((1, 2), "top:1", {1}),
        ((0, 2), "lora", {0, 1}),
    ],
)
def test_gradients_reach_what_learns_and_all_of_it(stack, layers, train, expected):
    """Nothing that is not run may learn: its gradient would stay away, and so would a second process."""
    opener, inputs = stack
    encoder = opener(train, layers=layers)
    assert encoder.encode(inputs)[0].requires_grad == bool(expected)
    found = gradients(encoder, inputs) if expected else {}
    assert found.keys() == learning(encoder) and blocks_of(found) == expected
    assert all(
        grad.abs().sum() > 0 for name, grad in found.items() if not name.endswith(("k_proj.bias", "key.bias", "k.bias", ".down"))
    )
    assert not any(part in name for name in found for part in ("conv1", "conv2", "embed_positions", "feature_extractor"))


def test_more_blocks_than_run_are_refused(stack):
    opener, _ = stack
    for train, layers in (("top:4", "last"), ("top:2", (0, 1)), ("lora", (0,))):
        with pytest.raises(ConfigError, match=f"run {0 if layers == (0,) else 1 if layers != 'last' else 3} blocks"):
            opener(train, layers=layers)


def test_adapters_change_nothing_at_first_and_everything_after(case):
    opener, inputs = case
    plain, encoder = opener(), opener("lora", lora_rank=2)
    expected, _ = plain.encode(inputs)
    assert torch.allclose(encoder.encode(inputs)[0], expected, atol=1e-5)
    assert all(name.endswith((".up", ".down")) for name in learning(encoder))
    assert encoder.fingerprint == plain.fingerprint
    adapted = {name.split(".parametrizations")[0] for name in learning(encoder)}
    for number, name in enumerate(sorted(adapted)):  # each of them counts, WavLM's attention too
        up = encoder.module.get_submodule(name).parametrizations.weight[0].up
        before, _ = encoder.encode(inputs)
        with torch.no_grad():
            up.normal_(generator=torch.Generator().manual_seed(number))
        assert not torch.allclose(encoder.encode(inputs)[0], before, atol=1e-6), name
    assert encoder.fingerprint == plain.fingerprint


def test_checkpointing_changes_no_gradient(case):
    opener, inputs = case
    for train in ("all", "lora"):
        kept, computed = (gradients(opener(train, gradient_checkpointing=flag), inputs) for flag in (False, True))
        assert kept and kept.keys() == computed.keys()
        assert all(torch.allclose(kept[name], computed[name], atol=1e-5, rtol=1e-4) for name in kept)


def model_of(encoder, train):
    """A model that holds the encoder."""
    kind = AudioSettings if encoder.modality == "audio" else TextSettings
    settings = {encoder.modality: kind(train=train, hidden_size=4).model_dump()}
    shapes = {encoder.modality: (encoder.layers, encoder.size)}
    card = ModelCard("emotions", ("Sad", "Happy"), (encoder.modality,), settings, {}, shapes)
    return EmotionModel(card, {encoder.modality: encoder.module})


@pytest.mark.parametrize("train", ["top:1", "lora", "all"])
def test_what_was_learnt_is_put_back_and_is_all_that_is_stored(case, train):
    opener, inputs = case
    trained, again = opener(train), opener(train)
    model, other = model_of(trained, train), model_of(again, train)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    learnt = model.learnt()
    other.put_back(learnt)
    assert torch.equal(again.encode(inputs)[0], trained.encode(inputs)[0])
    stored = sum(tensor.numel() for name, tensor in learnt.items() if ".encoder." in name)
    assert stored < {"top:1": 0.5, "lora": 1.0, "all": 1.1}[train] * sum(p.numel() for p in opener().module.parameters())
    with pytest.raises(RuntimeError, match="missing"):
        other.put_back(dict(list(learnt.items())[1:]))


def test_the_fingerprint_names_all_that_changes_the_output(case):
    opener, _ = case
    assert opener().fingerprint == opener().fingerprint
    if opener(layers="all").layers > 1:
        assert opener(layers="all").fingerprint != opener(layers="last").fingerprint
    assert (
        opener(**({"max_tokens": 4} if opener().modality == "text" else {"max_seconds": 4})).fingerprint != opener().fingerprint
    )
    changed = opener()
    with torch.no_grad():
        next(changed.module.parameters()).add_(1e-3)
    assert changed.fingerprint != opener().fingerprint


def test_parts_side_by_side_are_parts_one_after_the_other(case, monkeypatch):
    opener, inputs = case
    encoder, threads = opener(layers="all"), torch.get_num_threads()
    if encoder.modality == "text":
        pytest.skip("texts go in one part")
    monkeypatch.setattr(encoding, "CPU_SAMPLES", 1)
    encoder.module.eval()
    try:
        with torch.inference_mode():
            torch.set_num_threads(1)
            alone, mask = encoding.encode(encoder, inputs * 8)
            torch.set_num_threads(4)
            beside, same = encoding.encode(encoder, inputs * 8)
            assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(mask, same) and torch.allclose(alone, beside, atol=1e-5)


def test_half_the_bits_change_frames_a_little_and_have_a_folder_of_their_own(case):
    opener, inputs = case
    encoder = opener(layers="all")
    with torch.inference_mode():
        whole, mask = encoder.encode(inputs)
        name, fingerprint = encoding.folder_of(encoder), encoder.fingerprint
        encoding.halve(encoder)
        half, same = encoder.encode(inputs)
    assert half.dtype == torch.float32 and torch.equal(mask, same)
    off = ((half - whole) * mask[:, None, :, None]).norm() / (whole * mask[:, None, :, None]).norm()
    assert 0 < off < 0.05
    assert encoder.fingerprint == fingerprint and encoding.folder_of(encoder) == f"{name}-bfloat16"


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


def test_missing_weights_are_not_made_up(tmp_path):
    folder = tiny.tiny_roberta(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    module, _ = registry.resolve("encoders", "hf_text")
    with pytest.raises(MissingWeights, match="1 weights are missing, as encoder.layer.1.output"):
        module.open(str(folder), TextSettings())


def test_another_architecture_is_refused(tmp_path):
    folder = tiny.tiny_roberta(tmp_path)
    tiny.tiny_hubert(folder)
    module, _ = registry.resolve("encoders", "hf_text")
    with pytest.raises(ModelError, match="no text encoder"):
        module.open(str(folder), TextSettings())

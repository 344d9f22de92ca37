import json

import pytest
import sentencepiece
import torch

from emojudge import offline
from emojudge import tiny_checkpoints as tiny
from emojudge.encoders import hf_text
from emojudge.errors import MissingWeights
from emojudge.settings import TextSettings


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    return str(tiny.tiny_roberta(tmp_path_factory.mktemp("roberta")))


def test_text_is_cut_to_the_tokens_asked_for_and_to_the_positions_there_are(roberta):
    long = "Kids are talking by the door. " * 50
    assert hf_text.open(roberta, TextSettings(max_tokens=5)).encode([long])[0].shape[2] == 5
    encoder = hf_text.open(roberta, TextSettings(max_tokens=500))
    assert encoder.max_tokens == 32 and encoder.encode([long])[0].shape[2] == 32


def test_empty_text_is_its_special_tokens(roberta):
    frames, mask = hf_text.open(roberta, TextSettings()).encode([""])
    assert mask.sum() == 2 and frames.isfinite().all()


def test_unruly_text_is_encoded(roberta):
    texts = ["\ud800 lone", "nul\0nul", "\u202edetrevni", "\u200b", "😀" * 20, "x" * 100_000]
    frames, _ = hf_text.open(roberta, TextSettings()).encode(texts)
    assert frames.isfinite().all()
    assert hf_text.clean("a\ud800b\0c") == "a?bc"


def test_states_are_those_of_the_model(roberta):
    from transformers import AutoModel, AutoTokenizer

    text = "Dogs are sitting by the door!"
    tokens = AutoTokenizer.from_pretrained(roberta)(text, return_tensors="pt")
    model = AutoModel.from_pretrained(roberta).eval()
    with torch.inference_mode():
        last = model(**tokens).last_hidden_state
        frames, _ = hf_text.open(roberta, TextSettings()).encode([text])
    assert torch.allclose(frames[:, 0], last, atol=1e-6)


@pytest.mark.weights
@pytest.mark.parametrize(("name", "size", "layers"), [("offline-minilm", 384, 7), ("offline-mpnet", 768, 13)])
def test_packaged_sentence_encoders_know_what_sentences_mean(name, size, layers):
    """Mean pooling of the last layer is how both were trained; paraphrases must be nearer than strangers."""
    try:
        encoder = hf_text.open(name, TextSettings(layers="all"))
    except MissingWeights:
        pytest.skip("the weights' packages are not installed")
    texts = ["I am very angry with you.", "You make me furious!", "The train leaves at noon."]
    with torch.inference_mode():
        frames, mask = encoder.encode(texts)
    assert (encoder.size, encoder.layers) == (size, layers)
    weights = mask[..., None].float()
    pooled = torch.nn.functional.normalize((frames[:, -1] * weights).sum(1) / weights.sum(1), dim=-1)
    near, far = float(pooled[0] @ pooled[1]), float(pooled[0] @ pooled[2])
    assert near > far + 0.25
    assert offline.cache_folder().exists()


def test_a_sentencepiece_model_is_a_tokenizer(tmp_path):
    """As microsoft/deberta-v3-large has it: spm.model, and no tokenizer.json."""
    folder = tiny.tiny_deberta(tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    pieces = {"pad": "[PAD]", "bos": "[CLS]", "eos": "[SEP]", "unk": "[UNK]"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(tiny.SENTENCES),
        model_prefix=str(folder / "spm"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
        **{f"{name}_id": number for number, name in enumerate(pieces)},
        **{f"{name}_piece": piece for name, piece in pieces.items()},
    )
    encoder = hf_text.open(str(folder), TextSettings())
    ids = encoder.tokenizer(tiny.SENTENCES[0])["input_ids"]
    assert encoder.tokenizer.convert_ids_to_tokens(ids)[:3] == ["[CLS]", "▁", "K"]
    assert encoder.encode(tiny.SENTENCES)[0].isfinite().all()

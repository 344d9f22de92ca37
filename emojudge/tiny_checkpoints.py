"""Tiny checkpoints with random weights in the true format of the real ones, for trials and tests without downloads."""

import re
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SENTENCES = [
    "Kids are talking by the door.",
    "Dogs are sitting by the door!",
    "I can't believe that you did this, it is wonderful?",
]
BLOCKS: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
CONVOLUTIONS: dict[str, Any] = {
    "conv_dim": (24, 24, 24),
    "conv_kernel": (10, 8, 8),
    "conv_stride": (5, 8, 8),
    "num_conv_pos_embeddings": 16,
}
CONVOLUTIONS |= {"num_conv_pos_embedding_groups": 4}


def tiny_wavlm(folder: str | Path, large: bool = False) -> Path:
    """WavLM; `large` has layer norms in its front end and before its blocks, as wavlm-large has."""
    from transformers import WavLMConfig, WavLMModel

    return _save(WavLMModel(WavLMConfig(**_speech(large))), folder)


def tiny_hubert(folder: str | Path, large: bool = False) -> Path:
    """HuBERT."""
    from transformers import HubertConfig, HubertModel

    return _save(HubertModel(HubertConfig(**_speech(large))), folder)


def tiny_wav2vec2(folder: str | Path, large: bool = False) -> Path:
    """wav2vec 2.0."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    return _save(Wav2Vec2Model(Wav2Vec2Config(**_speech(large))), folder)


def tiny_whisper(folder: str | Path) -> Path:
    """Whisper, encoder and decoder, with a byte-level BPE tokenizer and the rules of a model of three languages."""
    from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

    tokenizer = _bytes([])
    specials = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|pl|>"]
    specials += ["<|translate|>", "<|transcribe|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens(specials)
    ids = tokenizer.get_vocab()
    names = {"eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)

    sizes: dict[str, Any] = {
        "d_model": 32,
        "encoder_layers": 3,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
    }
    tokens: dict[str, Any] = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), ids["<|endoftext|>"])
    tokens |= {"decoder_start_token_id": ids["<|startoftranscript|>"], "vocab_size": len(ids)}
    config = WhisperConfig(
        **sizes, **tokens, encoder_ffn_dim=48, decoder_ffn_dim=48, suppress_tokens=None, begin_suppress_tokens=None
    )
    model = WhisperForConditionalGeneration(config)
    rules: dict[str, Any] = {"is_multilingual": True, "lang_to_id": {name: ids[name] for name in specials[2:5]}}
    rules |= {"task_to_id": {name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")}}
    mute = [ids[name] for name in ids if not re.fullmatch("Ġ?[a-zA-Z]+", name)]  # letters alone, so that there are words
    rules |= {"suppress_tokens": [id for id in mute if id != ids["<|endoftext|>"]]}
    rules |= {"begin_suppress_tokens": [ids["<|endoftext|>"]]}
    rules |= {"no_timestamps_token_id": ids["<|notimestamps|>"], "max_length": 448}
    model.generation_config = GenerationConfig(**{**tokens, **rules})
    return _save(model, folder)


def tiny_roberta(folder: str | Path) -> Path:
    """RoBERTa with a byte-level BPE tokenizer."""
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    tokenizer = _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", **names).save_pretrained(folder)
    size: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 34, "type_vocab_size": 1}
    return _save(RobertaModel(RobertaConfig(**BLOCKS, **size)), folder)


def tiny_deberta(folder: str | Path) -> Path:
    """DeBERTa-v3 with a Unigram tokenizer and relative positions."""
    from transformers import DebertaV2Config, DebertaV2Model, PreTrainedTokenizerFast

    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(SENTENCES, trainers.UnigramTrainer(special_tokens=specials, unk_token="[UNK]", vocab_size=60))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    positions: dict[str, Any] = {
        "relative_attention": True,
        "position_buckets": 16,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
    }
    positions |= {
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "max_position_embeddings": 32,
        "type_vocab_size": 0,
    }
    return _save(DebertaV2Model(DebertaV2Config(**BLOCKS, **positions, vocab_size=tokenizer.get_vocab_size())), folder)


def tiny_bert(folder: str | Path) -> Path:
    """BERT, of which MiniLM is a small one, with a WordPiece tokenizer."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(special_tokens=specials, vocab_size=80))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return _save(BertModel(BertConfig(**BLOCKS, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=32)), folder)


def tiny_mpnet(folder: str | Path) -> Path:
    """MPNet, under BERT's tokenizer."""
    from transformers import MPNetConfig, MPNetModel

    tiny_bert(folder)
    return _save(MPNetModel(MPNetConfig(**BLOCKS, vocab_size=80, max_position_embeddings=34, pad_token_id=0)), folder)


def tiny_ecapa(folder: str | Path) -> Path:
    """ECAPA-TDNN as SpeechBrain saves it: a pickle, with the pooling and embedding that nobody reads here."""
    from emojudge.encoders.ecapa import Ecapa, Sizes

    weights = Ecapa(Sizes(bands=80, width=32, chunk=4, squeezed=8, size=48)).state_dict()
    weights |= {"asp_bn.norm.weight": torch.ones(96), "fc.conv.weight": torch.ones(16, 96, 1), "fc.conv.bias": torch.zeros(16)}
    for number, (name, tensor) in enumerate(weights.items()):
        if tensor.dtype.is_floating_point:
            wave = torch.sin(torch.arange(tensor.numel(), dtype=torch.float64) * 1.7 + number)
            weights[name] = (0.15 * wave + ("running_var" in name or "norm.weight" in name)).reshape(tensor.shape).float()
    Path(folder).mkdir(parents=True, exist_ok=True)
    torch.save(weights, Path(folder) / "embedding_model.ckpt")
    return Path(folder)


def _bytes(specials: list[str]) -> Tokenizer:
    """A byte-level BPE tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(special_tokens=specials, initial_alphabet=alphabet, vocab_size=300)
    )
    return tokenizer


def _speech(large: bool) -> dict[str, Any]:
    norm = (
        {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
        if large
        else {"feat_extract_norm": "group"}
    )
    return {**BLOCKS, **CONVOLUTIONS, **norm, "vocab_size": 32}


def _save(model: Any, folder: str | Path) -> Path:
    """Weights drawn large enough that layers differ, the same on every call; saved as safetensors."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.dtype.is_floating_point:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    model.save_pretrained(folder)
    return Path(folder)

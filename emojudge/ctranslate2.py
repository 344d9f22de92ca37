"""Whisper weights from a CTranslate2 file to the names of Hugging Face's `WhisperForConditionalGeneration`.

The file, little-endian (https://github.com/OpenNMT/CTranslate2, `python/ctranslate2/specs/model_spec.py`): version,
specification name, revision, count; then for each tensor its name, rank, dimensions, type, bytes, content. Strings have
a 16-bit length, which counts their closing zero.
"""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emojudge.errors import ModelError

_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)

_ATTENTION = {"encoder": {"self_attention": "self_attn"}, "decoder": {"self_attention": "self_attn", "attention": "encoder_attn"}}
_PARTS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_FIXED = {
    "encoder/position_encodings/encodings": "model.encoder.embed_positions.weight",
    "decoder/position_encodings/encodings": "model.decoder.embed_positions.weight",
    "decoder/embeddings/weight": "model.decoder.embed_tokens.weight",
}


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Every tensor by its name; arrays map the file and are read when touched.

    Raises:
        ModelError: no CTranslate2 file of version 6 with a Whisper model, or cut short.
    """
    try:
        return _Reader(np.memmap(path, np.uint8, mode="r").data).tensors()
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(f"{path} is no CTranslate2 file that can be read ({error}); install the weights again.") from None


class _Reader:
    """A cursor over the bytes."""

    def __init__(self, content: memoryview) -> None:
        self.content, self.at = content, 0

    def number(self, kind: str) -> int:
        value = struct.unpack_from(f"<{kind}", self.content, self.at)[0]
        self.at += struct.calcsize(kind)
        return value

    def text(self) -> str:
        length = self.number("H")
        self.at += length
        return bytes(self.content[self.at - length : self.at]).rstrip(b"\0").decode()

    def tensors(self) -> dict[str, np.ndarray]:
        version, name, _ = self.number("I"), self.text(), self.number("I")
        if version != 6 or name != "WhisperSpec":
            raise ValueError(f"version {version}, {name}")
        return dict(self.tensor() for _ in range(self.number("I")))

    def tensor(self) -> tuple[str, np.ndarray]:
        name = self.text()
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, size = _TYPES[self.number("B")], self.number("I")
        begin, self.at = self.at, self.at + size
        return name, np.frombuffer(self.content[begin : self.at], kind).reshape(shape)


def to_hugging_face(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same weights under Hugging Face's names, stacked projections parted.

    The key projection's bias is left out, as Hugging Face's has none; it must be zero.

    Raises:
        ModelError: quantised weights, or a key bias that is not zero.
    """
    state: dict[str, np.ndarray] = {}
    for name, array in tensors.items():
        if name in _FIXED:
            state[_FIXED[name]] = array
        elif len(parts := name.split("/")) > 2 and parts[-1] in _PARTS:
            _add(state, parts, array)
    if any(array.dtype.kind != "f" for array in state.values()):
        raise ModelError("The CTranslate2 weights are quantised; take a float16 or float32 file.")
    return state


def _add(state: dict[str, np.ndarray], parts: list[str], array: np.ndarray) -> None:
    """Put one tensor, whole or parted, into `state`; `parts` is its name cut at the slashes."""
    side, layer, *inner, part = parts
    kind = _PARTS[part]
    if not inner:  # encoder/conv1/weight, encoder/layer_norm/gamma
        state[f"model.{side}.{layer}.{kind}"] = array
        return
    prefix = f"model.{side}.{layer.replace('layer_', 'layers.')}"
    if inner[0] == "ffn":
        target = {"layer_norm": "final_layer_norm", "linear_0": "fc1", "linear_1": "fc2"}[inner[1]]
        state[f"{prefix}.{target}.{kind}"] = array
        return
    attention = _ATTENTION[side][inner[0]]
    if inner[1] == "layer_norm":
        state[f"{prefix}.{attention}_layer_norm.{kind}"] = array
        return
    names = _projections(inner[0], inner[1])
    for target, piece in zip(names, np.split(array, len(names)), strict=True):
        if target == "k_proj" and kind == "bias":
            if np.any(piece):
                raise ModelError(f"{'/'.join(parts)}: the key bias is not zero, so this is no Whisper model.")
            continue
        state[f"{prefix}.{attention}.{target}.{kind}"] = piece


def _projections(attention: str, linear: str) -> tuple[str, ...]:
    """Which projections a linear layer stacks.

    >>> _projections("attention", "linear_1")
    ('k_proj', 'v_proj')
    """
    if attention == "self_attention":
        return ("q_proj", "k_proj", "v_proj") if linear == "linear_0" else ("out_proj",)
    return {"linear_0": ("q_proj",), "linear_1": ("k_proj", "v_proj"), "linear_2": ("out_proj",)}[linear]

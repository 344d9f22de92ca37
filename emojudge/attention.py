"""What a trained model attends to: which layers of its encoder, and which moments of a clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from emojudge import audio
from emojudge.audio import Normaliser
from emojudge.errors import AudioError, EmoJudgeError
from emojudge.features import Features
from emojudge.figures import STAND_IN, svg
from emojudge.runs import Part
from emojudge.storage import read_json, read_tensors
from emojudge.types import Utterance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 240
"""Steps of a drawn waveform."""


@dataclass(frozen=True)
class Listening:
    """One clip: its waveform as the lowest and highest sample of each step, (POINTS, 2), and the attention (T, heads).

    Attention is relative to even: 1 is what every frame would weigh were all alike.
    """

    utterance: Utterance
    seconds: float
    waveform: np.ndarray
    attention: np.ndarray


def layer_weights(parts: Sequence[Part], task: str, system: str) -> dict[str, dict[int, list[float]]]:
    """By modality, the learnt weight of each encoder layer, one value a part; nothing where no sum of layers was learnt."""
    found: dict[str, dict[int, list[float]]] = {}
    for folder in (part.model(task, system) for part in parts):
        if not (folder / "config.json").exists():
            continue
        about, tensors = read_json(folder / "config.json"), read_tensors(folder / "model.safetensors")
        for modality in about["modalities"]:
            raw = tensors.get(f"bodies.{modality}.mix.weight")
            if raw is not None and len(raw) > 1:
                share = np.exp(raw - raw.max()) / np.exp(raw - raw.max()).sum()
                layers = _layers(about["settings"][modality]["layers"], len(raw))
                for layer, value in zip(layers, share.tolist(), strict=True):
                    found.setdefault(modality, {}).setdefault(layer, []).append(value)
    return found


def _layers(chosen: Any, count: int) -> Sequence[int]:
    return range(count) if chosen == "all" else [int(layer) for layer in chosen]


def layer_figure(weights: Mapping[str, Mapping[int, Sequence[float]]], name: str) -> str:
    """A panel a modality: the mean weight of each layer as a bar, each training as a dot."""

    def draw(axes: Sequence["Axes"]) -> None:
        for axis, (modality, layers) in zip(axes, weights.items(), strict=True):
            axis.axhline(1 / len(layers), color=STAND_IN["muted"], lw=1, ls=(0, (4, 3)))
            axis.bar(range(len(layers)), [np.mean(v) for v in layers.values()], color=STAND_IN[modality], alpha=0.45, width=0.6)
            for place, values in enumerate(layers.values()):
                axis.plot([place] * len(values), values, "o", ms=3.5, mew=0, color=STAND_IN[modality])
            axis.set(title=modality.capitalize(), xlabel="encoder layer", ylim=(0, None))
            axis.set_xticks(range(len(layers)), [str(layer) for layer in layers])
            axis.grid(visible=False, axis="x")
        axes[0].set_ylabel("weight")

    told = [f"{m}, layer {layer}: {np.mean(v):.2f}" for m, layers in weights.items() for layer, v in layers.items()]
    return svg(f"layers-{name}", draw, columns=len(weights), about=f"Learnt weight of each encoder layer. {'; '.join(told)}.")


def examples(clips: Sequence[Utterance], count: int, seed: int = 0) -> list[Utterance]:
    """Some recorded clips, drawn by `seed` alone, of as many different emotions as there are."""
    shuffled = sorted((clip for clip in clips if clip.audio), key=lambda clip: clip.id)
    Random(seed).shuffle(shuffled)
    first: dict[Any, Utterance] = {}
    for clip in shuffled:
        first.setdefault(clip.emotion or clip.id, clip)
    chosen = list(first.values())[:count]
    return chosen + [clip for clip in shuffled if clip not in chosen][: count - len(chosen)]


def listen(part: Part, task: str, system: str, clips: Sequence[Utterance], features: Features) -> list[Listening] | str:
    """The attention of a trained model on `clips`; [] where it pools otherwise, a sentence where it cannot be computed."""
    path = part.model(task, system) / "config.json"
    settings = read_json(path)["settings"].get("audio", {}) if path.exists() else {}
    if settings.get("pooling") != "attentive" or settings["normalise_features"] != "none" or not clips:
        return []
    try:
        return _listen(part, task, system, clips, features)
    except EmoJudgeError as error:
        return str(error)


def _listen(part: Part, task: str, system: str, clips: Sequence[Utterance], features: Features) -> list[Listening]:
    import torch

    from emojudge.models import load, read_card

    card = read_card(part.model(task, system))
    encoders = {modality: features.encoder(modality) for modality in card.modalities}
    body: Any = load(part.model(task, system), encoders).bodies["audio"]
    normaliser = Normaliser(**card.normaliser)
    found = []
    for clip in clips:
        try:
            samples = audio.read(str(clip.audio), clip.start, clip.end)
        except AudioError:
            continue
        with torch.inference_mode():
            frames, mask = encoders["audio"].encode([normaliser.apply(samples)])
            weights = body.pooling.weights(body.mix(body.scale(frames)), mask)[0]
        seconds = min(len(samples) / audio.SAMPLE_RATE, card.settings_of("audio").model_dump()["max_seconds"])
        heard = samples[: round(seconds * audio.SAMPLE_RATE)]
        steps = np.array_split(heard, min(POINTS, len(heard)))
        waveform = np.array([[step.min(), step.max()] for step in steps]) / (np.abs(heard).max() or 1.0)
        found.append(Listening(clip, seconds, waveform, (weights * len(weights)).cpu().numpy()))
    return found


def attention_figure(heard: Listening, name: str) -> str:
    """The waveform, and over it how much each moment counts."""

    def draw(axes: Sequence["Axes"]) -> None:
        axis = axes[0]
        frames = (np.arange(len(heard.attention)) + 0.5) / len(heard.attention) * heard.seconds
        times = np.linspace(0, heard.seconds, len(heard.waveform))
        top = max(float(heard.attention.max()), 1.5)
        low, high = (0.5 + 0.45 * heard.waveform.T) * top
        axis.fill_between(times, low, high, color=STAND_IN["rest"], alpha=0.55, lw=0)
        for head in heard.attention.T:
            axis.plot(frames, head, color=STAND_IN["audio"], lw=1.5)
            axis.fill_between(frames, 0, head, color=STAND_IN["audio"], alpha=0.16, lw=0)
        axis.axhline(1, color=STAND_IN["muted"], lw=1, ls=(0, (4, 3)))
        axis.set(xlabel="seconds", ylabel="weight (1: even)", xlim=(0, heard.seconds), ylim=(0, top))
        axis.grid(visible=False)
        axis.locator_params(axis="x", nbins=6)
        axis.locator_params(axis="y", nbins=4)

    peak = heard.attention.mean(1).argmax() / len(heard.attention) * heard.seconds
    about = f"Waveform and attention over {heard.seconds:.1f} s; most weight, {heard.attention.max():.1f} times an even share, "
    return svg(f"attention-{name}", draw, height=2.0, about=f"{about}at {peak:.1f} s.")

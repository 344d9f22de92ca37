"""What the corpus `synthetic` says, who says it and how: drawn from `synthetic.toml`, before anything is spoken."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from emojudge.types import ATTRIBUTES, EMOTIONS

PARTS = {"train": (0.0, 0.6), "dev": (0.6, 0.8), "test": (0.8, 1.0)}
"""Which part of each emotion's sentences a split may use: no split shares a sentence with another."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip to be spoken. `rate` is in words a minute, `pitch` and `range` are espeak's 0-100, `gap` is in 10 ms."""

    id: str
    speaker: str
    gender: str
    split: str
    emotion: str
    text: str
    attributes: Mapping[str, float]
    voice: str
    rate: int
    pitch: int
    range: int
    gap: int
    tilt: float
    gain_db: float
    snr_db: float
    noise_seed: int


@cache
def material() -> Mapping[str, Any]:
    """`synthetic.toml`."""
    return tomllib.loads(Path(__file__).with_name("synthetic.toml").read_text(encoding="utf-8"))


@cache
def plan() -> tuple[Clip, ...]:
    """Every clip, in the order in which they must be spoken; the same on every machine.

    >>> len(plan()), len({clip.speaker for clip in plan()}), {clip.emotion for clip in plan()} == set(EMOTIONS)
    (576, 24, True)
    """
    draw = random.Random(material()["seed"])
    sentences = {emotion: draw.sample(texts, len(texts)) for emotion, texts in material()["texts"].items()}
    speakers = [(split, voice) for split, voices in material()["speakers"].items() for voice in voices]
    return tuple(
        clip
        for number, (split, voice) in enumerate(speakers, 1)
        for clip in _speaker(draw, f"speaker_{number:02d}", split, voice, sentences)
    )


def _speaker(
    draw: random.Random, name: str, split: str, description: str, sentences: Mapping[str, Sequence[str]]
) -> Iterator[Clip]:
    """One speaker's clips: a habit of rate, pitch, range and gain, and how much emotion moves them."""
    voice, gender = description.split()
    habit = {"rate": draw.gauss(0, 0.05), "pitch": draw.gauss(0, 5), "range": draw.gauss(0, 6), "gain": draw.gauss(0, 1.5)}
    strength = draw.uniform(0.8, 1.2)
    emotions = list(EMOTIONS) * material()["clips_per_emotion_and_speaker"]
    draw.shuffle(emotions)  # so that a clip's number does not tell its emotion
    for number, emotion in enumerate(emotions, 1):
        said, text = _sentence(draw, emotion, split, sentences)
        centre, spread = material()["emotions"][emotion]["prosody"], material()["spread"]
        shift = {key: centre[key] * strength + draw.gauss(0, spread[key]) for key in spread}
        yield Clip(
            id=f"{name}_{number:02d}",
            speaker=name,
            gender=gender,
            split=split,
            emotion=emotion,
            text=text,
            attributes=_attributes(draw, emotion, said, shift),
            voice=voice,
            rate=round(185 * (1 + habit["rate"] + shift["rate"])),
            pitch=_bounded(45 + habit["pitch"] + shift["pitch"]),
            range=_bounded(45 + habit["range"] + shift["range"]),
            gap=round(max(shift["gap"], 0)),
            tilt=round(shift["tilt"], 3),
            gain_db=round(habit["gain"] + shift["gain"], 2),
            snr_db=round(draw.uniform(15, 40), 1),
            noise_seed=draw.randrange(2**31),
        )


def _sentence(draw: random.Random, emotion: str, split: str, sentences: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """What emotion the words carry, and the words."""
    shares = material()["shares"]
    others = [other for other in EMOTIONS if other not in (emotion, "Neutral")]
    meanings = (emotion, draw.choice(others), "Neutral")
    said = draw.choices(meanings, (shares["carry"], shares["contradict"], shares["plain"]))[0]
    low, high = (round(part * len(sentences[said])) for part in PARTS[split])
    fill = {slot: draw.choice(words) for slot, words in material()["fill"].items()}
    opener = draw.choice(material()["openers"][said]) + " " if draw.random() < shares["opener"] else ""
    text = opener + draw.choice(sentences[said][low:high]).format(**fill)
    return said, text[0].upper() + text[1:]


def _attributes(draw: random.Random, emotion: str, said: str, shift: Mapping[str, float]) -> dict[str, float]:
    """Valence follows the words as much as the emotion, arousal the voice, dominance both; on 1-7."""
    own, words = (material()["emotions"][name]["attributes"] for name in (emotion, said))
    effort = (shift["rate"] / 0.2 + shift["range"] / 25 + shift["gain"] / 6) / 3
    values = {
        "valence": 0.55 * own["valence"] + 0.45 * words["valence"],
        "arousal": 0.60 * own["arousal"] + 0.15 * words["arousal"] + 0.25 * 4 + 0.6 * effort,
        "dominance": 0.60 * own["dominance"] + 0.30 * words["dominance"] + 0.10 * 4 + 0.3 * effort,
    }
    return {name: round(min(max(values[name] + draw.gauss(0, 0.35), 1.0), 7.0), 2) for name in ATTRIBUTES}


def _bounded(value: float) -> int:
    return round(min(max(value, 0), 100))

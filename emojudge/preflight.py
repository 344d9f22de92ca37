"""What can be known to go wrong before an hour of work: names, consent, files of an earlier stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emojudge import judging, tables
from emojudge.errors import ConfigError, DataError
from emojudge.registry import resolve
from emojudge.settings import Config


def check_names(config: Config) -> None:
    """Encoders, the transcriber and published figures, which are otherwise first looked up by the stage that needs them.

    Raises:
        UnknownName: there is no such encoder or transcriber.
        ConfigError: there are no such published figures.
    """
    for modality in config.modalities:
        resolve("encoders", getattr(config, modality).encoder)
    if config.transcripts.transcribe != "none":
        resolve("transcribers", config.transcripts.transcribe)
    for task in config.tasks:
        tables.published(config, task, "test")


def check_solver(config: Config) -> None:
    """Whether a closed form can give all that is to be learnt.

    Raises:
        ConfigError: it cannot.
    """
    audio = config.audio
    linear = audio.moments_suffice and not audio.blocks and not audio.auxiliary and config.fusion_method != "early"
    if audio.solver == "ridge" and "audio" in config.modalities and not linear:
        raise ConfigError(
            'audio.solver = "ridge" solves one linear layer; set audio.train = "none", audio.pooling = "mean_std" or "mean", '
            'audio.layer_mix = "concat", audio.blocks = 0 and no audio.auxiliary, fuse late, or take the solver "adamw".'
        )


def check_judge(config: Config) -> None:
    """The judge, its consent, and whether it has anybody to ask.

    Raises:
        UnknownName: there is no such judge.
        ConsentError: it is on another machine, and nobody agreed.
        ConfigError: conflicts of a single model are asked for, or a policy that needs dev does not get it.
    """
    if config.judge.judge == "none" or "emotions" not in config.tasks:
        return
    judging.open_judge(config.judge)
    if config.judge.ask == "conflict" and (len(config.modalities) < 2 or config.fusion_method == "early"):
        raise ConfigError('judge.ask = "conflict" needs an audio and a text model; with one, use judge.ask = "margin:0.2".')
    if config.judge.policy == "calibrated" and "dev" not in config.judge.splits:
        raise ConfigError(
            'judge.policy = "calibrated" learns on dev what a judge is worth; ask about it, with judge.splits = ["dev", "test"].'
        )


def check_system(system: str, systems: Sequence[str]) -> None:
    """Whether a run has a model of this name.

    >>> check_system("audio", ["audio", "text"])

    Raises:
        ConfigError: it does not.
    """
    if system not in systems:
        raise ConfigError(f"This run has no model {system!r}; it has {' and '.join(systems)}.")


def check_single(root: Path, about: Mapping[str, Any]) -> None:
    """Whether a run folder is one experiment's.

    >>> check_single(Path("runs/mine"), {"name": "mine"})

    Raises:
        ConfigError: it is an ensemble of other runs, and so has no models of its own to train.
    """
    if about.get("members"):
        raise ConfigError(f"{root} is an ensemble; make it again with: emojudge ensemble {root} {' '.join(about['members'])}")


def made(path: Path, command: str) -> Path:
    """`path`, if the stage that writes it was done.

    Raises:
        DataError: it was not; `command` does it.
    """
    if not path.exists():
        raise DataError(f"{path} is not there yet; make it first with: emojudge {command}")
    return path

"""How a run came about, so that somebody else can make it again: its settings, its commands, and digests of its files."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emojudge.runs import SYSTEMS, RunFolder
from emojudge.settings import Config
from emojudge.storage import digest, file_digest, read_json, read_jsonl
from emojudge.types import Utterance


def changed(config: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted name → value here and the paper's (or our default), of every setting that is not the paper's.

    >>> changed(Config(seeds=(1, 2)))
    {'seeds': ([1, 2], [0])}
    """
    ours, papers = _flat(config.model_dump(mode="json")), _flat(Config().model_dump(mode="json"))
    keys = [key for key in {**papers, **ours} if ours.get(key) != papers.get(key) and key != "name"]
    return {key: (ours.get(key), papers.get(key)) for key in keys}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys down to the settings; a setting that is itself a table stays whole."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{key}.") if not prefix and key in _SECTIONS else {prefix + key: value}
    return flat


_SECTIONS = {name for name, field in Config.model_fields.items() if hasattr(field.annotation, "model_fields")}


def experiment_toml(config: Config) -> str:
    """The experiment as a TOML file: what is not the paper's, or our default.

    >>> print(experiment_toml(Config(name="small", data={"label_map": {"Calm": "Neutral"}})))
    name = "small"
    data.label_map = {"Calm" = "Neutral"}
    """
    lines = [f"{key} = {_toml(here)}" for key, (here, _) in changed(config).items() if here is not None]
    return "\n".join([f"name = {_toml(config.name)}", *lines])


def _toml(value: Any) -> str:
    """JSON's strings, numbers and lists are TOML's; tables and the way to write them are not."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def commands(run: RunFolder, about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it makes, and what to type; the last are what was typed. An ensemble is not made by `run`, but from other runs."""
    quoted = shlex.quote(f"runs/{run.config.name}")
    whole = [
        ("everything, from the corpus to this page; what is done is skipped", f"emojudge run experiment.toml --into {quoted}")
    ]
    found = [
        *([] if ensemble(run) else whole),
        ("every number of this page, from the predictions: metrics.json", f"emojudge evaluate {quoted}"),
        ("this page, its tables and the model card", f"emojudge report {quoted}"),
    ]
    return [*found, *(("what was typed", command) for command in about.get("commands", ()))]


def ensemble(run: RunFolder) -> bool:
    """Whether the run is made of others by `emojudge ensemble`."""
    return any(run.parts()[0].predictions(task, "ensemble").exists() for task in run.config.tasks)


@dataclass(frozen=True)
class File:
    """A file of the run, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


def data_digest(run: RunFolder) -> str:
    """One digest of every clip's id, split, speaker, words and answers: the same wherever the recordings lie."""
    rows = read_jsonl(run.manifest_file(), Utterance)
    return digest([[u.id, u.split, u.speaker, u.text, u.emotion, dict(u.attributes), dict(u.votes)] for u in rows])


def files(run: RunFolder) -> list[File]:
    """What the numbers rest on: manifests, weights, fusions, verdicts, predictions and the scores themselves."""
    wanted = [run.manifest_file(), run.file("metrics.json")]
    for part in run.parts():
        wanted.append(part.manifest_file)
        for task in run.config.tasks:
            wanted += [part.model(task, system) / "model.safetensors" for system in ("audio", "text", "early")]
            wanted += [part.fusion(task), part.verdicts(task)]
            wanted += [part.predictions(task, system) for system in SYSTEMS]
    there = [path for path in dict.fromkeys(wanted) if path.exists()]
    return [File(str(path.relative_to(run.root)), path.stat().st_size, file_digest(path)) for path in sorted(there)]


def encoders(run: RunFolder) -> dict[str, str]:
    """Encoder → the digest of its pretrained weights, as the trained models recorded it."""
    found: dict[str, str] = {}
    for path in (part.model(task, system) / "config.json" for part in run.parts() for task in run.config.tasks
                 for system in ("audio", "text", "early")):  # fmt: skip
        if path.exists():
            about = read_json(path)
            found |= {about["settings"][m]["encoder"]: print_ for m, print_ in about["encoders"].items()}
    return found

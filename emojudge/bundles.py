"""Runs to pass on: a trained run as Hugging Face keeps a model, and those that come with the package.

A bundle is a folder of three files, whatever the run has of models::

    README.md            the model card
    config.json          settings, what each model is, fusion, quantiles of the voice
    model.safetensors    every weight that was learnt, under "task/system/name"

What nobody else needs to know stays behind: clips, words, predictions, and where the corpus lay. A bundle is read by writing
it out as a run folder in the cache, once for each content, so that everything that takes a run takes a bundle.
"""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from emojudge.errors import DataError, MissingExtra, ModelError
from emojudge.hearing import Models
from emojudge.offline import kept
from emojudge.runs import Part, RunFolder
from emojudge.storage import atomic, digest, file_digest, read_json, read_tensors, write_json, write_tensors

KIND = "emojudge"
"""What config.json calls itself under "model_type"."""
PACKAGED = Path(str(files("emojudge"))) / "bundles"


def names() -> list[str]:
    """What comes with the package.

    >>> names()
    ['base', 'base_words']
    """
    return sorted(path.parent.name for path in PACKAGED.glob("*/config.json"))


def open_run(source: str | Path) -> RunFolder:
    """The run in a folder, in a bundle's folder, or in the bundle of that name.

    Raises:
        DataError: it is none of these, or cannot be read.
    """
    folder = Path(source)
    if not folder.exists() and str(source) in names():
        folder = PACKAGED / str(source)
    if not folder.exists():
        raise DataError(f"{source} is no folder, and no bundle of ours ({', '.join(names())}); check --run, or train a run.")
    if (folder / "run.json").exists() or not (folder / "config.json").exists():
        return RunFolder.open(folder)
    about = read_json(folder / "config.json")
    if about.get("model_type") != KIND:
        raise DataError(
            f"{folder} holds a model of another kind than ours; name a run folder, or one that `emojudge save` wrote."
        )
    content = digest([file_digest(folder / name) for name in ("config.json", "model.safetensors", "README.md")])
    return RunFolder.open(kept(f"bundle-{content[:16]}", lambda empty: _unpack(folder, about, empty)))


def save(run: RunFolder, folder: str | Path) -> Path:
    """Write the first part of a run as a bundle, and return its folder.

    Raises:
        DataError: the run has no model card.
        ModelError: it is not trained to its end.
    """
    folder, part = Path(folder), run.parts()[0]
    card = run.file("model_card.md")
    if not card.exists():
        raise DataError(
            f"{run.root} has no model card, without which nothing should be passed on; write it with: emojudge report"
        )
    models = dict(_models(run, part))
    tensors = {f"{name}/{key}": array for name, path in models.items() for key, array in read_tensors(path).items()}
    about = {
        "model_type": KIND,
        "library_name": KIND,
        "run": _about(run),
        "models": {name: read_json(path.with_name("config.json")) for name, path in models.items()},
        "fusion": {task: _fused(part.fusion(task)) for task in run.config.tasks if part.fusion(task).exists()},
        "quantiles": read_json(run.file("quantiles.json")) if run.file("quantiles.json").exists() else None,
        "errors": Models(part, run.config).errors,
    }
    write_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    with atomic(folder / "README.md") as temporary:
        temporary.write_bytes(card.read_bytes())
    write_json(folder / "config.json", about)
    return folder


def _fused(path: Path) -> dict[str, Any]:
    """A fitted fusion without the names of clips."""
    return read_json(path) | {"fitted_on": [], "cross_fitted": []}


def push(folder: str | Path, repository: str, private: bool = True) -> str:
    """Upload a bundle to a Hugging Face repository, which is made if need be, and return its address.

    Raises:
        DataError: the folder is no bundle, or the hub refuses.
        MissingExtra: huggingface_hub is not installed.
    """
    folder = Path(folder)
    if read_json(folder / "config.json").get("model_type") != KIND:
        raise DataError(f"{folder} is no bundle; write one with: emojudge save RUN FOLDER")
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise MissingExtra("Pushing to a hub", "report") from None
    try:
        HfApi().create_repo(repository, private=private, exist_ok=True)
        told = HfApi().upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=["README.md", "config.json", "model.safetensors"]
        )
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{repository} was not written ({reason}); log in with: hf auth login") from None
    return str(told)


def _models(run: RunFolder, part: Part) -> Iterator[tuple[str, Path]]:
    """Every model of a part: "emotions/audio" and where its weights lie."""
    for task in run.config.tasks:
        for system in run.config.systems_of(task):
            path = part.model(task, system) / "model.safetensors"
            if not path.with_name("config.json").exists():
                raise ModelError(f"{run.root} has no {system} model for {task} yet; finish it with: emojudge run {run.root}")
            yield f"{task}/{system}", path


def _about(run: RunFolder) -> dict[str, Any]:
    """What run.json says that holds elsewhere: no paths of this machine, and one part."""
    told = read_json(run.file("run.json"))
    config = run.config.model_dump(mode="json")
    config["seeds"], config["ablations"] = [run.config.seeds[0]], {}
    config["data"] = {name: config["data"][name] for name in ("corpus", "labels", "label_map", "made_of")}
    return {"config": config, "notice": told.get("notice", ""), "versions": told.get("versions", {})}


def _unpack(folder: Path, about: dict[str, Any], empty: Path) -> None:
    """Write a bundle out as a run folder."""
    try:
        write_json(empty / "run.json", about["run"])
        run = RunFolder.open(empty)
        part = run.parts()[0]
        weights = read_tensors(folder / "model.safetensors")
        for name, card in about["models"].items():
            own = {key.removeprefix(f"{name}/"): array for key, array in weights.items() if key.startswith(f"{name}/")}
            model = part.model(*name.split("/"))
            write_tensors(model / "model.safetensors", own)
            write_json(model / "config.json", card)
        for task, fused in about["fusion"].items():
            write_json(part.fusion(task), fused)
        for name in ("quantiles", "errors"):
            if about[name]:
                write_json(run.file(f"{name}.json"), about[name])
        with atomic(run.file("model_card.md")) as temporary:
            temporary.write_bytes((folder / "README.md").read_bytes())
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / 'config.json'} lacks {error}; take the bundle from its source again.") from None

"""The model card of a run, in the shape that Hugging Face reads: what it is, what it may be used for, how good it is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from emojudge import provenance
from emojudge.aligned import PartResults
from emojudge.corpus_tables import data_table
from emojudge.errors import EmoJudgeError, MissingExtra
from emojudge.evaluation import Row, find
from emojudge.groups import group_scores, listed
from emojudge.judged import read_cues
from emojudge.narrative import main_split, resampled, verdict
from emojudge.registry import resolve
from emojudge.runs import JUDGED, RunFolder
from emojudge.settings import Config
from emojudge.storage import read_json, read_jsonl
from emojudge.tables import SHORT, Table, differences_table, number, results_table, systems, to_markdown
from emojudge.types import Utterance

ENGLISH = (
    "synthetic",
    "ravdess",
    "crema_d",
    "meld",
    "emobank",
    "emorynlp",
    "msp_podcast",
    "msp_improv",
    "iemocap",
    "savee",
    "tess",
)
LANGUAGES = {"emodb": "de", "nemo": "pl", "emovo": "it"} | dict.fromkeys(ENGLISH, "en")
"""What is spoken in each corpus, where it is one language."""

SCORES = {
    "emotions": (("macro_f1", "", "f1"), ("uar", "", "recall"), ("accuracy", "", "accuracy")),
    "attributes": (("ccc", "mean", "ccc"),),
}
"""What the front matter states of each task: metric, class, and Hugging Face's name for it."""


def render(run: RunFolder, rows: Sequence[Row], results: Mapping[str, Sequence[PartResults]]) -> str:
    """The card as Markdown with its YAML front matter; `results` are those of each task.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtra("The model card", "report") from None
    environment = Environment(  # Markdown, of our own words and figures; no transcript gets here
        loader=PackageLoader("emojudge"),
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["table"] = to_markdown
    return environment.get_template("model_card.md.jinja").render(contents(run, rows, results))


def contents(run: RunFolder, rows: Sequence[Row], results: Mapping[str, Sequence[PartResults]]) -> dict[str, Any]:
    """Everything the template shows."""
    about, config = read_json(run.file("run.json")), run.config
    sections = [section for task in config.tasks if (section := _task(run, rows, results[task]))]
    people = list(read_jsonl(run.manifest_file(), Utterance))
    return {
        "front": front_matter(run, rows),
        "config": config,
        "verdict": verdict(run, rows).strip(),
        "notice": about.get("notice", ""),
        "encoders": {m: {"audio": config.audio, "text": config.text}[m] for m in config.modalities},
        "corpora": {name: told(name) for name in made_of(config)},
        "data": data_table(people, config),
        "cluster": resampled(config, people),
        "tasks": sections,
        "limits": [limit for section in sections for limit in section["limits"]],
        "folds": len(run.folds),
        "versions": about.get("versions", {}),
        "toml": "" if provenance.ensemble(run) else provenance.experiment_toml(config),
        "commands": provenance.commands(run, about),
        "data_digest": provenance.data_digest(run),
        "digests": provenance.encoders(run),
    }


def front_matter(run: RunFolder, rows: Sequence[Row]) -> str:
    """The YAML: what hubs and search engines read. The licence of weights follows from those of corpus and encoders."""
    from huggingface_hub import ModelCardData

    config, results = run.config, list(_results(run.config, rows))
    spoken = sorted({LANGUAGES[name] for name in made_of(config) if name in LANGUAGES})
    ours, audio = config.data.corpus == "synthetic", "audio" in config.modalities
    card = ModelCardData(
        license="apache-2.0" if ours else "other",
        license_name=None if ours else "see-below",
        language=spoken[0] if len(spoken) == 1 else spoken or None,
        library_name="emojudge",
        tags=["emojudge", "emotion-recognition", *(["speech-emotion-recognition"] if audio else []), *config.tasks],
        metrics=[known for task in config.tasks for _, _, known in SCORES[task]],
        model_name=config.name if results else None,
        eval_results=results or None,
    )
    return card.to_yaml().strip()


def made_of(config: Config) -> tuple[str, ...]:
    """The corpora behind a run."""
    return config.data.made_of or (config.data.corpus,)


def _results(config: Config, rows: Sequence[Row]) -> Iterator[Any]:
    """Every system's scores on the split that a reader cares for."""
    from huggingface_hub import EvalResult

    corpus = config.data.corpus
    for task in config.tasks:
        split = main_split(config, rows, task)
        for system, (metric, name, known) in product(systems(rows, task, split) if split else (), SCORES[task]):
            row = find(rows, system, metric, (task, str(split)), name)
            if row:
                yield EvalResult(
                    task_type="audio-classification" if "audio" in config.modalities else "text-classification",
                    dataset_type=corpus,
                    dataset_name=corpus,
                    dataset_split=split,
                    metric_type=known,
                    metric_name=f"{SHORT[system]}: {_named(metric, row, config)}",
                    metric_value=round(row["value"], 4),
                )


def _named(metric: str, row: Row, config: Config) -> str:
    name = {"macro_f1": "macro-F1", "uar": "UAR", "ccc": "mean CCC"}.get(metric, metric)
    if row["low"] is None:
        return name
    return f"{name} ({config.evaluation.confidence * 100:g} % interval {row['low']:.3f} to {row['high']:.3f})"


def _task(run: RunFolder, rows: Sequence[Row], results: Sequence[PartResults]) -> dict[str, Any] | None:
    """Scores, differences, classes, groups and what to beware of; None where nothing was scored."""
    config, task = run.config, results[0].task
    split = main_split(config, rows, task)
    if split is None:
        return None
    present = systems(rows, task, split)
    joint = [system for system in present if system not in JUDGED][-1]
    groups = group_scores(results, joint, split, read_cues(run))
    score = "UAR" if task == "emotions" else "Mean CCC"
    lines = [[f"{g.kind}: {g.name}", str(g.n), number(vars(g.score), interval=True)] for g in listed(groups)]
    classes = _classes(rows, task, split, present, config) if task == "emotions" else None
    return {
        "name": task,
        "split": split,
        "tables": [
            table
            for table in (
                results_table(config, rows, task, split),
                differences_table(config, rows, task),
                *(results_table(config, rows, task, other) for other in config.evaluation.splits if other != split),
                classes,
                Table(f"{task.capitalize()}, {split}: {SHORT[joint].lower()} by group", ["Group", "Clips", score], lines),
            )
            if table and table.rows
        ],
        "limits": list(_limits(rows, task, split, joint, config)),
    }


def _classes(rows: Sequence[Row], task: str, split: str, present: Sequence[str], config: Config) -> Table:
    lines = [
        [label, *(number(find(rows, s, "f1", (task, split), label), interval=True) for s in present)]
        for label in config.data.labels
    ]
    return Table(f"F1 of each emotion, {split}", ["Emotion", *(SHORT[s] for s in present)], lines)


def _limits(rows: Sequence[Row], task: str, split: str, joint: str, config: Config) -> Iterator[str]:
    """What the figures themselves warn of."""
    if task != "emotions":
        return
    scores = {label: find(rows, joint, "f1", (task, split), label) for label in config.data.labels}
    known = {label: row["value"] for label, row in scores.items() if row}
    if known:
        worst = min(known, key=known.__getitem__)
        yield f"It is worst at {worst}: F1 {known[worst]:.2f} ({SHORT[joint].lower()}, {split})."
    ece = find(rows, joint, "ece", (task, split))
    if ece:
        off = f"{100 * ece['value']:.0f} points on average (calibration error, {SHORT[joint].lower()}, {split})"
        yield f"Its probabilities are off by {off}; do not take them at their word."


def told(corpus: str) -> tuple[str, str]:
    """A corpus's source and licence, as the docstring of its loader says.

    >>> told("ravdess")[1]
    'CC BY-NC-SA 4.0'
    """
    try:
        text = " ".join((resolve("corpora", corpus)[0].__doc__ or "").split())
    except EmoJudgeError:
        return "", ""
    source = re.search(r"Source[^:]*: (.*?)\.(?= (?:Licence|Speakers|Layout))", text)
    licence = re.search(r"[Ll]icence[^:]*: (.*?)\.(?= Speakers| Layout|$| `root`)", text)
    return (source[1] if source else ""), (licence[1] if licence else "")

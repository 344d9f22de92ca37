"""Stage 6: a run as one HTML file that a person enjoys reading, and as Markdown tables.

The file needs nothing else: styles and plots are inside, there is no script. Transcripts come from
anywhere, so everything is escaped, and a content security policy forbids what escaping might miss.
Recordings are inside only where they are asked for, since many may not be passed on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emojudge import cards, exhibits, provenance, typeset
from emojudge.aligned import PartResults, pool, read_results
from emojudge.attention import attention_figure, examples, layer_figure, layer_weights, listen
from emojudge.corpus_tables import data_table
from emojudge.disagreement import furthest, patterns
from emojudge.errors import MissingExtra
from emojudge.evaluation import Row, find
from emojudge.features import Features
from emojudge.figures import scatter, training_curves
from emojudge.groups import group_scores
from emojudge.judged import read_cues, spent
from emojudge.narrative import cost_sentence, difference, judge_sentence, main_split, resampled, verdict
from emojudge.plane import places, plane
from emojudge.players import players
from emojudge.runs import JUDGED, RunFolder
from emojudge.settings import Config
from emojudge.storage import atomic, read_json, read_jsonl
from emojudge.tables import SHORT, headline_table, systems
from emojudge.types import Cues, Utterance

Results = Mapping[str, Sequence[PartResults]]
"""What every part holds, by task."""

EXAMPLES = 4
"""Clips whose attention is drawn."""


def write(run: RunFolder, embed_audio: int = 0) -> Path:
    """Write `report.html`, `model_card.md` and every table (`emojudge.typeset`) of an evaluated run; return the report's path.

    With `embed_audio`, at most so many of the clips shown can be heard in the page.

    Raises:
        DataError: the run has no `metrics.json` yet.
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    rows = read_json(run.file("metrics.json"))["rows"]
    results: Results = {task: read_results(run, task) for task in run.config.tasks}
    made = {"report.html": render(run, rows, results, embed_audio), "model_card.md": cards.render(run, rows, results)}
    typeset.write(run, rows)
    for name, text in made.items():
        with atomic(run.file(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return run.file("report.html")


def render(run: RunFolder, rows: Sequence[Row], results: Results | None = None, embed_audio: int = 0) -> str:
    """The report as HTML; `results` are those of each task, where they have been read already.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401 (asked for here, so that its absence is one sentence)
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra("The report", "report") from None
    environment = Environment(
        loader=PackageLoader("emojudge"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["svg"] = Markup  # only figures.py's own output passes through it
    environment.filters["duration"] = duration
    environment.filters["difference"] = lambda row: difference(row, run.config.evaluation.confidence)
    results = results or {task: read_results(run, task) for task in run.config.tasks}
    return environment.get_template("report.html.jinja").render(contents(run, rows, results, embed_audio))


def contents(run: RunFolder, rows: Sequence[Row], results: Results, embed_audio: int = 0) -> dict[str, Any]:
    """Everything the template shows."""
    about, cues, features = read_json(run.file("run.json")), read_cues(run), Features(run.config)
    tasks = [section for task in run.config.tasks if (section := _task(run, rows, results[task], cues, features))]
    judge = next((task["judge"] for task in tasks if task["judge"]), None)
    shown = [one["clip"] for task in tasks for one in task["examples"]]
    shown += [example["clip"].utterance for example in judge["examples"]] if judge else []
    people = list(read_jsonl(run.manifest_file(), Utterance))
    return {
        "name": run.config.name,
        "corpus": run.config.data.corpus,
        "verdict": verdict(run, rows),
        "notice": about.get("notice", ""),
        "confidence": f"{run.config.evaluation.confidence * 100:g} %",
        "cluster": resampled(run.config, people),
        "tasks": tasks,
        "judge": judge,
        "players": players(shown, embed_audio),
        "data": data_table(people, run.config),
        "folds": list(run.folds),
        "seeds": run.config.seeds,
        "classes": len(run.config.data.labels),
        "short": SHORT,
        **_made(run, about),
    }


def _made(run: RunFolder, about: Mapping[str, Any]) -> dict[str, Any]:
    """How the run came about."""
    return {
        "changed": changed_settings(run.config),
        "versions": about.get("versions", {}),
        "machine": about.get("machine", ""),
        "stages": stage_seconds(about.get("stages", {})),
        "toml": "" if provenance.ensemble(run) else provenance.experiment_toml(run.config),
        "commands": provenance.commands(run, about),
        "data_digest": provenance.data_digest(run),
        "encoders": provenance.encoders(run),
        "files": provenance.files(run),
    }


def _task(
    run: RunFolder, rows: Sequence[Row], results: Sequence[PartResults], cues: Mapping[str, Cues], features: Features
) -> dict[str, Any] | None:
    """One task's section; None where nothing of it was scored."""
    config, task = run.config, results[0].task
    split = main_split(config, rows, task)
    if split is None:
        return None
    present = systems(rows, task, split)
    joint = [system for system in present if system not in JUDGED][-1]
    score = find(rows, joint, *(("uar", (task, split)) if task == "emotions" else ("ccc", (task, split), "mean")))
    kind = _emotions if task == "emotions" else _attributes
    return {
        "name": task,
        "split": split,
        "joint": joint,
        "left_out": exhibits.left_out(rows, task, split),
        "ladder": exhibits.ladder(config, rows, task, split),
        "other": [
            (s, exhibits.ladder(config, rows, task, s)) for s in config.evaluation.splits if s != split and systems(rows, task, s)
        ],
        "paper": headline_table(config, rows, task),
        "forest": exhibits.forest(config, rows, task, split),
        "groups": exhibits.group_forest(group_scores(results, joint, split, cues), score),
        "curves": _curves(run, task),
        "judge": _judge(run, rows, results, split, cues) if task == "emotions" and "judge" in present else None,
        **kind(config, rows, results, split, present),
        **_listening(run, task, results, split, features),
    }


def _emotions(
    config: Config, rows: Sequence[Row], results: Sequence[PartResults], split: str, present: Sequence[str]
) -> dict[str, Any]:
    """What only emotions have."""
    shown = [system for system in present if system not in ("threshold", "calibrated")]
    return {
        "title": "Emotions",
        "classes": exhibits.class_bars(config, rows, split),
        "confusions": exhibits.confusions(results, split, present),
        "calibration": exhibits.calibration(config, rows, results, split, present),
        "explorer": {"systems": shown, "labels": config.data.labels, "patterns": patterns(results, shown, split)},
        "plane": "",
        "thirds": False,
        "scatter": "",
        "misses": [],
    }


def _attributes(
    config: Config, rows: Sequence[Row], results: Sequence[PartResults], split: str, present: Sequence[str]
) -> dict[str, Any]:
    """What only attributes have: figures of the most joint system."""
    pooled = pool(results, present[-1], split)
    people = {u.id: u for result in results for u in result.labelled(split)}
    found = places(pooled, [people[id].emotion for id in pooled.ids])
    values = pooled.values
    return {
        "title": "Emotional attributes",
        "classes": None,
        "confusions": [],
        "calibration": None,
        "explorer": None,
        "plane": plane(found, present[-1]) if found else "",
        "thirds": not all(people[id].emotion for id in pooled.ids),
        "scatter": scatter(values, pooled.scores, pooled.names, present[-1]) if values is not None and pooled.ids else "",
        "misses": furthest(results, present[-1], split),
    }


def _listening(run: RunFolder, task: str, results: Sequence[PartResults], split: str, features: Features) -> dict[str, Any]:
    """Layers and moments that the trained models attend to, and the clips they are shown on."""
    system = "early" if run.config.fusion_method == "early" else "audio"
    weights = {m: w for s in ("audio", "text", "early") for m, w in layer_weights(run.parts(), task, s).items()}
    clips = examples([u for u in results[0].labelled(split) if u.audio], EXAMPLES)
    heard = listen(results[0].part, task, system, clips, features) if system in results[0].predictions else []
    drawn = {} if isinstance(heard, str) else {h.utterance.id: attention_figure(h, f"{task}-{n}") for n, h in enumerate(heard)}
    return {
        "layers": layer_figure(weights, task) if weights else "",
        "unheard": heard if isinstance(heard, str) else "",
        "heard": bool(drawn),
        "examples": [_example(clip, drawn.get(clip.id, ""), results[0]) for clip in clips],
    }


def _example(clip: Utterance, figure: str, result: PartResults) -> dict[str, Any]:
    """One clip: what it is, what every system made of it, and where the audio model listens."""
    said = {system: rows[clip.id] for system, rows in result.predictions.items() if clip.id in rows}
    if result.task == "emotions":
        return {"clip": clip, "figure": figure, "true": clip.emotion, "said": {s: p.label for s, p in said.items()}}
    return {
        "clip": clip,
        "figure": figure,
        "true": values(clip.attributes),
        "said": {s: values(p.scores) for s, p in said.items()},
    }


def values(attributes: Mapping[str, float]) -> str:
    """Attributes as a person reads them.

    >>> values({"valence": 3.06, "arousal": 5.0})
    'valence 3.1, arousal 5.0'
    """
    return ", ".join(f"{name} {value:.1f}" for name, value in attributes.items())


def _judge(
    run: RunFolder, rows: Sequence[Row], results: Sequence[PartResults], split: str, cues: Mapping[str, Cues]
) -> dict[str, Any]:
    about = exhibits.judge_exhibit(run.config, rows, results, split, cues)
    settings = run.config.judge
    counts = about["counts"]
    cost = cost_sentence(spent(run), counts.get("helped", 0), counts.get("harmed", 0))
    return about | {"sentence": judge_sentence(run.config, rows), "settings": settings, "split": split, "cost": cost}


def _curves(run: RunFolder, task: str) -> str:
    """Loss and score of every model of the task, while it was trained; "" where there is no log."""
    logs: dict[str, list[list[Mapping[str, Any]]]] = {}
    for modality in ("audio", "text", "early"):
        files = [part.model(task, modality) / "log.jsonl" for part in run.parts()]
        found: list[list[Mapping[str, Any]]] = [[*read_jsonl(path, dict)] for path in files if path.exists()]
        if any(found):
            logs[modality] = [rows for rows in found if rows]
    return training_curves(logs, "macro-F1" if task == "emotions" else "mean CCC", task) if logs else ""


def changed_settings(config: Config) -> list[tuple[str, str, str]]:
    """Name, value here and the paper's default, of every setting that is not the paper's.

    >>> changed_settings(Config(seeds=(1, 2)))
    [('seeds', '1, 2', '0')]
    """
    return [(key, _plain(here), _plain(paper)) for key, (here, paper) in provenance.changed(config).items()]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_plain(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "–" if value is None else str(value)


def stage_seconds(stages: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Stages with their seconds, summed over folds and seeds, and their share of the longest."""
    known: dict[str, float] = {}
    for stage, about in stages.items():
        name = " ".join(word for word in stage.split() if not word.startswith(("fold-", "seed-")))
        value = about.get("seconds") if isinstance(about, Mapping) else about
        if isinstance(value, int | float):
            known[name] = known.get(name, 0.0) + float(value)
    longest = max(known.values(), default=0) or 1
    return [{"name": name, "seconds": value, "share": round(100 * value / longest, 1)} for name, value in known.items()]


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(4.25), duration(128), duration(7300)
    ('4.2 s', '2 min 8 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

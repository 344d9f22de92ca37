"""Stage 6: a run as one HTML file that a person enjoys reading, and as Markdown tables.

The file needs nothing else: styles and plots are inside, there is no script. Transcripts come from
anywhere, so everything is escaped, and a content security policy forbids what escaping might miss.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emojudge import typeset
from emojudge.aligned import PartResults, read_results
from emojudge.errors import MissingExtra
from emojudge.evaluation import Row
from emojudge.exhibits import class_bars, confusions, forest, judge_exhibit, ladder, left_out
from emojudge.figures import scatter, training_curves
from emojudge.judged import read_cues, spent
from emojudge.narrative import cost_sentence, difference, judge_sentence, main_split, verdict
from emojudge.runs import RunFolder
from emojudge.settings import Config
from emojudge.storage import atomic, read_json, read_jsonl
from emojudge.tables import data_table, systems
from emojudge.types import Utterance


def write(run: RunFolder) -> Path:
    """Write `report.html` and every table (`emojudge.typeset`) of an evaluated run; return the report's path.

    Raises:
        DataError: the run has no `metrics.json` yet.
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    rows = read_json(run.file("metrics.json"))["rows"]
    typeset.write(run, rows)
    with atomic(run.file("report.html")) as temporary:
        temporary.write_text(render(run, rows), encoding="utf-8")
    return run.file("report.html")


def render(run: RunFolder, rows: Sequence[Row]) -> str:
    """The report as HTML.

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
    return environment.get_template("report.html.jinja").render(contents(run, rows))


def contents(run: RunFolder, rows: Sequence[Row]) -> dict[str, Any]:
    """Everything the template shows."""
    about = read_json(run.file("run.json"))
    tasks = [section for task in run.config.tasks if (section := _task(run, rows, task))]
    return {
        "name": run.config.name,
        "corpus": run.config.data.corpus,
        "verdict": verdict(run, rows),
        "notice": about.get("notice", ""),
        "confidence": f"{run.config.evaluation.confidence * 100:g} %",
        "cluster": "speakers" if run.config.evaluation.cluster == "speaker" else "clips",
        "tasks": tasks,
        "judge": next((task["judge"] for task in tasks if task["judge"]), None),
        "data": data_table(list(read_jsonl(run.manifest_file(), Utterance)), run.config),
        "folds": list(run.folds),
        "seeds": run.config.seeds,
        "classes": len(run.config.data.labels),
        "changed": changed_settings(run.config),
        "versions": about.get("versions", {}),
        "stages": stage_seconds(about.get("stages", {})),
    }


def _task(run: RunFolder, rows: Sequence[Row], task: str) -> dict[str, Any] | None:
    """One task's section; None where nothing of it was scored."""
    config, split = run.config, main_split(run.config, rows, task)
    if split is None:
        return None
    results = read_results(run, task)
    present = systems(rows, task, split)
    emotions = task == "emotions"
    return {
        "name": task,
        "split": split,
        "title": "Emotions" if emotions else "Emotional attributes",
        "left_out": left_out(rows, task, split),
        "ladder": ladder(config, rows, task, split),
        "other": [(s, ladder(config, rows, task, s)) for s in config.evaluation.splits if s != split and systems(rows, task, s)],
        "forest": forest(config, rows, task, split),
        "classes": class_bars(config, rows, split) if emotions else None,
        "confusions": confusions(results, split, present) if emotions else [],
        "scatter": "" if emotions else _scatter(results, split, present),
        "judge": _judge(run, rows, results, split) if emotions and "judge" in present else None,
        "curves": _curves(run, task),
    }


def _scatter(results: Sequence[PartResults], split: str, present: Sequence[str]) -> str:
    """True and predicted values of the most joint system, of the first part."""
    aligned = results[0].align(present[-1], split)
    return (
        scatter(aligned.values, aligned.scores, aligned.names, present[-1]) if aligned.values is not None and aligned.ids else ""
    )


def _judge(run: RunFolder, rows: Sequence[Row], results: Sequence[PartResults], split: str) -> dict[str, Any]:
    about = judge_exhibit(run.config, rows, results, split, read_cues(run))
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
    ours, papers = _flat(config.model_dump()), _flat(Config().model_dump())
    keys = [key for key in {**papers, **ours} if ours.get(key) != papers.get(key) and key != "name"]
    return [(key, _plain(ours.get(key)), _plain(papers.get(key))) for key in keys]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {prefix + key: value}
    return flat


def _plain(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return "–" if value in (None, {}) else str(value)


def stage_seconds(stages: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Stages with their seconds and their share of the longest."""
    seconds = {name: about.get("seconds") if isinstance(about, Mapping) else about for name, about in stages.items()}
    known = {name: float(value) for name, value in seconds.items() if isinstance(value, int | float)}
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

"""`emojudge battery`: every battery over a finished run, written as battery.json, battery.md and battery.html beside it."""

from collections.abc import Sequence
from pathlib import Path

from emojudge.batteries import BATTERIES, correctness, fairness, page, robustness
from emojudge.batteries.subjects import Row, Subject, subjects
from emojudge.errors import ConfigError
from emojudge.progress import say
from emojudge.runs import RunFolder
from emojudge.storage import atomic, read_json, write_json


def run_batteries(folder: str | Path, only: Sequence[str] = (), clips: int = 200) -> tuple[RunFolder, list[Row]]:
    """Test a run, write what came of it, and return the rows; a battery that is not in `only` keeps its earlier rows.

    Args:
        folder: a finished run.
        only: some of `BATTERIES`; all where empty.
        clips: of the test split, for robustness; 0 takes all.

    Raises:
        ConfigError: there is no such battery.
        DataError: no run, or one without predictions.
        LeakageError: a system was fitted on the clips it would be tested on.
        MissingExtra: jinja2 is not installed.
    """
    if unknown := sorted(set(only) - set(BATTERIES)):
        raise ConfigError(f"There is no battery {unknown[0]!r}; take one of {', '.join(BATTERIES)}.")
    run = RunFolder.open(folder)
    path, wanted = run.file("battery.json"), [name for name in BATTERIES if not only or name in only]
    known = read_json(path)["rows"] if path.exists() else []
    fresh = {name: _one(name, run, clips) for name in wanted}
    kept = {name: [row for row in known if row["battery"] == name] for name in BATTERIES}
    rows = [row for name in BATTERIES for row in fresh.get(name, kept[name])]
    write_json(path, {"rows": rows, "notice": read_json(run.file("run.json")).get("notice", "")})
    for file, render in (("battery.md", page.markdown), ("battery.html", page.html)):
        with atomic(run.file(file)) as temporary:
            temporary.write_text(render(run, rows), encoding="utf-8")
    return run, rows


def _one(name: str, run: RunFolder, clips: int) -> list[Row]:
    say(f"{name} …")
    if name == "robustness":
        return robustness.test(run, clips)
    found = subjects(run)
    if name == "fairness":
        return [row for subject in found for row in fairness.test(run, subject)]
    return [row for subject in found for row in correctness.test(subject, _beside(subject, found))]


def _beside(subject: Subject, found: Sequence[Subject]) -> Subject | None:
    """The last system that says the emotions, where `subject` says attributes."""
    said = [other for other in found if other.task == "emotions"]
    return said[-1] if said and subject.task == "attributes" else None

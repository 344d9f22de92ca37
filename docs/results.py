"""Write docs/results.md and the README's table from finished runs: python docs/results.py runs/demo runs/ravdess_emobox."""

import os
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

from emojudge import __version__
from emojudge.evaluation import find
from emojudge.runs import RunFolder
from emojudge.storage import read_json
from emojudge.tables import SHORT, number, published, systems, tables, to_markdown

ROOT = Path(__file__).resolve().parents[1]
HEADLINE = {"emotions": [("uar", ""), ("macro_f1", "")], "attributes": [("ccc", "mean")]}
NAMES = {"uar": "UAR", "macro_f1": "macro-F1", "ccc": "mean CCC"}


def section(run: RunFolder, about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """A run's tables, and how they came about."""
    seconds = sum(stage["seconds"] for stage in about["stages"].values())
    made = date.fromtimestamp(run.file("run.json").stat().st_mtime)
    how = [
        f"## {run.config.name}\n",
        f"`{about['command']}`\n",
        f"{made:%Y-%m-%d}, {about['machine']}, {os.cpu_count()} cores, seeds {list(run.config.seeds)}, "
        f"{seconds:.0f} s over all stages; "
        f"torch {about['versions'].get('torch', '?')}, EmoJudge {about['versions'].get('emojudge', __version__)}.\n",
    ]
    notice = [f"**{about['notice']}**\n"] if about.get("notice") else []
    beside = [run.file(name).read_text(encoding="utf-8") for name in ("ablation.md", "ensemble.md") if run.file(name).exists()]
    return "\n".join([*how, *notice, *(to_markdown(table) for table in tables(run, rows)), *beside])


def headlines(run: RunFolder, rows: list[dict[str, Any]]) -> list[str]:
    """One README row for every system and task of a run, on the test split."""
    lines = []
    for task in run.config.tasks:
        for system in systems(rows, task, "test"):
            scores = [(NAMES[m], number(find(rows, system, m, (task, "test"), c), interval=True)) for m, c in HEADLINE[task]]
            best = _best_published(run, task)
            cells = "; ".join(f"{name} {value}" for name, value in scores)
            lines.append(f"| {run.config.name} | {task} | {SHORT[system]} | {cells} | {best} |")
    return lines


def _best_published(run: RunFolder, task: str) -> str:
    """The highest published figure for the same protocol."""
    metric = "uar" if task == "emotions" else "ccc.mean"
    known = [row for row in published(run.config, task, "test") if metric in row["scores"]]
    best = max(known, key=lambda row: row["scores"][metric], default=None)
    return f"UAR {best['scores'][metric]:.3f} ({best['system']})" if best else "–"


def main(folders: list[str]) -> None:
    """Read each run and write both pages."""
    parts, lines = [], []
    for folder in folders:
        run = RunFolder.open(folder)
        rows = read_json(run.file("metrics.json"))["rows"]
        parts.append(section(run, read_json(run.file("run.json")), rows))
        lines += headlines(run, rows)
    made = "<!-- Made by docs/results.py from run folders. -->\n\n# Results\n\n"
    intro = "Intervals are 95 %, from resampling speakers ([evaluation](evaluation.md)).\n\n"
    (ROOT / "docs" / "results.md").write_text(made + intro + "\n".join(parts), encoding="utf-8")
    table = ["| experiment | task | system | test, 95 % interval | best published |", "|---|---|---|---|---|", *lines]
    readme = ROOT / "README.md"
    block = "<!-- results -->\n" + "\n".join(table) + "\n<!-- /results -->"
    text = re.sub(r"<!-- results -->.*?<!-- /results -->", lambda _: block, readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

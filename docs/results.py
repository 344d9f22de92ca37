"""Write docs/results.md and the README's table from the records in docs/runs, or check them: python docs/results.py [--check].

With run folders it records these first: python docs/results.py runs/demo runs/ravdess_emobox. A record, docs/runs/NAME.json,
holds the numbers of a run and how it was made, no clips. A run that was not made again is kept as printed, in docs/runs/NAME.md.
"""

import json
import os
import re
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from emojudge.corpus_tables import data_table
from emojudge.details import decision_table, probability_table, risk_table
from emojudge.evaluation import find
from emojudge.runs import RunFolder
from emojudge.settings import Config
from emojudge.storage import read_json, read_jsonl
from emojudge.tables import SHORT, Table, number, published, result_tables, systems, to_markdown
from emojudge.types import Utterance

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "docs" / "runs"
HEADLINE = {"emotions": [("uar", ""), ("macro_f1", "")], "attributes": [("ccc", "mean")]}
NAMES = {"uar": "UAR", "macro_f1": "macro-F1", "ccc": "mean CCC"}
LEFT_OUT = {"confusion"}
"""Metrics that no page shows."""
README_ROW = re.compile(r"^<!-- (\|.*\|) -->\n", flags=re.MULTILINE)
"""How a section that is kept as it was carries its rows of the README's table."""


def record(run: RunFolder) -> dict[str, Any]:
    """What docs/results.md needs to know of a finished run."""
    about, metrics = read_json(run.file("run.json")), read_json(run.file("metrics.json"))
    data = data_table(list(read_jsonl(run.manifest_file(), Utterance)), run.config)
    return {
        "name": run.config.name,
        "commands": about.get("commands", [about["command"]]),
        "made": f"{date.fromtimestamp(run.file('run.json').stat().st_mtime):%Y-%m-%d}",
        "machine": f"{about['machine']}, {os.cpu_count()} cores",
        "seconds": round(sum(stage["seconds"] for stage in about["stages"].values())),
        "versions": about["versions"],
        "notice": about.get("notice", ""),
        "config": run.config.model_dump(mode="json", exclude_defaults=True, exclude={"ablations"}),
        "data": asdict(data),
        "beside": [
            run.file(name).read_text(encoding="utf-8") for name in ("ablation.md", "ensemble.md") if run.file(name).exists()
        ],
        "rows": [row for row in metrics["rows"] if not row["part"] and row["metric"] not in LEFT_OUT],
    }


def keep(found: dict[str, Any]) -> None:
    """Write a record, a row a line so that a change can be read; what was kept of an earlier run goes."""
    RUNS.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in found["rows"])
    head = json.dumps({name: value for name, value in found.items() if name != "rows"}, ensure_ascii=False, indent=1)
    (RUNS / f"{found['name']}.json").write_text(f'{head[:-2]},\n "rows": [\n{rows}\n]}}\n', encoding="utf-8")
    (RUNS / f"{found['name']}.md").unlink(missing_ok=True)


def section(found: dict[str, Any]) -> str:
    """A run's tables, and how they came about."""
    config, rows = Config.model_validate(found["config"]), found["rows"]
    how = [
        f"## {found['name']}\n",
        *(f"`{command}`\n" for command in found["commands"]),
        f"{found['made']}, {found['machine']}, seeds {list(config.seeds)}, {found['seconds']} s over all stages; "
        f"torch {found['versions'].get('torch', '?')}, EmoJudge {found['versions']['emojudge']}.\n",
    ]
    notice = [f"**{found['notice']}**\n"] if found["notice"] else []
    shown = result_tables(config, rows)
    if systems(rows, "emotions", "test"):
        appendix = (probability_table(rows, "test"), decision_table(rows, "test"), risk_table(config, rows, "test"))
        shown += [table for table in appendix if table.rows]
    shown.append(Table(**found["data"]))
    return "\n".join([*how, *notice, *map(to_markdown, shown), *found["beside"]])


def headlines(found: dict[str, Any]) -> list[str]:
    """One README row for every system and task of a run, on the test split."""
    config, rows = Config.model_validate(found["config"]), found["rows"]
    lines = []
    for task in config.tasks:
        for system in systems(rows, task, "test"):
            scores = [(NAMES[m], number(find(rows, system, m, (task, "test"), c), interval=True)) for m, c in HEADLINE[task]]
            cells = "; ".join(f"{name} {value}" for name, value in scores)
            lines.append(f"| {found['name']} | {task} | {SHORT[system]} | {cells} | {_best_published(config, task)} |")
    return lines


def _best_published(config: Config, task: str) -> str:
    """The highest published figure for the same protocol."""
    metric = "uar" if task == "emotions" else "ccc.mean"
    known = [row for row in published(config, task, "test") if metric in row["scores"]]
    best = max(known, key=lambda row: row["scores"][metric], default=None)
    return f"UAR {best['scores'][metric]:.3f} ({best['system']})" if best else "–"


def parts() -> dict[str, tuple[str, list[str]]]:
    """Section and README rows of every run in docs/runs, by name."""
    found = {}
    for path in sorted(RUNS.glob("*.json")):
        known = json.loads(path.read_text(encoding="utf-8"))
        found[path.stem] = (section(known), headlines(known))
    for path in sorted(RUNS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        title, rest = README_ROW.sub("", text).split("\n", 1)
        told = f"{title}\n\n*Printed by an earlier version from a run that was not made again.*\n{rest}"
        found[path.stem] = (told, README_ROW.findall(text))
    return dict(sorted(found.items()))


def pages() -> dict[Path, str]:
    """docs/results.md and README.md as they should be."""
    known = parts()
    intro = (
        "<!-- Made by docs/results.py from docs/runs. -->\n\n# Results\n\nIntervals are 95 %, from resampling speakers; what the "
        "columns mean is in [evaluation](evaluation.md). Each section begins with the commands that made it.\n\n"
    )
    readme = ROOT / "README.md"
    head = ["| experiment | task | system | test, 95 % interval | best published |", "|---|---|---|---|---|"]
    block = "\n".join(["<!-- results -->", *head, *(row for _, rows in known.values() for row in rows), "<!-- /results -->"])
    table = re.compile(r"<!-- results -->.*?<!-- /results -->", flags=re.DOTALL)
    return {
        ROOT / "docs" / "results.md": intro + "\n".join(told for told, _ in known.values()),
        readme: table.sub(lambda _: block, readme.read_text(encoding="utf-8")),
    }


def main(arguments: list[str]) -> int:
    """Record the run folders given, then write both pages, or say which is out of date."""
    for folder in (argument for argument in arguments if argument != "--check"):
        keep(record(RunFolder.open(folder)))
    stale = {path: text for path, text in pages().items() if path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} is out of date; run: python docs/results.py", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

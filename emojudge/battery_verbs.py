"""The verb that tests a finished run beyond its score."""

from pathlib import Path
from typing import Annotated, Any

import typer

from emojudge.output import print_json
from emojudge.verbs import Json, Run, verb

Only = Annotated[
    list[str] | None, typer.Option("--only", help="correctness, fairness or robustness; may be repeated.", metavar="BATTERY")
]


@verb
def battery(
    run: Run,
    only: Only = None,
    clips: Annotated[int, typer.Option("--clips", min=0, help="Clips to disturb, at random; 0 takes all.")] = 200,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where a test fails.")] = False,
    json: Json = False,
) -> int:
    """Test correctness, fairness and robustness, and write battery.json, battery.md and battery.html.

    A test that fails is a finding. Interrupted, it goes on with the next disturbance.
    """
    from emojudge.battery import run_batteries

    folder, rows = run_batteries(run, only or (), clips)
    page = folder.file("battery.html")
    print_json({"rows": rows, "page": str(page)}) if json else _show(rows, page)
    return int(strict and any(row["passed"] is False for row in rows))


def _show(rows: list[dict[str, Any]], page: Path) -> None:
    from emojudge.batteries.page import summary
    from emojudge.display import show_tables

    show_tables([summary(rows)])
    print(f"Page: {page}")

"""Verbs over several finished runs."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from emojudge.output import print_json
from emojudge.verbs import Json, verb


@verb
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders.", show_default=False)],
    baseline: Annotated[Path | None, typer.Option("--baseline", help="Compare with this run (default: the first).")] = None,
    published: Annotated[str | None, typer.Option("--published", help="Print published figures of this corpus below.")] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="Only this split; may be repeated.")] = None,
    json: Json = False,
) -> None:
    """Compare runs on the same clips: intervals, p values adjusted for their number, and what such a set could show."""
    from emojudge.comparison import compare
    from emojudge.display import show_tables

    tables, lines, known = compare(runs, baseline, published, split or ())
    print_json({"lines": [asdict(line) for line in lines], "published": known}) if json else show_tables(tables)

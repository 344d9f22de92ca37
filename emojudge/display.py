"""Results on the terminal: the same tables as in the report, drawn by rich."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table as Drawn
from rich.text import Text

from emojudge.tables import Table

console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
"""Eighty columns, rich's guess for a file or pipe, would fold the result table."""


def show_tables(tables: Iterable[Table]) -> None:
    """Draw tables, each with its note."""
    for table in tables:
        drawn = Drawn(title=table.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, caption=table.note or None)
        drawn.caption_justify = "left"
        for number, header in enumerate(table.headers):
            if number:
                drawn.add_column(header, justify="right", no_wrap=True)
            else:  # names may fold, but not to nothing
                drawn.add_column(header, overflow="fold", min_width=min(20, max((len(row[0]) for row in table.rows), default=0)))
        for row in table.rows:
            drawn.add_row(*(Text(cell) for cell in row))
        console.print(drawn)


def show_mapping(title: str, content: Mapping[str, Any]) -> None:
    """Draw names and what belongs to them."""
    drawn = Drawn(title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True)
    for name, value in content.items():
        drawn.add_row(Text(name), Text(", ".join(value) if isinstance(value, list) else str(value)))
    console.print(drawn)


def show_explanation(told: Any) -> None:
    """Draw one clip's explanation, stage by stage (see `emojudge.explanation.Explanation`)."""
    parts: list[Any] = [Text(f"“{told.text}”" if told.text else "(no transcript)", style="italic")]
    if told.cues:
        parts.append(_panel("Voice", [Text(told.voice)]))
    for task, found in told.predictions.items():
        names = list(next(iter(found.values())).scores)
        drawn = Drawn(box=SIMPLE_HEAD, pad_edge=False)
        drawn.add_column("")
        for system in found:
            drawn.add_column(system, justify="right")
        for name in names:
            drawn.add_row(name, *(_score(task, prediction, name) for prediction in found.values()))
        parts.append(_panel(task.capitalize(), [drawn]))
    if told.verdict:
        parts.append(_panel("Judge", [Text(told.judgement)]))
    parts.append(Text("  ".join(f"{stage} {seconds:.2f} s" for stage, seconds in told.seconds.items()), style="dim"))
    if told.notice:
        parts.append(Text(told.notice, style="yellow"))
    console.print(Panel(Group(*parts), title=Text(told.id), title_align="left"))


def _panel(title: str, content: Sequence[Any]) -> Group:
    return Group(Text(f"\n{title}", style="bold"), *content)


def _score(task: str, prediction: Any, name: str) -> Text:
    """A probability or value; the chosen label stands out."""
    chosen = task == "emotions" and prediction.label == name
    return Text(
        f"{prediction.scores[name]:.3f}" if task == "emotions" else f"{prediction.scores[name]:.2f}",
        style="bold" if chosen else "",
    )

"""What verbs print on standard output: tables for people, or JSON for programs."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any


def print_json(content: Any) -> None:
    """Results for programs."""
    print(json.dumps(content, ensure_ascii=False, indent=1, default=str))


def show_run(work: Any, as_json: bool) -> None:
    """The tables of an evaluated run, and where its report is."""
    if as_json:
        print_json({"rows": work.results(), "report": str(work.run.file("report.html")), "skipped": work.skipped()})
        return
    from emojudge.display import show_tables
    from emojudge.typeset import tables

    show_tables(tables(work.run, work.results()))
    if notice := work.stages.about.get("notice"):
        print(f"{notice}\n")
    if work.run.file("report.html").exists():
        print(f"Report: {work.run.file('report.html')}")


def show_comparison(tables: Iterable[Any], lines: Iterable[Any], as_json: bool) -> None:
    """Several runs side by side."""
    from emojudge.display import show_tables

    print_json([asdict(line) for line in lines]) if as_json else show_tables(tables)


def show_mappings(content: dict[str, dict[str, Any]], as_json: bool) -> None:
    """Names and what they are, under titles."""
    from emojudge.display import show_mapping

    if as_json:
        print_json(content)
    else:
        for title, mapping in content.items():
            show_mapping(title, mapping)


def show_data(work: Any, utterances: Iterable[Any], as_json: bool) -> None:
    """Table 1 of a corpus, and how far its raters agree."""
    from emojudge.agreement import rows
    from emojudge.corpus_tables import agreement_table, data_table
    from emojudge.display import show_tables

    people, config = list(utterances), work.config
    table, agreed = data_table(people, config, work.files), rows(people, config.data.labels)
    if as_json:
        print_json({"rows": [dict(zip(table.headers, row, strict=True)) for row in table.rows], "agreement": agreed})
    else:
        show_tables([table, *([agreement_table(agreed)] if agreed else [])])


def show_plan(source: Path, changes: list[str] | None, as_json: bool) -> None:
    """Parameters and memory of every model of an experiment, in GiB."""
    from emojudge.config import load_config
    from emojudge.display import show_tables
    from emojudge.planning import table

    found = table(load_config(source, changes or []))
    print_json([dict(zip(found.headers, row, strict=True)) for row in found.rows]) if as_json else show_tables([found])


def show_recording(told: Any, as_json: bool) -> None:
    """A recording's segments: a table, or one JSON line each."""
    from emojudge.display import show_tables
    from emojudge.tables import Table

    if as_json:
        print(*(json.dumps(row, ensure_ascii=False) for row in told.rows()), sep="\n", end="\n" if told.segments else "")
        return
    names = [
        name for name in ("speaker", "emotion", "confidence", *told.errors, "text") if any(row.get(name) for row in told.flat())
    ]
    rows = [[f"{row['start']:.1f}–{row['end']:.1f}", *(_cell(row[name]) for name in names)] for row in told.flat()]
    show_tables([Table(f"{told.name}, {told.seconds:.0f} s", ["seconds", *names], rows, told.notice)])


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else value or ""


def show_event(event: Any, as_json: bool) -> None:
    """Something heard live, at once: a line, or JSON."""
    row = {"kind": event.kind, "latency": round(event.latency, 2), **asdict(event.segment)}
    caption = f"{event.segment.start:7.1f} s {event.segment.caption}"
    print(json.dumps(row, ensure_ascii=False) if as_json else caption if event.kind == "segment" else f"{caption} …", flush=True)

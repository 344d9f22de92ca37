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
    from emojudge.tables import tables

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
    from emojudge.display import show_tables
    from emojudge.tables import agreement_table, data_table

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

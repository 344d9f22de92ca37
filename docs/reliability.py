"""Write docs/reliability.md, the table of faults, from docs/faults.toml, docs/fuzz.json and docs/soak.json.

`python docs/reliability.py` also counts the inputs that each test tries, by asking pytest, into docs/faults.json.
"""

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PAGE, COUNTS = DOCS / "reliability.md", DOCS / "faults.json"

INTRO = """<!-- Made by docs/reliability.py from docs/faults.toml; change it there. -->

# What goes wrong, and what happens

The answer to a bad input is one sentence (what, which file or row, what to do), a [documented exit code](formats.md#exit-codes),
and nothing else lost: in a corpus the bad item is listed in `skipped.jsonl` with its reason, and the rest goes on. Each line is
held by the tests it names. "Inputs" are the cases that pytest makes of them (of a property, its examples); a test that tries many
things in one case counts once, so there are at least as many.
"""


def entries() -> list[dict[str, Any]]:
    """The faults."""
    return tomllib.loads((DOCS / "faults.toml").read_text(encoding="utf-8"))["fault"]


def page(counts: Mapping[str, int]) -> str:
    """The whole page; `counts` are inputs by "file::test"."""
    faults = entries()
    tests = {test for fault in faults for test in fault["tests"]}
    total = sum(counts.get(test, 0) for test in tests)
    parts = [INTRO, f"{len(faults)} lines, {len(tests)} tests, {total:,} inputs.\n"]
    for section in dict.fromkeys(fault["section"] for fault in faults):
        rows = [_row(fault, counts) for fault in faults if fault["section"] == section]
        parts.append(
            "\n".join([f"## {section}\n", "| fault | what happens | held by | inputs |", "|---|---|---|--:|", *rows]) + "\n"
        )
    return "\n".join([*parts, *_fuzzed(), *_soaked()])


def _row(fault: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    names: dict[str, list[str]] = {}
    for test in fault["tests"]:
        file, _, name = test.partition("::")
        names.setdefault(file, []).append(name.removeprefix("test_"))
    held = "; ".join(f"[`{file}`](../tests/{file}): {', '.join(found)}" for file, found in names.items())
    known = sum(counts.get(test, 0) for test in fault["tests"])
    return f"| {fault.get('title') or ' · '.join(fault['words'])} | {fault['answer']} | {held} | {known or ''} |"


def _fuzzed() -> Iterable[str]:
    if (DOCS / "fuzz.json").exists():
        told = json.loads((DOCS / "fuzz.json").read_text(encoding="utf-8"))
        rows = [f"| {name} | {count:,} |" for name, count in told["inputs"].items()]
        yield "## Fuzzing\n"
        yield f"`make fuzz`, last on {told['date']}, {told['seconds']:.0f} s each by {told['engine']}; all ended well, or with a"
        yield "sentence of ours.\n"
        yield "\n".join(["| reader | inputs |", "|---|--:|", *rows, f"| all | {sum(told['inputs'].values()):,} |"]) + "\n"


def _soaked() -> Iterable[str]:
    if (DOCS / "soak.json").exists():
        told = json.loads((DOCS / "soak.json").read_text(encoding="utf-8"))
        rows = [
            f"| {row['what']} | {row['done']:,} | {row['seconds']:.0f} s | {row['mb_early']:.0f} | {row['mb_late']:.0f} |"
            f" {row['files_early']} → {row['files_late']} | {row['children']} |"
            for row in told["rows"]
        ]
        yield f"## Soak\n\n`make soak`, last on {told['date']}: memory after a tenth of the work, and at its end.\n"
        head = "| work | done | took | MB early | MB late | open files | children left |"
        yield "\n".join([head, "|---|--:|--:|--:|--:|--:|--:|", *rows]) + "\n"


class Counting:
    """A plugin of pytest: how many inputs each test has."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def pytest_collection_finish(self, session: Any) -> None:
        """When all are known."""
        self.found = count(session.items)


def count(items: Iterable[Any]) -> Counter[str]:
    """Inputs by "file::test"; examples count for a test of a property."""
    found: Counter[str] = Counter()
    for item in items:
        if hasattr(item, "function"):
            property_ = getattr(item.function, "_hypothesis_internal_use_settings", None)
            name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
            found[name] += property_.max_examples if property_ else 1
    return found


def main() -> None:
    """Count, and write."""
    import pytest

    tests = {test for fault in entries() for test in fault["tests"]}
    files = sorted({DOCS.parent / "tests" / test.partition("::")[0] for test in tests})
    plugin = Counting()
    pytest.main(["--collect-only", "-qq", *(str(file) for file in files if file.exists())], plugins=[plugin])
    counts = {name: plugin.found[name] for name in sorted(tests) if name in plugin.found}
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(counts), encoding="utf-8")
    print(f"{PAGE}: {sum(counts.values()):,} inputs", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Write docs/licences.md: the licence of each pinned package, as its installed metadata says it."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"

INTRO = """<!-- Made by docs/licences.py from what is installed. -->

# Licences of what is installed

What `make setup` pins, with the licence that each package states of itself; of weights that come as packages, and of what states
none, see [NOTICE](../NOTICE). `espeakng-loader` and `krippendorff` are under the GPL and imported only where the demo corpus is
spoken or agreement is asked for; PyAV brings GPL encoders that are not called.

| package | version | licence |
|---|---|---|
"""


def licence(name: str) -> str:
    """A package's own words, in a line."""
    about = metadata(name)
    said = about.get("License-Expression") or ""
    if not said:
        kinds = [line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
        said = ", ".join(kind for kind in kinds if kind != "OSI Approved")
    if not said:
        said = next(iter((about.get("License") or "").strip().splitlines()), "")
    return said[:80].replace("|", "/") or "not stated"


def rows() -> list[str]:
    """A line for every pinned package."""
    pinned = re.findall(
        r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8"), re.M
    )
    found = []
    for name, version in pinned:
        try:
            found.append(f"| {name} | {version} | {licence(name)} |")
        except PackageNotFoundError:
            found.append(f"| {name} | {version} | not installed here |")
    return found


if __name__ == "__main__":
    PAGE.write_text(INTRO + "\n".join(rows()) + "\n", encoding="utf-8")

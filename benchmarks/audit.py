"""Say which known holes are in what requirements/lock.txt pins: `make audit`.

    python benchmarks/audit.py PIP-AUDIT

pip-audit calls a package it could not ask about "skipped", and then finds no holes: where it could ask about none, it passes.
Here that is a warning. The exit code is 1 where holes are known, and 0 where nothing could be learnt.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements" / "lock.txt"
HOW = ("--requirement", str(LOCK), "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
MISSING = "warning: nothing is known of holes in what requirements/lock.txt pins: {}; run `make audit` where there is a network."


def told(report):
    """(sentences, exit code) for what pip-audit reports."""
    packages = report["dependencies"]
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return [MISSING.format(f"no advisories could be asked about any of {len(packages)} packages")], 0
    holes = [(package, hole) for package in asked for hole in package["vulns"]]
    lines = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no release'}"
        for package, hole in holes
    ]
    unknown = f"; {len(packages) - len(asked)} could not be asked about" if len(asked) < len(packages) else ""
    return [*lines, f"{len(holes)} known holes in {len(asked)} packages{unknown}"], int(bool(holes))


def main(program):
    """Ask, and say it."""
    try:
        done = subprocess.run([program, *HOW], check=False, capture_output=True, text=True, timeout=300)
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        why = "pip-audit is not installed" if isinstance(error, OSError) else "pip-audit got no answer"
        lines, code = [MISSING.format(why)], 0
    else:
        lines, code = told(report)
    print(*lines, sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

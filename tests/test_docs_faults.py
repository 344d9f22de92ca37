"""docs/reliability.md says what is true: each test exists, each fault of the specification has a line, the counts are today's."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from tests.conftest import SHARED

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("reliability_page", ROOT / "docs" / "reliability.py")
reliability = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reliability)

FAULTS = reliability.entries()
TESTS = sorted({test for fault in FAULTS for test in fault["tests"]})
ELSEWHERE = {"test_service.py", "test_page.py"}
"""Written beside this; where a checkout lacks one, its tests are not looked for."""


@pytest.mark.parametrize("test", TESTS)
def test_each_named_test_exists(test):
    file, _, name = test.partition("::")
    path = ROOT / "tests" / file
    if file in ELSEWHERE and not path.exists():
        pytest.skip(f"{file} is not here")
    assert re.search(rf"^(async )?def {name}\(|^{name} = ", path.read_text(encoding="utf-8"), re.MULTILINE), f"there is no {test}"


def test_each_fault_of_the_specification_has_its_line():
    path = SHARED.parent / "design" / "FAULTS.md"
    if not path.exists():
        pytest.skip(f"the specification is absent: {path}")
    said = re.sub(r"\s+", " ", "**" + path.read_text(encoding="utf-8").partition("\n**")[2])
    items = [item.strip(" .") for section in re.split(r"\*\*[^*]+\*\*", said)[1:] for item in section.split(" · ")]
    words = [word for fault in FAULTS for word in fault["words"]]
    assert len(items) > 70
    assert [item for item in items if not item.startswith(tuple(words))] == []
    assert [word for word in words if not any(item.startswith(word) for item in items)] == []


def test_the_page_is_current(request):
    counts = json.loads(reliability.COUNTS.read_text(encoding="utf-8"))
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page(counts), "run: python docs/reliability.py"
    collected = reliability.count(request.session.items)
    for name in TESTS:  # all of them are there when the whole suite runs
        if name in collected and "::" not in " ".join(request.config.args) and not request.config.option.keyword:
            assert counts.get(name) == collected[name], f"{name}: run python docs/reliability.py"

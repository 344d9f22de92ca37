"""docs/results.md and the README's table are what docs/results.py makes of the records in docs/runs."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from emojudge.evaluation import evaluate, find
from emojudge.settings import Config
from emojudge.stages import Stages
from emojudge.storage import read_json, write_json
from tests.made_up_run import made_up_run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def results():
    spec = importlib.util.spec_from_file_location("results", ROOT / "docs" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_current(results):
    for path, text in results.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date; run: python docs/results.py"


def test_every_section_names_the_command_that_made_it():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(sections) >= 10
    for section in sections:
        assert re.search(r"^`emojudge (run|ablate|ensemble) ", section, flags=re.MULTILINE), section.split("\n")[0]


def test_records_hold_numbers_and_no_clips(results):
    for path in results.RUNS.glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        fields = {"system", "task", "split", "metric", "class", "value", "low", "high", "n", "part", "sd"}
        assert all(row.keys() <= fields and not row["part"] for row in found["rows"])
        assert "utterances" not in found and "manifest" not in found and len(path.read_bytes()) < 400_000
        Config.model_validate(found["config"])


def test_a_run_becomes_a_section_and_replaces_what_was_kept(results, tmp_path, monkeypatch):
    run = made_up_run(tmp_path / "run", clips=300, evaluation={"resamples": 50})
    rows = evaluate(run)
    stages = {name: {"seconds": seconds} for name, seconds in (("predict", 2.0), ("fuse", 1.4))}
    about = read_json(run.file("run.json")) | {"command": "emojudge run made-up.toml", "stages": stages, "machine": "Linux"}
    write_json(run.file("run.json"), about)
    monkeypatch.setattr(results, "RUNS", tmp_path / "records")
    (tmp_path / "records").mkdir()
    kept = "## made-up\n<!-- | made-up | emotions | Audio | old | – |\x20-->\n\n`emojudge run made-up.toml`\n"
    (tmp_path / "records" / "made-up.md").write_text(kept, encoding="utf-8")
    told, lines = results.parts()["made-up"]
    assert "not made again" in told and "<!--" not in told and lines == ["| made-up | emotions | Audio | old | – |"]
    results.keep(results.record(run))
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["made-up.json"]
    told, lines = results.parts()["made-up"]
    fusion = find(rows, "fusion", "macro_f1", ("emotions", "test"))
    shown = f"{fusion['value']:.3f} [{fusion['low']:.3f}, {fusion['high']:.3f}]"
    assert told.startswith("## made-up\n\n`emojudge run made-up.toml`\n") and "3 s over all stages" in told
    assert f"| Fusion | {shown} |" in told and "### The data (synthetic)" in told and "decisions fitted on dev" in told
    assert any(shown in line and line.startswith("| made-up | emotions | Fusion |") for line in lines)
    assert not any(f"clip-{n:04d}" in (tmp_path / "records" / "made-up.json").read_text() for n in range(300))


def test_every_command_of_a_run_is_kept(tmp_path, monkeypatch):
    run = made_up_run(tmp_path, clips=60, tasks=("emotions",))
    write_json(run.file("run.json"), read_json(run.file("run.json")) | {"command": "emojudge run made-up.toml"})
    for words in (["evaluate", "runs/x"], ["report", "runs/x"], ["evaluate", "runs/x"]):
        monkeypatch.setattr("sys.argv", ["emojudge", *words])
        Stages(run).write()
    expected = ["emojudge run made-up.toml", "emojudge evaluate runs/x", "emojudge report runs/x"]
    assert read_json(run.file("run.json"))["commands"] == expected

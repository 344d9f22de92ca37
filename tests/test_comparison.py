"""`emojudge compare` on run folders."""

import json
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from emojudge.cli import app
from emojudge.comparison import compare
from emojudge.contrast import seconds_of
from emojudge.errors import ConfigError, DataError
from emojudge.evaluation import evaluate, find
from emojudge.storage import read_jsonl, write_jsonl
from emojudge.types import Prediction
from tests.made_up_run import made_up_run

OPTIONS = {"clips": 300, "speakers": 16, "evaluation": {"resamples": 200, "splits": ["test"]}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A judged run, and the same one with every second clip's fused label the true one."""
    root = tmp_path_factory.mktemp("runs")
    plain = made_up_run(root / "plain", **OPTIONS)
    better = made_up_run(root / "better", **OPTIONS, judge=False)
    [part] = better.parts()
    truth = {u.id: u.emotion for u in part.manifest()}
    rows = list(read_jsonl(part.predictions("emotions", "fusion"), Prediction))
    for row in rows[::2]:
        row.scores[truth[row.id]] = 1.0
    write_jsonl(part.predictions("emotions", "fusion"), rows)
    return plain, better


def test_runs_stand_beside_the_first_before_and_after_the_judge(runs):
    plain, better = runs
    tables, lines, _ = compare([run.root for run in runs])
    assert [table.title for table in tables] == ["Emotions, test: beside plain", "Attributes, test: beside plain"]
    assert [row[0] for row in tables[0].rows] == ["plain", "plain, judged", "better"]
    assert [row[0] for row in tables[1].rows] == ["plain", "better"]
    found = {(line.name, line.metric): line for line in lines}
    rows = {run.root.name: evaluate(run) for run in runs}
    for name in ("plain", "better"):
        row = find(rows[name], "fusion", "macro_f1", ("emotions", "test"))
        assert asdict(found[name, "Macro-F1"].value) == pytest.approx({key: row[key] for key in ("value", "low", "high")})
    judged = find(rows["plain"], "judge-fusion", "macro_f1_difference", ("emotions", "test"))
    assert found["plain, judged", "Macro-F1"].difference.value == pytest.approx(judged["value"])
    gain = found["better", "Macro-F1"]
    assert gain.difference.low > 0 and gain.holm < 0.05 and gain.mcnemar < 0.05 and gain.difference.value > gain.detectable
    assert gain.seconds == seconds_of(better) == pytest.approx(469.3)


def test_another_baseline_turns_the_difference_round(runs):
    forth, back = (compare([run.root for run in runs], baseline=one.root)[1] for one in runs)
    first, second = (
        next(line for line in lines if (line.name, line.metric) == (name, "Macro-F1"))
        for lines, name in ((forth, "better"), (back, "plain"))
    )
    assert first.difference.value == pytest.approx(-second.difference.value)
    assert back[0].name == "better" and back[0].difference is None


def test_published_figures_stand_below(runs):
    tables, _, known = compare([runs[0].root], published="msp_podcast", splits=["dev", "test"])
    last = next(table for table in tables if table.title == "Attributes, test: beside plain")
    assert ["Challenge baseline", "0.580"] in [row[:2] for row in last.rows]
    assert "Table 2" in last.note and all(row["source"] for row in known)
    with pytest.raises(ConfigError, match="'nowhere' has no published figures"):
        compare([runs[0].root], published="nowhere")


def test_runs_without_common_clips_or_tasks_are_refused(runs, tmp_path):
    folds = made_up_run(tmp_path / "folds", **OPTIONS, folds=("1", "2"))
    with pytest.raises(DataError, match="folds has no scored clip in common with plain"):
        compare([runs[0].root, folds.root])
    emotions = made_up_run(tmp_path / "emotions", **OPTIONS, tasks=("emotions",))
    attributes = made_up_run(tmp_path / "attributes", **OPTIONS, tasks=("attributes",))
    with pytest.raises(ConfigError, match="no task in common"):
        compare([emotions.root, attributes.root])
    with pytest.raises(DataError, match="no run folder"):
        compare([tmp_path])


def test_the_verb_prints_tables_or_json(runs):
    folders = [str(run.root) for run in runs]
    shown = CliRunner().invoke(app, ["compare", *folders, "--split", "test"])
    assert shown.exit_code == 0 and "plain, judged" in shown.stdout and "Shows from" in shown.stdout
    told = json.loads(CliRunner().invoke(app, ["compare", *folders, "--published", "msp_podcast", "--json"]).stdout)
    assert {line["name"] for line in told["lines"]} == {"plain", "plain, judged", "better"}
    assert told["published"] and set(told["lines"][2]) >= {"p", "holm", "mcnemar", "detectable", "difference"}
    wrong = CliRunner().invoke(app, ["compare", "nowhere"])
    assert wrong.exit_code == 2 and "no run folder" in wrong.stderr

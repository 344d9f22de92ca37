"""Submissions: what a challenge takes, and every way in which it would refuse a file."""

import csv
import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emojudge.cli import app
from emojudge.config import load_config
from emojudge.errors import DataError
from emojudge.experiment import Experiment
from emojudge.runs import RunFolder
from emojudge.storage import write_json, write_jsonl
from emojudge.submission import check, submit
from emojudge.types import EMOTIONS, Prediction
from tests.made_up_corpora import mini_msp_podcast, msp_row, write_csv, write_wav

TEST3 = [f"MSP-PODCAST_test3_000{n}" for n in (1, 2)]


@pytest.fixture
def run(tmp_path):
    """A miniature of MSP-Podcast, prepared, and predictions of its Test3 by two systems."""
    mini_msp_podcast(tmp_path / "corpus")
    rows = [msp_row(f"MSP-PODCAST_0009_000{n}.wav", letter) for n, letter in enumerate("ASHUFDCN")]
    write_csv(tmp_path / "corpus" / "Labels" / "labels_consensus.csv", rows)
    for name in TEST3:
        write_wav(tmp_path / "corpus" / "Audios" / f"{name}.wav")
    changes = [f"data.root={tmp_path / 'corpus'}", 'tasks=["emotions", "attributes"]']
    work = Experiment(load_config(changes=changes), tmp_path / "run")
    work.prepare()
    (part,) = work.run.parts()
    for system, top in (("fusion", "Surprise"), ("audio", "Neutral")):
        labels = [Prediction(name, system, {label: float(label == top) for label in EMOTIONS}) for name in TEST3]
        values = [Prediction(name, system, {"valence": 2.5, "arousal": 9.0, "dominance": -1.0}) for name in TEST3]
        write_jsonl(part.predictions("emotions", system), labels)
        write_jsonl(part.predictions("attributes", system), values)
    return work.run


def read(path):
    with Path(path).open(newline="") as stream:
        return list(csv.reader(stream))


def test_both_files_from_end_to_end(run):
    result = CliRunner().invoke(app, ["submit", str(run.root), "--split", "test3", "--json"])
    assert result.exit_code == 0, result.stderr
    one, two = json.loads(result.stdout)["submission"]
    assert read(one) == [["FileName", "EmoClass"], *([f"{name}.wav", "U"] for name in TEST3)]
    clamped = ["7.000000", "2.500000", "1.000000"]
    assert read(two) == [["FileName", "EmoAct", "EmoVal", "EmoDom"], *([f"{name}.wav", *clamped] for name in TEST3)]


def test_whose_predictions(run):
    (part,) = run.parts()
    write_jsonl(part.predictions("emotions", "judge"), [Prediction("elsewhere", "judge", {"Sad": 1.0})])
    assert [told.split(",")[0] for told in submit(run, "test3").values()] == ["fusion", "fusion"], "the judge saw another split"
    assert {told.split(",")[0] for told in submit(run, "test3", "audio").values()} == {"audio"}
    with pytest.raises(DataError, match="No text has predicted the emotions"):
        submit(run, "test3", "text")
    with pytest.raises(DataError, match="There is no system 'fussion'"):
        submit(run, "test3", "fussion")


def test_a_split_that_is_not_there(run):
    with pytest.raises(DataError, match="no clip in the split 'test9'; it has test3, train"):
        submit(run, "test9")


def test_several_trainings(run):
    about = json.loads(run.file("run.json").read_text())
    about["config"]["seeds"] = [0, 1]
    write_json(run.file("run.json"), about)
    with pytest.raises(DataError, match=r"not one training to hand in but 2 \(seed-0, seed-1\); choose one with --seed"):
        submit(RunFolder.open(run.root), "test3")


def fusion(run, task, rows):
    (part,) = run.parts()
    write_jsonl(part.predictions(task, "fusion"), [Prediction(name, "fusion", scores) for name, scores in rows.items()])


@pytest.mark.parametrize(
    ("task", "rows", "sentence"),
    [
        ("emotions", {TEST3[0]: {"Sad": 1.0}}, "1 clips are missing: MSP-PODCAST_test3_0002.wav"),
        ("emotions", dict.fromkeys(TEST3, {"Calm": 1.0}), "2 clips have no EmoClass that can be"),
        ("attributes", dict.fromkeys(TEST3, {"valence": 2.0, "arousal": 3.0}), "2 clips have no EmoAct and EmoVal and EmoDom"),
        ("attributes", dict.fromkeys(TEST3, {"valence": 2.0, "arousal": math.nan, "dominance": 3.0}), "2 clips have no EmoAct"),
    ],
)
def test_what_is_not_written(run, task, rows, sentence):
    fusion(run, task, rows)
    number = 1 if task == "emotions" else 2
    with pytest.raises(DataError, match=sentence):
        submit(run, "test3")
    assert not (run.root / "submission" / f"task{number}_test3.csv").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "begins with ''"),
        ("FileName,Emotion\n", "it must be FileName,EmoClass"),
        ("FileName,EmoClass\na.wav,A\n", "1 clips are missing: b.wav"),
        ("FileName,EmoClass\na.wav,A\nb.wav,A\nc.wav,A\n", "1 clips are not of this split: c.wav"),
        ("FileName,EmoClass\na.wav,A\nb.wav,A\nb.wav,S\n", "1 clips stand there more than once: b.wav"),
        ("FileName,EmoClass\na.wav,A\nb.wav,X\n", "1 clips have no EmoClass that can be: b.wav"),
        ("FileName,EmoClass\na.wav,A\nb.wav\n", "1 clips have no EmoClass that can be: b.wav"),
    ],
)
def test_every_fault_of_a_file_is_named(tmp_path, text, sentence):
    (tmp_path / "task1.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        check(tmp_path / "task1.csv", "emotions", ["a.wav", "b.wav"])


@pytest.mark.parametrize("cells", ["0.9,4,4", "4,7.1,4", "4,inf,4", "4,nan,4", "4,x,4", "4,4"])
def test_numbers_that_cannot_be(tmp_path, cells):
    (tmp_path / "task2.csv").write_text(f"FileName,EmoAct,EmoVal,EmoDom\na.wav,{cells}\n")
    with pytest.raises(DataError, match="1 clips have no EmoAct and EmoVal and EmoDom that can be: a.wav"):
        check(tmp_path / "task2.csv", "attributes", ["a.wav"])

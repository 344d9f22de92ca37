"""The whole pipeline on a few spoken clips, with real weights: each stage once, resumed, and redone when it must be."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from emojudge import EmoJudge, Experiment
from emojudge.config import load_config
from emojudge.errors import DataError, MissingWeights
from emojudge.offline import minilm, smollm2_gguf, whisper_base
from emojudge.storage import read_jsonl, read_tensors
from emojudge.types import Cues, Prediction, Verdict

DEMO = Path(__file__).resolve().parents[1] / "experiments" / "demo.toml"
QUICK = [
    "data.limit=2",
    "audio.epochs=2",
    "text.epochs=2",
    "audio.hidden_size=16",
    "text.hidden_size=16",
    "fusion.folds=2",
    "evaluation.resamples=50",
    'judge.judge="local:smollm2"',
    'judge.ask="margin:1"',
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The synthetic corpus, spoken once; skipped where weights are absent."""
    try:
        whisper_base(), minilm(), smollm2_gguf()
    except MissingWeights as error:
        pytest.skip(str(error))
    return tmp_path_factory.mktemp("corpus")


def experiment(corpus, folder, *changes):
    return Experiment(load_config(DEMO, [*QUICK, f"data.root={corpus}", *changes]), folder)


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """A whole run of 48 clips with both tasks and a (very small) local judge."""
    work = experiment(corpus, tmp_path_factory.mktemp("run"))
    work.everything()
    return work


def test_every_stage_leaves_its_files(run):
    names = {str(p.relative_to(run.run.root)) for p in run.run.root.rglob("*") if p.is_file()}
    assert {"run.json", "manifest.jsonl", "cues.jsonl", "quantiles.json", "ledger.sqlite", "metrics.json", "report.html"} <= names
    for task in ("emotions", "attributes"):
        for system in ("audio", "text"):
            assert {f"{task}/{system}/{file}" for file in ("config.json", "model.safetensors", "log.jsonl")} <= names
        assert {f"{task}/fusion.json", f"{task}/predictions/fusion.jsonl"} <= names
    assert not [name for name in names if name.endswith(".part")]
    about = json.loads((run.run.root / "run.json").read_text())
    assert "mean nothing about people" in about["notice"]
    assert "mean nothing about people" in (run.run.root / "report.html").read_text()


def test_every_clip_outside_training_is_predicted_by_every_system(run):
    part = run.run.parts()[0]
    wanted = {u.id for u in part.manifest() if u.split != "train"}
    for task in ("emotions", "attributes"):
        for system in ("audio", "text", "fusion"):
            assert part.read_predictions(task, system).keys() == wanted
    judged = part.read_predictions("emotions", "judge")
    assert judged.keys() == {u.id for u in part.manifest() if u.split == "test"}
    verdicts = list(read_jsonl(part.verdicts(), Verdict))
    assert len(verdicts) == len(judged) == 16 and {v.judge for v in verdicts} == {"local:smollm2"}
    assert {p.note for p in judged.values()} - {"not_asked"}
    assert all(cues.words for cues in read_jsonl(run.run.file("cues.jsonl"), Cues))


def test_metrics_hold_both_tasks_and_intervals(run):
    rows = run.results()
    found = {(row["task"], row["system"], row["metric"]) for row in rows if row["split"] == "test"}
    assert {("emotions", s, "macro_f1") for s in ("audio", "text", "fusion", "judge")} <= found
    assert {("attributes", s, "ccc") for s in ("audio", "text", "fusion")} <= found
    assert ("emotions", "judge", "helped") in found
    for row in rows:
        assert row["low"] is None or row["low"] <= row["high"]


def test_a_second_run_finds_everything_done(run, corpus, capfd):
    before = {p: p.stat().st_mtime_ns for p in run.run.root.rglob("*.jsonl")}
    experiment(corpus, run.run.root).everything()
    assert {p: p.stat().st_mtime_ns for p in run.run.root.rglob("*.jsonl")} == before
    assert "…" not in capfd.readouterr().err


def test_a_changed_setting_redoes_what_depends_on_it_and_no_more(run, corpus, capfd):
    experiment(corpus, run.run.root, "judge.threshold=0.1").everything()
    said = capfd.readouterr().err
    redone = {line.split(" …")[0] for line in said.splitlines() if line.endswith(" …")}
    assert redone == {"refine emotions seed-0", "evaluate", "report"}
    [difference] = [line for line in said.splitlines() if "was made with other settings" in line]
    assert f": judge.threshold {run.config.judge.threshold} → 0.1. Each stage that depends on them is done again." in difference
    assert said.index(difference) < said.index("refine emotions")
    experiment(corpus, run.run.root).everything()
    assert capfd.readouterr().err.count("was made with other settings") == 1
    experiment(corpus, run.run.root).everything()
    assert "other settings" not in capfd.readouterr().err


def test_a_changed_corpus_is_told_before_it_is_read(corpus, tmp_path, capfd):
    for limit in (2, 1):
        experiment(corpus, tmp_path, f"data.limit={limit}").prepare()
    assert "was made with other settings: data.limit 2 → 1." in capfd.readouterr().err


def test_numbers_are_the_same_on_a_second_machine(run, corpus, tmp_path):
    again = experiment(corpus, tmp_path, "judge.judge=none")
    again.everything()
    ours = {
        (r["task"], r["system"], r["metric"], r["class"], r["split"]): r["value"]
        for r in run.results()
        if "judge" not in r["system"] and r["metric"] != "holm_p"  # which counts the judge's comparisons too
    }
    theirs = {(r["task"], r["system"], r["metric"], r["class"], r["split"]): r["value"] for r in again.results()}
    assert {key: theirs[key] for key in ours} == ours


def test_a_killed_run_goes_on_where_it_was(corpus, tmp_path):
    command = [sys.executable, "-m", "emojudge", "run", str(DEMO), "--into", str(tmp_path / "run")]
    for change in (*QUICK, f"data.root={corpus}", "judge.judge=none", "audio.epochs=4"):
        command += ["--set", change]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    done = tmp_path / "run" / "emotions" / "audio" / "config.json"
    deadline = time.monotonic() + 120
    while not done.exists() and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    trained = done.stat().st_mtime_ns
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    # The model was complete before the kill; only its stage's record may be lost, and then it is made again, whole.
    assert (tmp_path / "run" / "report.html").exists() and done.stat().st_mtime_ns >= trained
    assert "Macro-F1" in second.stdout and "Traceback" not in second.stderr


def test_one_clip_is_explained(run):
    judge = EmoJudge.load(run.run.root)
    clip = next(u for u in run.utterances.values() if u.split == "test")
    told = judge.explain(clip.audio, clip.text)
    stored = {s: run.run.parts()[0].read_predictions("emotions", s)[clip.id] for s in ("audio", "text", "fusion")}
    for system, prediction in stored.items():
        ours = told.predictions["emotions"][system].scores
        assert max(abs(ours[name] - score) for name, score in prediction.scores.items()) < 2e-3  # float16 cache v live
    assert set(told.predictions["attributes"]) == {"audio", "text", "fusion"}
    assert told.verdict is not None and told.label in run.config.data.labels
    assert "duration" in told.voice and {"reading", "cues", "audio", "text", "fusion", "judge"} <= told.seconds.keys()
    assert json.dumps(asdict(told))


def test_one_clip_without_words_is_transcribed(run):
    clip = next(u for u in run.utterances.values() if u.split == "test")
    told = EmoJudge.load(run.run.root, ["judge.judge=none"]).explain(clip.audio)
    assert told.text is not None and told.verdict is None and "transcript" in told.seconds


def test_an_unreadable_clip_is_skipped_and_the_rest_goes_on(run, tmp_path):
    rows = [json.loads(line) for line in run.run.manifest_file().read_text().splitlines()]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"")
    rows[0]["audio"] = str(broken)
    (tmp_path / "table.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    work = experiment(
        tmp_path / "table.jsonl",
        tmp_path / "run",
        "data.corpus=table",
        'tasks=["emotions"]',
        "judge.judge=none",
        'modalities=["audio"]',
    )
    work.everything()
    assert work.skipped().keys() == {rows[0]["id"]} and "broken.wav" in work.skipped()[rows[0]["id"]]
    assert work.run.file("report.html").exists()


def test_folds_and_seeds_are_parts(corpus, tmp_path):
    folds = {"folds": {str(f): [f"speaker_{n:02}" for n in range(1, 25) if n % 2 == f - 1] for f in (1, 2)}}
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    work = experiment(
        corpus,
        tmp_path / "run",
        f"data.folds={tmp_path / 'folds.json'}",
        "seeds=[0, 1]",
        'modalities=["audio"]',
        'tasks=["emotions"]',
        "judge.judge=none",
        'evaluation.splits=["test"]',
    )
    work.everything()
    parts = work.run.parts()
    assert [p.name for p in parts] == ["fold-1/seed-0", "fold-1/seed-1", "fold-2/seed-0", "fold-2/seed-1"]
    whole = next(r for r in work.results() if (r["metric"], r["part"], r["system"]) == ("uar", "", "audio"))
    each = [r["value"] for r in work.results() if (r["metric"], r["system"]) == ("uar", "audio") and r["part"]]
    assert len(each) == 4 and abs(whole["value"] - sum(each) / 4) < 1e-9
    test = {u.speaker for u in parts[0].manifest() if u.split == "test"}
    assert not test & {u.speaker for u in parts[0].manifest() if u.split in ("train", "dev")}


def test_early_fusion_trains_one_joint_model(corpus, tmp_path):
    work = experiment(corpus, tmp_path / "run", 'fusion_method="early"', 'tasks=["emotions"]', "judge.judge=none")
    work.everything()
    assert {r["system"].partition("+")[0] for r in work.results() if r["metric"] == "macro_f1"} == {"early"}
    [prediction, *_] = work.run.parts()[0].read_predictions("emotions", "early").values()
    assert isinstance(prediction, Prediction) and abs(sum(prediction.scores.values()) - 1) < 1e-9


def test_an_encoder_that_learns_is_saved_with_the_model(corpus, tmp_path):
    work = experiment(
        corpus,
        tmp_path / "run",
        'audio.train="top:1"',
        "audio.epochs=1",
        'modalities=["audio"]',
        'tasks=["emotions"]',
        "judge.judge=none",
        "data.limit=1",
        "audio.micro_batch=4",
        'audio.layers="last"',
    )
    work.everything()
    weights = read_tensors(work.run.root / "emotions" / "audio" / "model.safetensors")
    learnt = {name.split(".")[4] for name in weights if name.startswith("bodies.audio.encoder.layers.")}
    assert learnt == {"5"}  # the top block is in it, those that stayed as they were are not
    assert len(work.run.parts()[0].read_predictions("emotions", "audio")) == 16


def test_nothing_to_train_on_is_said(corpus, tmp_path):
    with pytest.raises(DataError, match="data.labels"):
        experiment(corpus, tmp_path, 'data.labels=["Bored", "Calm"]').everything()

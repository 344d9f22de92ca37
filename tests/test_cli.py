"""The command line as a person meets it: one sentence for each mistake, the right exit code, results that parse."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from emojudge import cues
from emojudge.cli import app
from emojudge.runs import RunFolder
from tests.made_up_run import made_up_run

ROOT = Path(__file__).resolve().parents[1]
DEMO = str(ROOT / "experiments" / "demo.toml")
VERBS = sorted(get_command(app).commands)
REMOTE = ["--set", "judge.judge=openai:gpt-4o", "--set", "judge.ask=all"]

TABLE = """id,audio,text,speaker,split,emotion,valence
a,a.wav,Well that went fine.,ann,train,Happy,5
b,b.wav,"No, no.",ann,train,Sad,2
c,c.wav,Oh yes!,bob,dev,Happy,6
d,d.wav,Oh no.,cid,test,Sad,1
"""

TOML = """name = "mine"
modalities = ["text"]
[data]
corpus = "table"
root = "my.csv"
labels = ["Happy", "Sad"]
[text]
encoder = "hf_text:offline-minilm"
train = "none"
"""


def call(*words):
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result, *said, code=2):
    """One sentence on standard error that says all of `said`, the exit code, and no traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    last = result.stderr.strip().splitlines()[-1]
    assert result.exit_code == code
    assert last.startswith("emojudge: ") and "Traceback" not in result.output
    assert sum("emojudge: " in line for line in result.stderr.splitlines()) == 1
    for word in said:
        assert word in last
    assert result.stdout == ""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """An experiment on a tiny table, in the working folder; three of its four recordings are missing."""
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(16_000) / 20), 16_000)
    (tmp_path / "my.csv").write_text(TABLE, encoding="utf-8")
    (tmp_path / "my.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "my.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that has everything but scores."""
    run = made_up_run(tmp_path_factory.mktemp("runs") / "made-up", clips=60, speakers=12)
    return run.root


# -- help


def test_help_names_every_verb_in_full_sentences():
    shown = call("--help").stdout
    for name in VERBS:
        assert name in shown


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help(name):
    result = call(name, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout and len(result.stdout.splitlines()) > 4


def test_help_answers_at_once():
    """0.13 s of CPU when measured alone; loosely here, for a busy machine."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "emojudge", "--help"], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.9


def test_a_mistake_leaves_one_sentence_and_no_traceback_in_a_real_shell(tmp_path):
    """As a process of its own: what CliRunner catches would be a traceback there."""
    command = [sys.executable, "-m", "emojudge", "stats", "nowhere.toml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("emojudge: There is no file nowhere.toml")


# -- settings and names


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.label=4", ["'data.label'", "did you mean 'data.labels'?"]),
        ("audio.lr=1e-5", ["there is no setting 'audio.lr'"]),
        ("audio.epochs=0", ["audio.epochs = 0", "docs/settings.md"]),
        ("data.splits=random", ["data.splits = 'random'"]),
        ("judge.ask=nobody", ["judge.ask = 'nobody'"]),
        ("audio.epochs", ["no '='"]),
        ("name.x=1", ["'name' is a value"]),
        ("data.corpus=tabel", ["There is no corpus 'tabel'", "did you mean 'table'?"]),
        ("data.root=nowhere", ["nowhere does not exist"]),
    ],
)
def test_wrong_settings_are_explained(mine, change, said):
    refused(call("stats", mine, "--set", change), *said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("text.encoder=hf_tex:x", ["There is no encoder 'hf_tex'", "did you mean 'hf_text'?"]),
        ("judge.judge=lokal", ["There is no judge 'lokal'", "did you mean 'local'?"]),
        ("judge.judge=openai", ["needs a model"]),
        ("judge.judge=replay:nothing.jsonl", ["nothing.jsonl cannot be opened"]),
        ("judge.judge=local:nothing.gguf", ["nothing.gguf is no GGUF file"]),
        ("evaluation.published=moon", ["'moon' has no published figures"]),
    ],
)
def test_what_would_fail_late_is_said_before_any_work(mine, change, said):
    refused(call("run", mine, "--set", change), *said)
    assert not Path("runs").exists()


def test_a_judge_of_conflicts_needs_two_models(mine):
    Path("said.jsonl").write_text('{"id": "a", "label": "Sad", "judge": "local:qwen", "key": "k"}\n', encoding="utf-8")
    refused(call("run", mine, "--set", "judge.judge=replay:said.jsonl"), 'judge.ask = "margin:0.2"')


def test_nobody_is_asked_without_consent(mine, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    result = call("run", mine, *REMOTE)
    refused(result, "api.openai.com", "judge.consent=true")
    assert "sk-secret" not in result.output


def test_a_remote_judge_without_a_key_has_an_exit_code_of_its_own(mine, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    refused(call("run", mine, *REMOTE, "--set", "judge.consent=true"), "OPENAI_API_KEY", code=4)


# -- files that are not there, or not what they should be


def test_a_missing_toml(mine):
    refused(call("run", "your.toml"), "There is no file your.toml", "experiments/")


def test_a_toml_that_is_none(mine):
    refused(call("run", "my.csv"), "my.csv is not a TOML file")


@pytest.mark.parametrize("corpus", ["ravdess", "emodb", "meld", "emobank", "msp_podcast", "table"])
def test_a_missing_corpus(tmp_path, corpus):
    refused(call("stats", "--set", f"data.corpus={corpus}", "--set", f"data.root={tmp_path / 'nowhere'}"), "nowhere")
    refused(call("stats", "--set", f"data.corpus={corpus}"), f"Where is the corpus {corpus}?")


def test_an_empty_table(mine):
    Path("my.csv").write_text("id,emotion\n", encoding="utf-8")
    refused(call("prepare", mine), "holds no utterance")


@pytest.mark.parametrize(
    "words", [["cues"], ["train", "text"], ["predict", "text"], ["fuse"], ["judge"], ["refine"], ["evaluate"], ["report"]]
)
def test_a_folder_that_is_no_run(tmp_path, words):
    name, *rest = words
    refused(call(name, tmp_path, *rest), "is no run folder", "emojudge run")


def test_say_in_a_folder_that_is_no_run(tmp_path):
    refused(call("say", "clip.wav", "--run", tmp_path), "is no run folder")


@pytest.mark.parametrize("content", ["{}", '{"config": {"nme": 1}}', "not json", '{"format": 2}', "[]"])
def test_a_run_whose_record_is_damaged(tmp_path, content):
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    refused(call("stats", tmp_path), "run.json")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "RUN", "audio"], "no model 'audio'; it has text"),
        (["predict", "RUN", "early"], "no model 'early'"),
        (["predict", "RUN", "text"], "no trained model"),
        (["fuse", "RUN"], "emojudge predict RUN text"),
        (["judge", "RUN", "--dry-run"], "emojudge run RUN"),
        (["refine", "RUN"], "emojudge judge RUN"),
        (["evaluate", "RUN"], "no predictions to score"),
        (["report", "RUN"], "emojudge evaluate RUN"),
    ],
)
def test_a_stage_says_which_one_is_missing_before_it(mine, words, said):
    assert call("prepare", mine).exit_code == 0
    refused(call(*("runs/mine" if word == "RUN" else word for word in words)), said)


# -- recordings


@pytest.mark.parametrize(
    ("name", "content"), [("empty.wav", b""), ("text.wav", b"this is no sound"), ("header.wav", b"RIFF\x24\0\0\0WAVE")]
)
def test_a_recording_that_is_none(finished, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(call("say", tmp_path / name, "--run", finished, "--text", "Hello"), name)


def test_a_recording_without_samples(finished, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "silent.wav", [], 16_000)
    refused(call("say", tmp_path / "silent.wav", "--run", finished, "--text", "Hello"), "silent.wav")


def test_a_recording_that_is_not_there(finished):
    refused(call("say", "nowhere.wav", "--run", finished), "nowhere.wav cannot be opened")


# -- optional parts


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
def test_a_report_without_its_extra(finished, monkeypatch, module):
    assert call("evaluate", finished, "--set", "evaluation.resamples=0").exit_code == 0
    monkeypatch.setitem(sys.modules, module, None)
    refused(call("report", finished), "pip install 'emojudge[report]'")


def test_the_demo_corpus_without_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    change = f"data.root={tmp_path / 'spoken'}"
    refused(call("prepare", DEMO, "--set", change, "--into", tmp_path / "run"), "pip install 'emojudge[synthetic]'")


@pytest.mark.parametrize(("pitch", "module"), [("swift_f0", "swift_f0"), ("pyin", "librosa")])
def test_cues_without_their_extra(mine, monkeypatch, pitch, module):
    assert call("prepare", mine).exit_code == 0
    monkeypatch.setitem(sys.modules, module, None)
    cues._swift_detector.cache_clear()  # an earlier test may have opened it
    refused(call("cues", "runs/mine", "--set", f"cues.pitch={pitch}"), "pip install 'emojudge[")


def test_judges_without_their_extra(finished, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    local = ["--set", "judge.base_url=http://127.0.0.1:9/v1"]
    refused(call("judge", finished, *REMOTE, *local), "pip install 'emojudge[judge]'")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    (tmp_path / "any.gguf").write_bytes(b"GGUF")
    change = ["--set", f"judge.judge=local:{tmp_path / 'any.gguf'}", "--set", "judge.ask=all"]
    refused(call("judge", finished, *change), "pip install 'emojudge[local]'")


# -- what works


def test_stats_counts_and_writes_nothing(mine):
    result = call("stats", mine, "--json")
    rows = {row["Label"]: row for row in json.loads(result.stdout)["rows"]}
    assert result.exit_code == 0
    assert (rows["Happy"]["train"], rows["Happy"]["dev"], rows["Sad"]["test"]) == ("50.00%", "100.00%", "100.00%")
    assert [rows["Total files"][split] for split in ("train", "dev", "test")] == ["2", "1", "1"]
    assert sorted(path.name for path in Path().iterdir()) == ["a.wav", "my.csv", "my.toml"]


def test_stats_needs_no_toml(mine):
    result = call("stats", "--set", "data.corpus=table", "--set", "data.root=my.csv", "--set", 'data.labels=["Happy", "Sad"]')
    assert result.exit_code == 0
    assert "Total files" in result.stdout
    assert "3 recordings are not there" in call("stats", mine).stderr, "what is odd about the corpus is said on standard error"


def test_stats_of_a_class_that_is_not_there_warns(mine):
    change = ["--set", 'data.labels=["Happy", "Sad", "Fear"]']
    result = call("stats", mine, *change)
    assert result.exit_code == 0
    assert "warning: prepare will refuse this: No clip of the split train is Fear" in result.stderr
    refused(call("prepare", mine, *change), "No clip of the split train is Fear")


def test_stats_draws_a_picture_and_says_how_far_raters_agree(mine):
    Path("votes.csv").write_text('id,text,emotion,votes\na,Hm.,Sad,"{""Sad"": 2, ""Happy"": 1}"\nb,Oh.,Happy,"{""Happy"": 2}"\n')
    result = call("stats", "--set", "data.corpus=table:votes.csv", "--picture", "p/stats.png", "--json")
    assert Path("p/stats.png").read_bytes().startswith(b"\x89PNG")
    rows = {row["metric"]: row["value"] for row in json.loads(result.stdout)["agreement"]}
    assert (rows["unanimous"], rows["raters"]) == (0.5, 2.5)
    refused(call("stats", mine, "--picture", "stats.doc"), "ends in none of .png, .svg, .pdf")


def test_prepare_says_which_clips_dev2_has(mine, tmp_path):
    lines = ["audio,text,speaker,split,emotion", *(f"{n}.wav,Hm.,s{n},{('train', 'dev')[n % 2]},Sad" for n in range(8))]
    Path("many.csv").write_text("\n".join(lines))
    change = ["--set", "data.corpus=table:many.csv", "--set", 'data.labels=["Sad"]', "--set", "data.dev2=2"]
    for n in range(8):
        Path(f"{n}.wav").write_bytes(Path("a.wav").read_bytes())
    result = call("prepare", *change, "--into", "run")
    digest = json.loads(Path("run/run.json").read_text(encoding="utf-8"))["draws"]["dev2"]
    assert f"the digest of dev2's ids is {digest[:16]}" in " ".join(result.stdout.split())
    assert call("prepare", *change, "--into", "run", "--set", "data.seed=1").exit_code == 0
    assert json.loads(Path("run/run.json").read_text(encoding="utf-8"))["draws"]["dev2"] != digest


def test_every_speaker_is_left_out_in_turn(mine):
    lines = ["audio,text,speaker,session,emotion", *(f"{n}.wav,Hm.,s{n % 4},{n % 4 // 2},Sad" for n in range(16))]
    Path("many.csv").write_text("\n".join(lines))
    for n in range(16):
        Path(f"{n}.wav").write_bytes(Path("a.wav").read_bytes())
    common = ["--set", "data.corpus=table:many.csv", "--set", 'data.labels=["Sad"]']
    assert call("prepare", *common, "--set", "data.folds=speaker", "--into", "by_speaker").exit_code == 0
    rows = [json.loads(line) for line in Path("by_speaker/fold-s2/manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["speaker"] for row in rows if row["split"] == "test"} == {"s2"}
    assert {"train", "dev"} == {row["split"] for row in rows if row["speaker"] != "s2"}
    assert RunFolder.open("by_speaker").folds == ("s0", "s1", "s2", "s3")
    assert call("prepare", *common, "--set", "data.folds=session", "--into", "by_session").exit_code == 0
    rows = [json.loads(line) for line in Path("by_session/fold-1/manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["speaker"] for row in rows if row["split"] == "test"} == {"s2", "s3"}
    refused(call("prepare", mine, "--set", "data.folds=session"), "have no session")


def test_prepare_writes_what_stats_then_reads(mine):
    prepared = call("prepare", mine, "--into", "here", "--json")
    assert prepared.exit_code == 0
    assert call("stats", "here", "--json").stdout == prepared.stdout
    rows = [json.loads(line) for line in Path("here/manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert json.loads(Path("here/run.json").read_text(encoding="utf-8"))["config"]["data"]["labels"] == ["Happy", "Sad"]


def test_evaluate_prints_rows_as_json(finished):
    result = call("evaluate", finished, "--json", "--set", "evaluation.resamples=20")
    content = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {row["system"] for row in content["rows"]} >= {"audio", "text", "fusion", "judge"}
    assert call("report", finished).stdout.strip().endswith("report.html")


def test_a_dry_run_asks_nobody(finished, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = call("judge", finished, "--dry-run", *REMOTE, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["requests"] > 0
    assert "tokens in" in call("judge", finished, "--dry-run", *REMOTE).stdout


@pytest.mark.parametrize("folder", ["corpora", "encoders", "judges", "prompts"])
def test_list_tells_what_each_is(folder):
    content = json.loads(call("list", folder, "--json").stdout)
    assert list(content) == [folder]
    assert content[folder] and all(told.endswith(".") for told in content[folder].values())
    assert next(iter(content[folder])) in call("list").stdout


def test_list_of_nothing():
    refused(call("list", "corpus"), "There are no 'corpus' to list", "corpora")


def test_doctor_says_how_to_get_what_is_missing(monkeypatch):
    assert json.loads(call("doctor", "--json").stdout)["EmoJudge"]["report"].startswith("installed")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found = json.loads(call("doctor", "--json").stdout)["EmoJudge"]
    assert found["report"].startswith("missing") and "pip install 'emojudge[report]'" in found["report"]
    assert "torch" in found

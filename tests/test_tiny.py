"""`--tiny`: every row of Table 2 end to end, on checkpoints and a corpus in their true formats."""

import json
from collections import Counter
from pathlib import Path

import pytest

from emojudge import checks, manifest, miniature, tiny
from emojudge.config import load_config
from emojudge.corpora import msp_podcast
from emojudge.settings import Config, DataSettings
from emojudge.storage import read_jsonl
from emojudge.types import EMOTIONS, Verdict
from tests.test_cli import call

ROOT = Path(__file__).resolve().parents[1]
PAPER = sorted((ROOT / "experiments" / "paper").glob("*.toml"))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of our own, so that the corpus and the checkpoints are made by the code under test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(ROOT)
        yield


@pytest.mark.parametrize("file", PAPER, ids=lambda path: path.stem)
def test_every_row_runs_end_to_end(file, tmp_path):
    with tiny.experiment(file, (), tmp_path) as work:
        work.everything()
    rows, config = work.results(), work.config
    task, metric = (config.tasks[0], "macro_f1" if config.tasks[0] == "emotions" else "ccc")
    systems = {*work.systems, work.fused} | ({"judge"} if file.stem.endswith("judge") else set())
    for split in ("dev", "dev2", "dev+dev2", "test", "test2"):
        there = {row["system"] for row in rows if (row["split"], row["metric"], row["task"]) == (split, metric, task)}
        there = {system for system in there if "+" not in system}  # what decisions make of one
        assert there - {"judge", "calibrated", "human"} == systems - {"judge"}
        assert ("human" in there) or metric == "ccc", "the miniature tells what raters chose"
        assert ("judge" in there) == ("judge" in systems and bool({*split.split("+")} & {*config.judge.splits}))
    assert "TINY" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "tables.md").read_text(encoding="utf-8").startswith("**TINY")
    assert not work.skipped()
    handed_in = call("submit", tmp_path, "--split", "test3", "--json")
    if config.fusion_method == "early":  # which needs words, and Test3 has none
        assert handed_in.exit_code == 2 and "transcripts.transcribe" in handed_in.stderr
    else:
        assert handed_in.exit_code == 0, handed_in.stderr
        [path] = json.loads(handed_in.stdout)["submission"]
        assert len(Path(path).read_text().splitlines()) == 3
    if "judge" in systems:
        [part] = work.run.parts()
        verdicts = list(read_jsonl(part.verdicts(), Verdict))
        assert {v.judge for v in verdicts} == {"openai:gpt-4"} and len(verdicts) == 40


def test_the_command_says_that_its_numbers_mean_nothing(tmp_path, monkeypatch):
    result = call("run", PAPER[0], "--tiny", "--into", tmp_path / "run", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["rows"]
    assert "TINY" in call("evaluate", tmp_path / "run").stdout
    assert json.loads((tmp_path / "run" / "run.json").read_text())["name"] == f"{PAPER[0].stem} (tiny)"


def test_only_sizes_shrink():
    config = load_config(changes=['audio.train="top:6"', "audio.layers=[2, 7, 24]", "text.learning_rate=3e-4"])
    small = tiny.shrink(config)
    assert (small.audio.train, small.audio.layers, small.audio.hidden_size) == ("top:3", (2, 3), 16)
    assert small.text.learning_rate == 3e-4 and small.audio.focal_gamma == config.audio.focal_gamma
    assert Config.model_validate(small.model_dump(mode="json")) == small


def test_a_corpus_that_is_there_is_used(tmp_path):
    root = miniature.miniature()
    assert tiny.shrink(load_config(changes=[f"data.root={root}", "data.limit=1"])).data.root == root
    named = DataSettings(corpus=f"msp_podcast:{root}")
    assert tiny.shrink(Config(data=named)).data.corpus == named.corpus
    assert tiny.shrink(load_config(changes=[f"data.root={tmp_path / 'nowhere'}", "data.corpus=ravdess"])).data.root == root


@pytest.fixture(params=["ravdess", "synthetic"])
def root(request, shared, monkeypatch):
    """The miniature from real clips, and from spoken ones."""
    if request.param == "synthetic":
        pytest.importorskip("espeakng_loader")
        monkeypatch.setattr(miniature, "RECORDED", Path("nowhere"))
    else:
        monkeypatch.setattr(miniature, "RECORDED", shared / "ravdess")
    return miniature.miniature()


def test_the_miniature_is_a_whole_corpus_to_its_loader(root):
    found = list(msp_podcast.utterances(root))
    counts = Counter((u.split, u.emotion) for u in found)
    assert counts == {
        **{(split, name): n for split, n in (("train", 2), ("dev", 3), ("test", 2), ("test2", 2)) for name in EMOTIONS},
        ("train", "Other"): 1,
        ("train", "NoAgreement"): 1,
        ("test3", None): 2,
    }
    homes = {u.speaker: {v.split for v in found if v.speaker == u.speaker} for u in found if u.speaker}
    assert all(len(splits) == 1 for splits in homes.values()) and len(homes) > 10
    labelled = [u for u in found if u.emotion]
    assert all(u.text and u.gender and len(u.attributes) == 3 and sum(u.votes.values()) == 5 for u in labelled)
    assert all(1 <= value <= 7 for u in labelled for value in u.attributes.values())
    settings = DataSettings(root=root)
    assert checks.check(manifest.read(settings), settings).errors == ()

"""A run passed on as three files says what it said before; the one in the package is there and speaks."""

import json
import tomllib
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import soundfile

from emojudge import EmoJudge, bundles
from emojudge.config import load_config
from emojudge.errors import DataError, MissingWeights
from emojudge.runs import RunFolder
from tests.made_up_speech import RATE, speech, tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tiny_run(tmp_path_factory.mktemp("run"))
        (Path(folder) / "model_card.md").write_text("# The card\n", encoding="utf-8")
        yield Path(folder)


@pytest.fixture
def bundle(run, tmp_path):
    EmoJudge.load(run).save(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def clip(tmp_path):
    soundfile.write(tmp_path / "clip.wav", speech(0.2, 1.4, seed=3), RATE, subtype="FLOAT")
    return tmp_path / "clip.wav"


def test_a_bundle_is_three_files_and_says_what_the_run_says(run, bundle, clip):
    assert {path.name for path in bundle.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    before, after = EmoJudge.load(run), EmoJudge.load(bundle)
    assert np.array_equal(before.predict_proba(clip, text="No."), after.predict_proba(clip, text="No."))
    told = [{s: p.scores for s, p in one.explain(clip, "No.").predictions["attributes"].items()} for one in (before, after)]
    assert told[0] == told[1]
    assert after.run.file("model_card.md").read_text(encoding="utf-8") == "# The card\n"
    assert bundles.open_run(bundle).root == after.run.root, "written out once"


def test_nothing_of_the_clips_or_the_machine_is_passed_on(run, bundle):
    text = (bundle / "config.json").read_text(encoding="utf-8")
    about = json.loads(text)
    ids = [json.loads(line)["id"] for line in (run / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert str(run) not in text and ids and not any(f'"{id}"' in text for id in ids)
    assert about["fusion"]["emotions"]["fitted_on"] == about["fusion"]["emotions"]["cross_fitted"] == []
    assert set(about["run"]["config"]["data"]) == {"corpus", "labels", "label_map", "made_of"}


def test_a_bundle_can_be_saved_again(bundle, tmp_path):
    again = EmoJudge.load(bundle).save(tmp_path / "again") and tmp_path / "again"
    for name in ("README.md", "config.json", "model.safetensors"):
        assert (again / name).read_bytes() == (bundle / name).read_bytes()


@pytest.mark.parametrize("broken", ["model_type", "models", "run"])
def test_what_is_no_bundle_is_one_sentence(bundle, broken):
    about = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    del about[broken]
    (bundle / "config.json").write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(DataError, match="another kind" if broken == "model_type" else f"lacks '{broken}'"):
        bundles.open_run(bundle)


def test_no_card_no_bundle(run, tmp_path):
    bare = RunFolder(tmp_path, RunFolder.open(run).config)
    with pytest.raises(DataError, match="emojudge report"):
        bundles.save(bare, tmp_path / "bundle")
    with pytest.raises(DataError, match="base"):
        bundles.open_run("nonesuch")


class Hub:
    """Stands in for the hub's client."""

    told: list = []

    def create_repo(self, repository, private, exist_ok):
        self.told.append(("create", repository, private))

    def upload_folder(self, repo_id, folder_path, allow_patterns):
        if repo_id == "somebody/else":
            raise OSError("403 Forbidden\nmore")
        self.told.append(("upload", repo_id, sorted(p.name for p in Path(folder_path).iterdir() if p.name in allow_patterns)))
        return f"https://hub/{repo_id}"


def test_a_push_uploads_the_three_files_and_nothing_else(bundle, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    (bundle / "secret.txt").write_text("x", encoding="utf-8")
    assert bundles.push(bundle, "me/voice") == "https://hub/me/voice"
    assert Hub.told == [("create", "me/voice", True), ("upload", "me/voice", ["README.md", "config.json", "model.safetensors"])]
    with pytest.raises(DataError, match="403 Forbidden"):
        bundles.push(bundle, "somebody/else")
    with pytest.raises(DataError):
        bundles.push(bundle.parent, "me/voice")


def test_base_is_in_the_package(run):
    assert "base" in bundles.names()
    project = tomllib.loads((Path(bundles.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["emojudge"]
    package = Path(bundles.__file__).parent
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {bundles.PACKAGED / "base" / name for name in ("README.md", "config.json", "model.safetensors")} <= packed
    assert sum(path.stat().st_size for path in (bundles.PACKAGED / "base").iterdir()) < 8 << 20
    card = (bundles.PACKAGED / "base" / "README.md").read_text(encoding="utf-8")
    for needed in ("5(1)(f)", "50(3)", "CC BY-NC-SA 4.0", "acted", "license:"):
        assert needed in card


@pytest.mark.weights
def test_base_speaks(clip, run, monkeypatch):
    monkeypatch.delenv("EMOJUDGE_CACHE")  # the weights need not be converted again
    judge = EmoJudge.load("base")
    try:
        told = judge.explain(clip, "I can't believe we won!")
    except MissingWeights as error:
        pytest.skip(str(error))
    assert told.label in judge.classes_ and set(told.predictions["attributes"]["text"].scores) == {
        "valence",
        "arousal",
        "dominance",
    }
    softer = soundfile.read(clip, dtype="float32")[0] * 0.05
    assert np.allclose(judge.predict_proba(softer, text="Oh."), judge.predict_proba(clip, text="Oh."), atol=0.02), (
        "levels do not matter"
    )


def test_a_task_may_have_fewer_models():
    config = load_config(changes=['modalities_of={attributes=["text"]}', 'tasks=["emotions","attributes"]'])
    assert config.systems_of("emotions") == ("audio", "text") and config.systems_of("attributes") == ("text",)
    early = load_config(changes=["fusion_method=early"])
    assert early.systems_of("emotions") == ("early",)

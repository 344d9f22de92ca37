import hashlib

import pytest

from emojudge.config import load_config
from emojudge.provenance import commands, data_digest, encoders, experiment_toml, files
from emojudge.runs import RunFolder
from emojudge.settings import Config
from emojudge.storage import read_json, read_jsonl, write_json, write_jsonl
from emojudge.types import Utterance
from tests.made_up_run import made_up_run
from tests.test_docs import ROOT


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").rglob("*.toml")), ids=lambda path: path.stem)
def test_the_printed_settings_are_the_experiment(path, tmp_path):
    config = load_config(path)
    (tmp_path / "experiment.toml").write_text(experiment_toml(config), encoding="utf-8")
    assert load_config(tmp_path / "experiment.toml") == config


def test_tables_quotes_and_newlines_survive(tmp_path):
    odd = Config.model_validate(
        {
            "name": 'a "b"\n\x7f',
            "ablations": {"no L2, λ": ["audio.attention_l2=0.0"]},
            "fusion": {"target_prior": {"Sad": 0.5}},
            "data": {"label_map": {"Calm": "Neutral", "x.y": "Sad"}},
        }
    )
    (tmp_path / "experiment.toml").write_text(experiment_toml(odd), encoding="utf-8")
    assert load_config(tmp_path / "experiment.toml") == odd


def test_the_datas_digest_follows_answers_and_not_folders(tmp_path):
    run = made_up_run(tmp_path, clips=20, judge=False)
    before, people = data_digest(run), list(read_jsonl(run.file("manifest.jsonl"), Utterance))
    moved = [Utterance(**{f: getattr(u, f) for f in u.__slots__} | {"audio": f"/elsewhere/{u.id}.wav"}) for u in people]
    write_jsonl(run.file("manifest.jsonl"), moved)
    assert data_digest(run) == before
    write_jsonl(run.file("manifest.jsonl"), [*moved[:-1], Utterance("clip-nobody-knows", text="Other words.", split="test")])
    assert data_digest(run) != before


def test_every_file_that_counts_is_named_with_its_digest(tmp_path):
    run = made_up_run(tmp_path, clips=20, folds=("1", "2"), judge=False)
    found = {file.name: file for file in files(run)}
    name = "fold-2/emotions/predictions/fusion.jsonl"
    assert {"manifest.jsonl", "fold-1/manifest.jsonl", name} <= found.keys()
    assert found[name].sha256 == hashlib.sha256((run.root / name).read_bytes()).hexdigest()
    assert found[name].size == (run.root / name).stat().st_size


def test_encoders_are_those_that_the_models_recorded(tmp_path):
    run = made_up_run(tmp_path, clips=20, judge=False)
    about = {"settings": {"audio": {"encoder": "whisper:offline"}}, "encoders": {"audio": "abc"}}
    write_json(run.parts()[0].model("emotions", "audio") / "config.json", about)
    assert encoders(run) == {"whisper:offline": "abc"}


def test_commands_quote_names_with_spaces(tmp_path):
    run = made_up_run(tmp_path, clips=20, judge=False, name="demo (tiny)")
    typed = dict(commands(RunFolder.open(run.root), read_json(run.file("run.json")) | {"commands": ["emojudge run x.toml"]}))
    assert "emojudge report 'runs/demo (tiny)'" in typed.values() and typed["what was typed"] == "emojudge run x.toml"


def test_an_ensemble_is_not_made_by_run(tmp_path):
    run = made_up_run(tmp_path, clips=20, judge=False)
    assert any("emojudge run " in typed for _, typed in commands(run, {}))
    write_jsonl(run.parts()[0].predictions("emotions", "ensemble"), [])
    assert not any("emojudge run " in typed for _, typed in commands(run, {}))

"""An experiment and its variants: what is run, what is shared, what is refused."""

import json
from pathlib import Path

import pytest

from emojudge import tiny_checkpoints
from emojudge.ablation import ablate, variants
from emojudge.config import load_config
from emojudge.errors import ConfigError
from tests.test_cli import call

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"Happy": "Oh how lovely, thank you!", "Sad": "I miss her so much."}

TOML = """name = "mine"
modalities = ["text"]

[data]
corpus = "table"
root = "{folder}/clips.csv"
labels = ["Happy", "Sad"]
folds = "{folder}/folds.json"
fold_dev_share = 0.0

[text]
encoder = "hf_text:{folder}/roberta"
train = "none"
epochs = 2
hidden_size = 8
learning_rate = 1e-3

[evaluation]
splits = ["test"]
resamples = 20

[ablations]
"no weights, γ = 1" = ["text.class_weights=none", "text.focal_gamma=1"]
smooth = ["text.label_smoothing=0.1"]
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Lines of eight speakers in two folds, and a tiny RoBERTa that reads them."""
    folder = tmp_path_factory.mktemp("mine")
    tiny_checkpoints.tiny_roberta(folder / "roberta")
    rows = [f'{n},"{WORDS[label]} {n}",s{n % 8},{label}' for n in range(32) for label in [list(WORDS)[n // 8 % 2]]]
    (folder / "clips.csv").write_text("\n".join(["id,text,speaker,emotion", *rows]) + "\n", encoding="utf-8")
    folds = {"folds": {"1": [f"s{n}" for n in range(4)], "2": [f"s{n}" for n in range(4, 8)]}}
    (folder / "folds.json").write_text(json.dumps(folds), encoding="utf-8")
    (folder / "mine.toml").write_text(TOML.format(folder=folder), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(folder / "cache"))
        yield folder / "mine.toml"


def test_every_variant_is_run_and_compared_with_the_base(experiment, tmp_path, capfd):
    tables, lines = ablate(experiment, (), tmp_path / "run")
    assert [row[0] for row in tables[0].rows] == ["mine", "no weights, γ = 1", "smooth"]
    assert all(line.clips == 32 for line in lines)
    base, weights = tmp_path / "run", tmp_path / "run" / "ablations" / "no-weights-γ-1"
    assert json.loads((weights / "run.json").read_text())["config"]["text"]["focal_gamma"] == 1
    assert json.loads((base / "run.json").read_text())["config"]["ablations"] == {}
    stored = json.loads((base / "ablation.json").read_text())["rows"]
    assert [row["name"] for row in stored[::2]] == ["mine", "no weights, γ = 1", "smooth"]
    assert "| smooth |" in (base / "ablation.md").read_text(encoding="utf-8")
    capfd.readouterr()
    assert ablate(experiment, (), tmp_path / "run") == (tables, lines)
    assert "…" not in capfd.readouterr().err, "a second time everything is done"
    shown = call("ablate", experiment, "--into", tmp_path / "run")
    assert shown.exit_code == 0 and "Macro-F1" in shown.stdout


def test_a_variant_is_the_base_with_its_changes(experiment):
    found = variants(load_config(experiment, ["text.epochs=7"]))
    base, _, smooth = found.values()
    assert base.text.epochs == smooth.text.epochs == 7
    assert smooth.text.model_copy(update={"label_smoothing": 0.0}) == base.text and smooth.name == "mine: smooth"


def test_the_ablations_that_come_with_us_can_be_run():
    found = variants(load_config(ROOT / "experiments" / "ablation_ravdess.toml"))
    assert len(found) == len({one.model_copy(update={"name": ""}).model_dump_json() for one in found.values()}) > 15


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('ablations={a = ["text.lr=1"]}', "a: --set: there is no setting 'text.lr'"),
        ('ablations={a = ["text.encoder=nothing"]}', "a: There is no encoder 'nothing'"),
        ("ablations={}", "no table"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(experiment, tmp_path, change, said):
    with pytest.raises(ConfigError, match=said):
        ablate(experiment, [change], tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""Every row of the paper's Table 2 is a file, and says just what it changes of the defaults."""

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from emojudge.config import load_config
from emojudge.preflight import check_names
from emojudge.registry import resolve
from emojudge.report import changed_settings

ROOT = Path(__file__).resolve().parents[1]
PAPER = sorted((ROOT / "experiments" / "paper").glob("*.toml"))
EVERY = {"data.dev2": "295", "evaluation.splits": "dev, dev2, dev+dev2, test, test2", "evaluation.published": "msp_podcast"}
JUDGED = {"judge.judge": "openai_batch:gpt-4", "judge.ask": "all", "judge.splits": "dev, dev2, test"}
WAVLM, ROBERTA = "WavLM-Large", "RoBERTa-Large"
ECAPA = {"audio.encoder": "ecapa:speechbrain/spkrec-ecapa-voxceleb"}
WHISPER = {"audio.encoder": "whisper:openai/whisper-small", "audio.normalise": "none"}
DEBERTA = {"text.encoder": "hf_text:microsoft/deberta-v3-large"}
SMALL = {"text.encoder": "hf_text:FacebookAI/roberta-base"}
BASELINE = {"modalities": "audio", "audio.residual": "False", "audio.attention_l2": "0.0"}

ROWS = {
    "task1_wavlm-large_roberta-large_judge": (f"{WAVLM} + {ROBERTA}, judged", JUDGED),
    "task1_wavlm-large_deberta-large_judge": (f"{WAVLM} + DeBERTa-Large, judged", JUDGED | DEBERTA),
    "task1_wavlm-large_roberta-large": (f"{WAVLM} + {ROBERTA}", {}),
    "task1_wavlm-base-plus_roberta-base": (
        "WavLM small + RoBERTa small",
        SMALL | {"audio.encoder": "hf_speech:microsoft/wavlm-base-plus"},
    ),
    "task1_whisper-small_roberta-base": ("Whisper-small + RoBERTa small", SMALL | WHISPER),
    "task1_ecapa_roberta-large": (f"ECAPA-TDNN + {ROBERTA}", ECAPA),
    "task1_baseline": ("Challenge baseline", BASELINE | {"audio.loss": "cross_entropy"}),
    "task1_hubert-large_roberta-large": (None, {"audio.encoder": "hf_speech:facebook/hubert-large-ll60k"}),
    "task1_wav2vec2-large_roberta-large": (None, {"audio.encoder": "hf_speech:facebook/wav2vec2-large-lv60"}),
    "task1_wavlm-large_roberta-large_early": (None, {"fusion_method": "early"}),
    "task2_wavlm-large_roberta-large": (f"{WAVLM} + {ROBERTA}", {}),
    "task2_wavlm-large_deberta-large": (f"{WAVLM} + DeBERTa-Large", DEBERTA),
    "task2_whisper-small_roberta-large": (f"Whisper-small + {ROBERTA}", WHISPER),
    "task2_wavlm-large": (f"{WAVLM}, audio only", {"modalities": "audio"}),
    "task2_ecapa_roberta-large": (f"ECAPA-TDNN + {ROBERTA}", ECAPA),
    "task2_baseline": ("Challenge baseline", BASELINE),
}
"""What each file is called in published.toml, and what it changes."""

PUBLISHED = [
    row
    for row in tomllib.loads(files("emojudge").joinpath("published.toml").read_text(encoding="utf-8"))["row"]
    if row["corpus"] == "msp_podcast" and "EmoJudge" in row["source"]
]
every_file = pytest.mark.parametrize("file", PAPER, ids=lambda path: path.stem)


def test_every_row_is_there():
    assert {file.stem for file in PAPER} == set(ROWS)
    assert {(row["task"], row["system"]) for row in PUBLISHED} == {
        ("emotions" if name.startswith("task1") else "attributes", system) for name, (system, _) in ROWS.items() if system
    }


@every_file
def test_a_row_changes_just_what_it_says(file):
    changed = {name: here for name, here, _ in changed_settings(load_config(file))}
    task = {"tasks": "attributes"} if file.stem.startswith("task2") else {}
    assert changed == EVERY | task | ROWS[file.stem][1]


@every_file
def test_its_encoders_and_judge_are_there(file):
    config = load_config(file)
    check_names(config)
    if config.judge.judge != "none":
        resolve("judges", config.judge.judge)


@every_file
def test_its_heading_has_the_papers_figures(file):
    heading = file.read_text(encoding="utf-8").split("\nname =")[0]
    task = load_config(file).tasks[0]
    figures = [row["scores"] for row in PUBLISHED if (row["task"], row["system"]) == (task, ROWS[file.stem][0])]
    for value in (value for scores in figures for value in scores.values()):
        assert f"{value:.4f}".removeprefix("0") in heading or f"{value:g}".removeprefix("0") in heading


def test_published_figures_stand_in_the_paper(shared):
    paper = (shared.parent / "paper" / "emojudge.md").read_text(encoding="utf-8")
    for value in (value for row in PUBLISHED for value in row["scores"].values()):
        assert f"{value:g}" in paper

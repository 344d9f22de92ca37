"""`make bench`: its list, its page, and that what it prints is what was measured; not the figures."""

import importlib.util
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emojudge.config import load_config
from emojudge.types import Prediction, Utterance

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("made_bench" if name == "__main__" else name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench(monkeypatch):
    yield load("__main__", monkeypatch)
    sys.modules.pop("measuring", None)


@pytest.fixture
def measuring(monkeypatch):
    return load("measuring", monkeypatch)


def test_the_list_names_files_and_the_page_names_the_list(bench):
    page = bench.PAGE.read_text(encoding="utf-8")
    names = (*bench.ROWS, *bench.OTHERS)
    assert list(bench.sections(page)) == list(names)
    assert page.startswith(bench.INTRODUCTION), "the text of the page is in benchmarks/__main__.py"
    for name, text in bench.sections(page).items():
        assert (FOLDER / f"{name}.py").exists()
        assert text.strip() == bench.UNMEASURED or re.match(
            rf"`python benchmarks/{name}\.py.*`: \d{{4}}-\d\d-\d\d, .*, load \d", text
        )


def test_rows_on_the_page_can_be_read(bench):
    sections = bench.sections(bench.PAGE.read_text(encoding="utf-8"))
    width = bench.HEADER.count("|")
    measured = [name for name in bench.ROWS if sections[name].strip() != bench.UNMEASURED]
    assert measured
    for name in measured:
        rows = [line for line in sections[name].splitlines() if line.startswith("|")]
        assert rows[0] == bench.HEADER and len(rows) > 3, name
        for row in rows[2:]:
            assert row.count("|") == width
            times = row.split(" | ")[5]
            assert times == "1" or re.fullmatch(r"\S+ \[\S+, \S+\]", times)


def test_those_of_the_list_can_be_asked_what_they_take(bench, monkeypatch, capsys):
    for name in bench.ROWS:
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as left:
            load(name, monkeypatch).main()
        assert left.value.code == 0 and "--repeats" in capsys.readouterr().out


def test_a_page_is_read_as_it_was_written(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "PAGE", tmp_path / "page.md")
    bench.write({"cues": "b\n\n| c |", "encode": "a"})
    text = bench.PAGE.read_text(encoding="utf-8")
    found = {name: body.strip() for name, body in bench.sections(text).items() if body.strip() != bench.UNMEASURED}
    assert found == {"encode": "a", "cues": "b\n\n| c |"}
    bench.write(bench.sections(text))
    assert bench.PAGE.read_text(encoding="utf-8") == text


def test_ratios_are_taken_within_a_turn_and_by_unit(measuring):
    runs = {
        "ours": measuring.Runs([1.0, 2.0, 4.0], [2.0, 2.0, 2.0], 10.0, None),
        "peer": measuring.Runs([3.0, 4.0, 20.0], [1.0, 1.0, 1.0], 20.0, None),
    }
    ours, peer = measuring.compare("q", "clip", {"ours": 1, "peer": 0.5}, runs, must=7)
    assert (ours.cpu, peer.cpu, peer.clock, ours.times) == (2.0, 8.0, 2.0, None)
    assert peer.times == (6.0, 4.0, 10.0)
    assert str(peer) == "| q | peer | clip | 8 | 2 | 6 [4, 10] | ≥ 7: no | 20 |"
    assert measuring.compare("q", "clip", 1, runs, by="clock")[1].times == (0.5, 0.5, 0.5)
    bound = measuring.limit(ours, "bound", 1.0, runs["ours"].cpu, must=0.5)
    assert bound.times == (0.5, 0.25, 1.0) and "≥ 0.5: yes" in str(bound)


def test_systems_are_timed_in_processes_of_their_own(measuring):
    from tests import made_up_systems

    found = measuring.race({"big": made_up_systems.big, "small": made_up_systems.small}, 2)
    assert [run.found for run in found.values()] == ["big 2", "small 2"]
    assert all(len(run.cpu) == len(run.clock) == 2 for run in found.values())
    assert found["big"].peak > found["small"].peak + 50
    assert all(clock >= 0.05 for clock in found["small"].clock) and sum(found["small"].cpu) < 0.05
    with pytest.raises(SystemExit, match="broken failed"):
        measuring.race({"broken": made_up_systems.broken}, 1)


def test_multiply_adds_are_those_that_torch_counts(monkeypatch):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    wavlm = load("encode_wavlm", monkeypatch)
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96, "conv_dim": (32,) * 7}
    monkeypatch.setitem(wavlm.SIZES, "small", small | {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4})
    network = wavlm.model("small")
    torch.nn.utils.parametrize.remove_parametrizations(network.encoder.pos_conv_embed.conv, "weight")  # the counter trips over it
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        network(torch.randn(1, 32_000))
    assert math.isclose(wavlm.multiply_adds("small", 32_000), counted.get_total_flops() / 2, rel_tol=0.05)


def test_random_edits_are_counted_and_what_fails_is_printed(monkeypatch, capsys):
    from tests.fuzz_targets import TARGETS

    fuzz = load("fuzz", monkeypatch)
    assert fuzz.draws(*TARGETS["sniffer"], 0.3) > 3
    with pytest.raises(ZeroDivisionError):
        fuzz.draws(lambda data: 1 / 0, [b"x"], 0.3)
    assert "failed on b" in capsys.readouterr().out


def test_an_audit_that_could_ask_nobody_is_no_clean_one(monkeypatch, capsys):
    audit = load("audit", monkeypatch)
    skipped = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1.0)"}
    clean = {"name": "b", "version": "1", "vulns": []}
    holed = {"name": "c", "version": "2", "vulns": [{"id": "A", "fix_versions": ["2.1"]}, {"id": "B", "fix_versions": []}]}
    [said], code = audit.told({"dependencies": [skipped, skipped]})
    assert code == 0 and said.startswith("warning: nothing is known") and "any of 2 packages" in said
    assert audit.told({"dependencies": [clean]}) == (["0 known holes in 1 packages"], 0)
    lines, code = audit.told({"dependencies": [clean, holed, skipped]})
    assert code == 1 and lines[0] == "c 2: A, mended in 2.1" and lines[1].endswith("no release")
    assert lines[2] == "2 known holes in 2 packages; 1 could not be asked about"
    assert audit.main("/nowhere/pip-audit") == 0 and "pip-audit is not installed" in capsys.readouterr().out
    assert audit.main("/bin/true") == 0 and "got no answer" in capsys.readouterr().out


def test_a_stream_is_played_in_real_time_and_what_waited_is_one_chunk(monkeypatch):
    import numpy as np

    monkeypatch.syspath_prepend(str(FOLDER))
    live, now = load("live", monkeypatch), [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    sizes, samples = [], np.arange(16000 + 500)
    for chunk in live.played(samples, 0.0):
        assert now[0] >= (sum(sizes) + len(chunk)) / 16000 - 1e-9, "no sound before it was played"
        sizes.append(len(chunk))
        now[0] += 0.55 if len(sizes) == 2 else 0.0  # a model computes
    assert sizes == [1600, 1600, 8000, 1600, 1600, 1600, 500]


def test_a_corpus_left_out_is_held_against_the_plain_regression_clip_by_clip(monkeypatch):
    cross = load("cross_corpus", monkeypatch)
    names = ["Angry", "Happy"]
    rows = [
        Utterance(
            id=f"{corpus}{n}", audio="x.wav", speaker=f"{corpus}{n // 4}", session=corpus, emotion=names[n % 2], split="test"
        )
        for corpus in "ab"
        for n in range(16)
    ]

    def part(corpus):
        tested = [u for u in rows if u.session == corpus]
        said = {u.id: Prediction(u.id, "audio", {name: float(name == u.emotion) for name in names}) for u in tested}
        return SimpleNamespace(fold=corpus, manifest=lambda: rows, read_predictions=lambda *_: said)

    config = SimpleNamespace(data=SimpleNamespace(labels=names))
    run = SimpleNamespace(parts=lambda: [part("a"), part("b")], config=config)
    # corpus a tells its emotions by a number whose sign corpus b turns round: what is learnt on one is wrong on the other
    told = {u.id: np.array([(names.index(u.emotion) - 0.5) * (1 if u.session == "a" else -1)]) for u in rows}
    monkeypatch.setattr(cross, "as_they_are", lambda _: told)
    (c, lines), (lower, _) = cross.against_plain(run)
    assert (c, lower) == cross.PLAIN_C
    assert [re.split(r"\s+UA ", line) for line in lines.split("\n")] == [
        [name, "0.0, +100.0 [100.0, 100.0]"] for name in ("a", "b", "mean")
    ]


def test_the_plain_regression_sees_clips_as_they_are(monkeypatch):
    cross = load("cross_corpus", monkeypatch)
    audio = load_config(cross.RECIPE, cross.PLAIN).audio
    assert (audio.encoder, audio.layers, audio.condition, audio.augment) == ("whisper:offline", (2, 3, 4), "", ())

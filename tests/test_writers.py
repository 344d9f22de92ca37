"""Every format, read back by somebody else's reader."""

import csv
import inspect
import json
import pkgutil

import numpy as np
import pytest

from emojudge import registry, writers
from emojudge.timeline import Segment, Timeline, settle
from tests.test_docs import example

FORMATS = registry.names("writers")
EMOTIONS = ("Angry", "Happy", "Neutral")
NASTY = 'He said "no" <b>& left</b> --> gone\n=cmd|calc\t\x07 ü 😀'


def segment(start, end, text, scores, speaker=None):
    attributes = {"valence": 4.25 - start / 10, "arousal": 3.5}
    words = [
        {"word": w, "start": start + 0.1 * i, "end": start + 0.1 * i + 0.1, "confidence": 0.9} for i, w in enumerate(text.split())
    ]
    alone = {"emotions": dict(zip(EMOTIONS, scores, strict=True)), "attributes": attributes}
    return Segment(start, end, text, words, speaker, alone=alone)


def timeline(segments=(), **about):
    found = Timeline("a b.wav", 12.5, list(segments), {"valence": 0.5, "arousal": 0.4}, path="/tmp/a b.wav", **about)
    settle(found.segments, 0)
    return found


@pytest.fixture
def told():
    return timeline(
        [
            segment(0.5, 2.25, "We won!", (0.1, 0.8, 0.1), "S1"),
            segment(2.25, 4.0, NASTY, (0.7, 0.2, 0.1), "S2"),
            segment(7.0, 12.5, "-5 degrees", (0.2, 0.2, 0.6), "S1"),
        ],
        notice="Made up.",
    )


def write(name, told, folder):
    module, _ = registry.resolve("writers", name)
    path = folder / f"out{module.SUFFIX}"
    module.write(told, path)
    assert path.exists() and [p.name for p in folder.iterdir()] == [path.name], "nothing is left behind"
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_keeps_the_contract(name, told, tmp_path):
    module, _ = registry.resolve("writers", name)
    assert (
        module.__doc__
        and module.SUFFIX.startswith(".")
        and list(inspect.signature(module.write).parameters) == ["timeline", "path"]
    )
    write(name, told, tmp_path)
    write(name, told, tmp_path)  # over what is there


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_in_which_nobody_speaks(name, tmp_path):
    write(name, timeline(), tmp_path)


def test_suffixes_differ():
    assert len({registry.resolve("writers", name)[0].SUFFIX for name in FORMATS}) == len(FORMATS)
    assert len(FORMATS) == 11 == len(list(pkgutil.iter_modules(writers.__path__)))


def test_the_example_in_the_documents(told, tmp_path):
    module = example("Add an output format")
    module.write(told, tmp_path / "out.txt")
    lines = (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 and lines[0] == "S1 [Happy 80%]: We won!"


def test_jsonl(told, tmp_path):
    rows = [json.loads(line) for line in write("jsonl", told, tmp_path).read_text(encoding="utf-8").splitlines()]
    assert [(r["start"], r["end"], r["speaker"], r["emotion"], r["confidence"]) for r in rows] == [
        (0.5, 2.25, "S1", "Happy", 0.8),
        (2.25, 4.0, "S2", "Angry", 0.7),
        (7.0, 12.5, "S1", "Neutral", 0.6),
    ]
    assert rows[1]["text"] == NASTY and rows[0]["words"][1] == {"word": "won!", "start": 0.6, "end": 0.7, "confidence": 0.9}
    assert rows[0]["emotions"] == rows[0]["alone"]["emotions"] and rows[0]["attribute_error"] == {"valence": 0.5, "arousal": 0.4}


def test_csv_runs_no_formula(told, tmp_path):
    with write("csv", told, tmp_path).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["start"]) for row in rows] == [0.5, 2.25, 7.0] and rows[1]["text"] == NASTY
    assert rows[2]["text"] == "'-5 degrees" and float(rows[0]["p_Happy"]) == 0.8 and float(rows[0]["valence_error"]) == 0.5


def test_parquet(told, tmp_path):
    table = pytest.importorskip("pyarrow.parquet").read_table(write("parquet", told, tmp_path))
    assert table.column("text").to_pylist()[1] == NASTY and str(table.schema.field("valence").type) == "double"
    assert table.column("emotion").to_pylist() == ["Happy", "Angry", "Neutral"]


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles(name, told, tmp_path):
    webvtt = pytest.importorskip("webvtt")
    path = write(name, told, tmp_path)
    captions = list(webvtt.from_srt(path) if name == "srt" else webvtt.read(path))
    assert [(c.start_in_seconds, c.end_in_seconds) for c in captions] == [(0, 2), (2, 4), (7, 12)]
    assert [c.start for c in captions] == ["00:00:00.500", "00:00:02.250", "00:00:07.000"]
    assert "[Happy 80%]" in captions[0].text and "We won!" in captions[0].text
    assert "gone =cmd|calc" in captions[1].text and "-->" not in captions[1].text
    if name == "vtt":
        assert captions[0].voice == "S1" and "<b>" not in captions[1].raw_text and "Made up." in path.read_text(encoding="utf-8")


def test_textgrid(told, tmp_path):
    praat = pytest.importorskip("pympi.Praat")
    grid = praat.TextGrid(str(write("textgrid", told, tmp_path)))
    tiers = {tier.name: tier.get_all_intervals() for tier in grid.get_tiers()}
    assert list(tiers) == ["emotion", "confidence", "speaker", "text", "words", "valence", "arousal"]
    assert tiers["emotion"] == [(0, 0.5, ""), (0.5, 2.25, "Happy"), (2.25, 4, "Angry"), (4, 7, ""), (7, 12.5, "Neutral")]
    assert tiers["text"][2][2].startswith('He said "no"') or tiers["text"][2][2].startswith('He said ""no""')
    for intervals in tiers.values():
        assert intervals[0][0] == 0 and intervals[-1][1] == 12.5
        assert all(a[1] == b[0] for a, b in zip(intervals, intervals[1:], strict=False))


def test_elan(told, tmp_path):
    elan = pytest.importorskip("pympi.Elan")
    document = elan.Eaf(str(write("elan", told, tmp_path)))
    assert document.get_linked_files()[0]["MEDIA_URL"] == "file:///tmp/a%20b.wav"
    found = sorted((a, b, text) for a, b, text, *_ in document.get_annotation_data_for_tier("emotion"))
    assert found == [(500, 2250, "Happy"), (2250, 4000, "Angry"), (7000, 12500, "Neutral")]
    [said] = [row[2] for row in document.get_annotation_data_for_tier("text") if row[0] == 2250]
    assert '"no" <b>& left</b> -->' in said and "ü 😀" in said
    assert len(document.get_annotation_data_for_tier("words")) == sum(len(one.words) for one in told.segments)


def test_audacity(told, tmp_path):
    lines = write("audacity", told, tmp_path).read_text(encoding="utf-8").splitlines()
    assert [tuple(map(float, line.split("\t")[:2])) for line in lines] == [(0.5, 2.25), (2.25, 4.0), (7.0, 12.5)]
    assert all(line.count("\t") == 2 for line in lines) and lines[0].endswith("S1 [Happy 80%]: We won!")


def test_label_studio(told, tmp_path):
    """By the grammar of its documentation: the parts of a region share id, start and end, each with its own type."""
    [task] = json.loads(write("label_studio", told, tmp_path).read_text(encoding="utf-8"))
    parts = task["predictions"][0]["result"]
    assert task["data"] == {"audio": "/tmp/a b.wav"} and abs(task["predictions"][0]["score"] - 0.7) < 1e-9
    assert {part["id"] for part in parts} == {"s0", "s1", "s2"}
    first = {part["from_name"]: part for part in parts if part["id"] == "s0"}
    assert {name: part["type"] for name, part in first.items()} == {
        "emotion": "labels", "transcription": "textarea", "valence": "number", "arousal": "number"}  # fmt: skip
    assert all((p["value"]["start"], p["value"]["end"], p["to_name"]) == (0.5, 2.25, "audio") for p in first.values())
    assert first["emotion"]["value"]["labels"] == ["Happy"] and first["transcription"]["value"]["text"] == ["We won!"]


def test_audformat(told, tmp_path):
    audformat = pytest.importorskip("audformat")
    database = audformat.Database.load(str(write("audformat", told, tmp_path)), load_data=True)
    frame = database["segments"].get()
    assert list(frame["emotion"]) == ["Happy", "Angry", "Neutral"] and database.schemes["emotion"].labels == list(EMOTIONS)
    assert [(a.total_seconds(), b.total_seconds()) for _, a, b in frame.index] == [(0.5, 2.25), (2.25, 4.0), (7.0, 12.5)]
    assert np.allclose(frame["valence"].astype(float), [4.2, 4.025, 3.55])
    from emojudge.corpora import audformat as ours

    assert [u.emotion for u in ours.utterances(tmp_path / "out.audformat")] == ["Happy", "Angry", "Neutral"]


def test_picture(told, tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    pixels = imread(write("picture", told, tmp_path))
    framed = np.abs(pixels[..., :3] - np.array([0xC4, 0x46, 0x1F]) / 255).max(-1) < 0.02
    assert pixels.shape[1] > 1000 and framed.sum() > 200, "the most probable emotions are framed"

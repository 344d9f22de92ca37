"""From settings to utterances."""

from collections import Counter
from pathlib import Path

import pytest

from emojudge import manifest
from emojudge.checks import check
from emojudge.errors import DataError, UnknownName
from emojudge.settings import DataSettings

HEADER = "audio,text,speaker,split,emotion,votes"


def settings(tmp_path, *rows, **changes):
    (tmp_path / "manifest.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return DataSettings(corpus="table", root=tmp_path, **{"labels": ("Sad", "Happy"), **changes})


def rows(count=24):
    return [
        f"{n}.wav,hello,s{n % 6},{('train', 'dev', 'test')[n % 6 // 2]},{('Sad', 'Happy')[n // 6 % 2]}," for n in range(count)
    ]


def test_read(tmp_path):
    found = manifest.read(settings(tmp_path, *rows()))
    assert len(found) == 24
    assert manifest.read(DataSettings(corpus=f"table:{tmp_path / 'manifest.csv'}")) == found


def test_labels_are_mapped_then_filtered_and_no_clip_is_lost(tmp_path):
    row = 'a.wav,hi,s,train,Calm,"{""Calm"": 2, ""Neutral"": 1}"'
    found = manifest.read(settings(tmp_path, row, "b.wav,hi,s,train,Angry,", labels=("Neutral",), label_map={"Calm": "Neutral"}))
    assert [item.emotion for item in found] == ["Neutral", None]
    assert found[0].votes == {"Neutral": 3.0}


def test_audio_root_moves_relative_paths_only(tmp_path):
    found = manifest.read(settings(tmp_path, "x/a.wav,,,,,", "/abs/b.wav,,,,,", audio_root=Path("/data")))
    assert [item.audio for item in found] == ["/data/x/a.wav", "/abs/b.wav"]


def test_speaker_splits_and_limit(tmp_path):
    found = manifest.read(settings(tmp_path, *rows(60), splits="speaker", limit=2))
    assert set(Counter((item.split, item.emotion) for item in found).values()) == {2}
    assert len(found) == 12
    assert manifest.read(settings(tmp_path, *rows(60), splits="speaker", limit=2)) == found


def test_dev2_is_a_balanced_part_of_dev_held_out(tmp_path):
    before = {item.id: item for item in manifest.read(settings(tmp_path, *rows(60)))}
    found = manifest.read(chosen := settings(tmp_path, *rows(60), dev2=3))
    moved = [item for item in found if item.split == "dev2"]
    assert Counter(item.emotion for item in moved) == {"Sad": 3, "Happy": 3}
    assert all(before[item.id].split == "dev" for item in moved)
    assert all(before[item.id] == item for item in found if item not in moved)
    assert "data.dev2 leaves 7 clips of Sad in dev." in check(found, chosen).warnings
    with pytest.raises(DataError, match="draw fewer"):
        manifest.read(settings(tmp_path, *rows(60), dev2=11))


def test_what_stops_reading(tmp_path):
    with pytest.raises(DataError, match=r"data\.root=FOLDER"):
        manifest.read(DataSettings(corpus="ravdess"))
    with pytest.raises(DataError, match="holds no utterance"):
        manifest.read(settings(tmp_path))
    with pytest.raises(UnknownName, match="did you mean 'ravdess'"):
        manifest.read(DataSettings(corpus="ravdes", root=tmp_path))


def test_composite_finds_its_recordings(shared):
    labels = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Neutral")
    chosen = DataSettings(corpus="table", root=shared / "composite", audio_root=shared / "ravdess", labels=labels)
    found = manifest.read(chosen)
    assert Counter(item.split for item in found) == {"train": 832, "dev": 195, "test": 208}
    for utterances in (found, manifest.read(chosen.model_copy(update={"splits": "speaker"}))):
        findings = check(utterances, chosen)
        assert findings.errors == ()
        same, fast = findings.warnings
        assert same.startswith("1 recordings stand under several ids"), "RAVDESS's pair"
        assert fast.startswith("6 transcripts have over 10 words a second"), "the voice does not speak the text"


def test_notices():
    assert "mean nothing about people" in manifest.notice(DataSettings(corpus="synthetic"))
    assert manifest.notice(DataSettings(corpus="ravdess")) == ""

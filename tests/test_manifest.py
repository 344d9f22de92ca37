"""From settings to utterances, and what the border check says about each fault."""

from collections import Counter
from pathlib import Path

import pytest

from emojudge import manifest
from emojudge.errors import DataError, UnknownName
from emojudge.settings import DataSettings
from emojudge.types import Utterance

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
    assert "data.dev2 leaves 7 clips of Sad in dev." in manifest.check(found, chosen).warnings
    with pytest.raises(DataError, match="draw fewer"):
        manifest.read(settings(tmp_path, *rows(60), dev2=11))


def test_what_stops_reading(tmp_path):
    with pytest.raises(DataError, match=r"data\.root=FOLDER"):
        manifest.read(DataSettings(corpus="ravdess"))
    with pytest.raises(DataError, match="holds no utterance"):
        manifest.read(settings(tmp_path))
    with pytest.raises(UnknownName, match="did you mean 'ravdess'"):
        manifest.read(DataSettings(corpus="ravdes", root=tmp_path))


def test_a_sound_manifest_has_no_findings(tmp_path):
    chosen = settings(tmp_path, *rows())
    for n in range(24):
        (tmp_path / f"{n}.wav").touch()
    assert manifest.check(manifest.read(chosen), chosen) == manifest.Findings()


def fault(**changes):
    """A sound corpus in memory (without audio) with one utterance changed."""
    sound = [
        Utterance(f"{split}{n}", text="hello", speaker=f"{split}{n}", split=split, emotion=("Sad", "Happy")[n])
        for split in ("train", "dev", "test")
        for n in range(2)
    ]
    return [*sound, Utterance(**{"id": "x", "text": "hi", "split": "train", **changes})]


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"id": "dev0"}, "errors", "1 ids are not unique: dev0."),
        ({"start": 2.0, "end": 1.0}, "errors", "1 stretches end before they begin, or begin before 0: x."),
        ({"start": -1.0}, "errors", "1 stretches end before they begin, or begin before 0: x."),
        ({"audio": "/nowhere/x.wav"}, "warnings", "1 recordings are not there and will be skipped: x."),
        ({"audio": "/nowhere/\0.wav"}, "warnings", "1 recordings are not there and will be skipped: x."),
        ({"text": " "}, "warnings", "1 transcripts are empty: x."),
        ({"text": None}, "warnings", "1 transcripts are empty: x."),
        ({"speaker": "dev0"}, "warnings", "1 speakers are in more than one split: dev0."),
        ({"emotion": "Bored"}, "warnings", "1 clips are Bored, which data.labels lacks, and will have no label: x."),
        ({"id": "a\nb", "text": ""}, "warnings", "1 transcripts are empty: 'a\\nb'."),
    ],
)
def test_each_fault_is_found(changes, kind, sentence):
    findings = manifest.check(fault(**changes), DataSettings(labels=("Sad", "Happy")))
    assert getattr(findings, kind) == (sentence,)
    assert len(findings.errors) + len(findings.warnings) == 1


def test_ids_are_named_up_to_five():
    many = [Utterance(f"u{n}", text="") for n in range(30)]
    assert "30 transcripts are empty: u0, u1, u2, u3, u4 and 25 more." in manifest.check(many, DataSettings()).warnings


def test_absent_classes():
    chosen = DataSettings(labels=("Sad", "Happy", "Contempt"))
    assert manifest.check(fault(), chosen).errors == ("No clip of the split train is Contempt; leave that out of data.labels.",)
    without = [item for item in fault() if (item.split, item.emotion) != ("dev", "Sad")]
    assert manifest.check(without, DataSettings(labels=("Sad", "Happy"))).warnings == ("No clip of the split dev is Sad.",)


def test_folds_that_name_strangers(tmp_path):
    (tmp_path / "folds.json").write_text('{"folds": {"1": ["dev0", "dev1"], "2": ["nobody"]}}', encoding="utf-8")
    chosen = DataSettings(labels=("Sad", "Happy"), folds=tmp_path / "folds.json")
    assert manifest.check(fault(), chosen).warnings == ("1 members of data.folds are in no utterance: nobody.",)
    assert manifest.check(fault(), chosen.model_copy(update={"limit": 5})) == manifest.Findings()


def test_labels_without_splits():
    findings = manifest.check([Utterance("a", text="hi", emotion="Sad")], DataSettings())
    assert findings.errors == ("No utterance has a split; set data.splits = 'speaker', or name data.folds.",)


def test_no_recording_at_all():
    findings = manifest.check([Utterance("a", audio="/nowhere/a.wav")], DataSettings())
    assert "None of the 1 recordings is there" in findings.errors[0]


def test_table_1(shared):
    chosen = DataSettings(corpus="ravdess", root=shared / "ravdess", labels=("Sad", "Neutral"))
    table = manifest.table1(manifest.read(chosen), chosen.labels, hours=True)
    values = {row.name: row.values for row in table}
    assert values["Sad"] == pytest.approx({"train": 2 / 3, "dev": 2 / 3, "test": 2 / 3})
    assert values["Total files"] == {"train": 960, "dev": 240, "test": 240}
    assert values["No label"] == {"train": 768, "dev": 192, "test": 192}
    assert values["Speakers"] == {"train": 16, "dev": 4, "test": 4}
    assert sum(values["Hours"].values()) == pytest.approx(1.48, abs=0.02)


def test_composite_finds_its_recordings(shared):
    labels = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Neutral")
    chosen = DataSettings(corpus="table", root=shared / "composite", audio_root=shared / "ravdess", labels=labels)
    found = manifest.read(chosen)
    assert Counter(item.split for item in found) == {"train": 832, "dev": 195, "test": 208}
    assert manifest.check(found, chosen) == manifest.Findings()
    folds = manifest.read(chosen.model_copy(update={"splits": "speaker"}))
    assert manifest.check(folds, chosen) == manifest.Findings()


def test_notices():
    assert "mean nothing about people" in manifest.notice(DataSettings(corpus="synthetic"))
    assert manifest.notice(DataSettings(corpus="ravdess")) == ""

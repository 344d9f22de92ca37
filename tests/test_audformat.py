"""audformat databases, against the package itself."""

import pytest

from emojudge.corpora import audformat as ours
from emojudge.errors import DataError, MissingExtra
from emojudge.types import Utterance
from tests.made_up_corpora import mini_audformat, write_wav


def test_tables_of_files_and_segments_become_utterances(tmp_path):
    mini_audformat(tmp_path)
    whole, segment = ours.utterances(tmp_path)
    assert (whole.emotion, whole.votes, whole.split) == ("Angry", {"Angry": 1.0, "Sad": 1.0}, "dev")
    assert (whole.speaker, whole.gender, whole.text) == ("3", "male", "Hallo.")
    assert (segment.start, segment.end, segment.attributes) == (0.0, 0.05, {"arousal": 0.5})
    assert (segment.emotion, segment.votes, segment.gender, segment.split) == ("Boredom", {"Boredom": 1.0}, "female", "dev")


def test_speakers_in_a_table_of_their_own(tmp_path):
    package = pytest.importorskip("audformat")
    import pandas

    database = package.Database("made-up")
    index = pandas.Index(["ann", "bob"], dtype="string", name="who")
    database.schemes["gender"] = package.Scheme(labels=["female", "male"])
    database["people"] = package.MiscTable(index)
    database["people"]["gender"] = package.Column(scheme_id="gender")
    database["people"]["gender"].set(["female", "male"])
    database.schemes["speaker"] = package.Scheme("str", labels="people")
    database["files"] = package.Table(package.filewise_index(["a.wav", "b.wav"]))
    database["files"]["who"] = package.Column(scheme_id="speaker")
    database["files"]["who"].set(["bob", "ann"])
    database.save(str(tmp_path))
    assert [(item.speaker, item.gender) for item in ours.utterances(tmp_path)] == [("bob", "male"), ("ann", "female")]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("times", [(None, None), (0.5, 1.25)])
def test_what_is_written_is_read_again(tmp_path, form, times):
    package = pytest.importorskip("audformat")
    full = {"text": "Well, yes.", "speaker": "ann", "gender": "female", "emotion": "Contempt", "start": times[0], "end": times[1]}
    items = [
        Utterance(
            "one", str(tmp_path / "a.wav"), split="train", attributes={"valence": 2.5}, votes={"Sad": 2.0, "Other": 1.0}, **full
        ),
        Utterance("two", str(tmp_path / "b.wav"), split="train", emotion="Excited", start=times[0], end=times[1]),
        Utterance("three", str(tmp_path / "c" / "c.wav"), split="test2"),
    ]
    ours.write(items, tmp_path, form=form)
    assert {item.id: item for item in ours.utterances(tmp_path)} == {item.id: item for item in items}
    database = package.Database.load(str(tmp_path), load_data=True)
    assert database["utterances.train"]["emotion"].get().tolist() == ["Contempt", "Excited"]
    assert database["utterances.train"].split.type == "train"
    assert database.files.tolist() == ["a.wav", "b.wav", "c/c.wav"]


def test_text_alone_cannot_be_written(tmp_path):
    pytest.importorskip("audformat")
    with pytest.raises(DataError, match="line7 has no recording"):
        ours.write([Utterance("line7", text="Hm.")], tmp_path)


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    mini_audformat(tmp_path)
    (tmp_path / "db.files.csv").unlink()
    with pytest.raises(DataError, match=r"audformat database \(No file found for table.*files") as failure:
        list(ours.utterances(tmp_path))
    assert str(tmp_path) in str(failure.value) and "\n" not in str(failure.value)
    for header in ("- 1", "name: [", "name: x"):
        (tmp_path / "db.yaml").write_text(header, encoding="utf-8")
        with pytest.raises(DataError, match="audformat database"):
            list(ours.utterances(tmp_path))


def test_without_the_package(tmp_path, monkeypatch):
    write_wav(tmp_path / "a.wav")
    (tmp_path / "db.yaml").touch()
    monkeypatch.setattr(ours.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"emojudge\[audformat\]"):
        list(ours.utterances(tmp_path))


def test_emodb_for_real(shared, tmp_path):
    from emojudge.corpora import emodb

    pytest.importorskip("audformat")
    items = list(emodb.utterances(shared / "emodb"))
    ours.write(items, tmp_path)
    assert sorted(ours.utterances(tmp_path), key=lambda item: item.id) == items

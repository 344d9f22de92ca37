"""Hugging Face datasets on disk, and Parquet tables: files that pyarrow and `datasets` themselves wrote."""

import json
from pathlib import Path

import pytest

from emojudge import audio
from emojudge.corpora import _arrow, hf_dataset, table
from emojudge.errors import DataError, MissingExtra
from tests.made_up_corpora import mini_hf_dataset, write, write_wav

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))


def test_classes_texts_and_recordings(tmp_path):
    mini_hf_dataset(tmp_path / "data")
    known, unknown = hf_dataset.utterances(tmp_path / "data")
    assert (known.emotion, known.text, known.split) == ("Happy", "Yes.", "dev")
    assert (unknown.emotion, unknown.text) == (None, None)
    assert known.audio == unknown.audio
    assert Path(known.audio).read_bytes() == (tmp_path / "outside.wav").read_bytes()
    assert len(audio.read(known.audio)) == 1600


def test_what_datasets_saves_and_exports(tmp_path):
    datasets = pytest.importorskip("datasets")
    from datasets.table import InMemoryTable

    features = datasets.Features(
        {"audio": datasets.Audio(decode=False), "emotion": datasets.ClassLabel(names=["fear", "neutral"])}
    )
    write_wav(tmp_path / "a.wav")
    cells = pa.array([{"bytes": (tmp_path / "a.wav").read_bytes(), "path": "a.wav"}] * 3, features.arrow_schema.field(0).type)
    content = InMemoryTable(pa.table({"audio": cells, "emotion": [0, 1, 0]}))
    made = datasets.Dataset(content, datasets.DatasetInfo(features=features), fingerprint="made-up")
    datasets.disable_progress_bars()
    datasets.DatasetDict({"train": made, "validation": made}).save_to_disk(str(tmp_path / "many"))
    made.save_to_disk(str(tmp_path / "one"), num_shards=2)
    made.to_parquet(str(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet"))
    splits = {"many": ["train", "dev"], "one": [None], "hub": ["test"]}
    for folder, expected in splits.items():
        found = list(hf_dataset.utterances(tmp_path / folder))
        assert [item.split for item in found] == [split for split in expected for _ in range(3)]
        assert [item.emotion for item in found] == ["Fear", "Neutral", "Fear"] * len(expected)
        assert len({item.id for item in found}) == len(found)
        assert all(audio.read(item.audio).any() for item in found)


def test_splits_by_file_and_folder_names(tmp_path):
    for name in ("emo-train", "emo-validation", "plain/test/0000", "cache-1234", "contest"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        rows = pa.table({"text": [name], "label": ["Grief"], "speaker_id": [7], "id": [name]})
        with pa.ipc.new_stream(str(tmp_path / f"{name}.arrow"), rows.schema) as out:
            out.write_table(rows)
    found = {item.id: (item.split, item.emotion, item.speaker) for item in hf_dataset.utterances(tmp_path)}
    assert {name: split for name, (split, _, _) in found.items()} == {
        "contest": None,
        "emo-train": "train",
        "emo-validation": "dev",
        "plain/test/0000": "test",
    }
    assert {rest for _, *rest in map(tuple, found.values()) for rest in [tuple(rest)]} == {("Grief", "7")}


def test_recordings_outside_keep_their_place(tmp_path):
    parquet.write_table(pa.table({"audio": [{"bytes": None, "path": "clips/a.wav"}]}), tmp_path / "train.parquet")
    (item,) = hf_dataset.utterances(tmp_path)
    assert (item.id, item.audio) == ("train/0", str(tmp_path / "clips" / "a.wav"))


def test_recordings_as_mere_bytes_or_samples(tmp_path):
    write_wav(tmp_path / "a.wav")
    parquet.write_table(pa.table({"audio": [(tmp_path / "a.wav").read_bytes()]}), tmp_path / "train.parquet")
    (item,) = hf_dataset.utterances(tmp_path)
    assert len(audio.read(item.audio)) == 1600
    parquet.write_table(pa.table({"audio": [{"array": [0.5], "sampling_rate": 16000}]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet, row 1: audio has neither bytes nor a path"):
        list(hf_dataset.utterances(tmp_path))


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no dataset"):
        list(hf_dataset.utterances(tmp_path))
    for name in ("train.arrow", "train.parquet"):
        write(tmp_path / name, "not what it says")
        with pytest.raises(DataError, match=rf"{name} cannot be read \(.*\); get the file anew\.$"):
            list(hf_dataset.utterances(tmp_path))
        (tmp_path / name).unlink()
    schema = pa.schema([("label", pa.int64())], {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["a"]}}}})})
    parquet.write_table(pa.table({"label": [0, 5]}, schema), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet, row 2: there is no class 5"):
        list(hf_dataset.utterances(tmp_path))


def test_a_parquet_table_is_a_table(tmp_path):
    votes = [{"Sad": 2, "Other": None}, {"Sad": None, "Other": 1}]
    columns = {"audio": ["a.wav", "b.wav"], "emotion": ["SAD", None], "valence": [2.5, float("nan")], "votes": votes}
    parquet.write_table(pa.table(columns), tmp_path / "manifest.parquet")
    first, second = table.utterances(tmp_path)
    assert (first.id, first.emotion, first.attributes, first.votes) == ("a", "Sad", {"valence": 2.5}, {"Sad": 2.0})
    assert (second.emotion, second.attributes, second.votes) == (None, {}, {"Other": 1.0})


def test_without_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").touch()
    monkeypatch.setattr(_arrow.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"emojudge\[tables\]"):
        list(table.utterances(tmp_path / "x.parquet"))

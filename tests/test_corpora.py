"""The contract of every corpus, found by the registry's own scan, on a miniature in the true layout and on real data."""

import json
from collections import Counter
from pathlib import Path

import pytest

from emojudge import manifest, registry
from emojudge.corpora import emobank, emodb, meld, nemo, ravdess, synthetic, table
from emojudge.corpora._reading import OTHERS
from emojudge.corpora._synthetic_plan import plan
from emojudge.errors import DataError, MissingExtra
from emojudge.settings import DataSettings
from emojudge.types import ATTRIBUTES, EMOTIONS
from tests import made_up_corpora
from tests.made_up_corpora import mini_emodb, mini_meld, mini_ravdess, write, write_wav

NAMES = {*EMOTIONS, *OTHERS}


MINIATURES = {name.removeprefix("mini_"): make for name, make in vars(made_up_corpora).items() if name.startswith("mini_")}
LOADERS = {name: registry.resolve("corpora", name)[0] for name in registry.names("corpora")}


def test_every_corpus_has_a_miniature():
    assert set(LOADERS) == set(MINIATURES)


@pytest.mark.parametrize("name", LOADERS)
def test_contract(name, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))
    corpus, expected = LOADERS[name], MINIATURES[name](tmp_path)
    found = list(corpus.utterances(tmp_path))
    assert [item.id for item in found] == expected
    assert list(corpus.utterances(tmp_path)) == found
    for item in found:
        assert item.audio is None or (Path(item.audio).is_file() and item.audio.startswith(str(tmp_path)))
        assert item.audio or item.text
        assert item.emotion is None or item.emotion in NAMES
        assert item.gender in {None, "female", "male"}
        assert item.split in {None, "train", "dev", "test", "test2", "test3"}
        assert set(item.attributes) <= set(ATTRIBUTES)
        assert set(item.votes) <= NAMES


@pytest.mark.parametrize("name", LOADERS)
def test_a_corpus_describes_itself(name):
    corpus = LOADERS[name]
    assert set(corpus.LABELS.values()) <= NAMES
    assert isinstance(getattr(corpus, "NOTICE", ""), str)
    for word in ("source", "licence", "speakers", "traps"):
        assert word in corpus.__doc__.lower(), word


@pytest.mark.parametrize("name", LOADERS)
def test_a_missing_folder_is_one_sentence(name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as failure:
        list(LOADERS[name].utterances(tmp_path / "file" / "nowhere"))
    assert str(tmp_path) in str(failure.value)
    assert "\n" not in str(failure.value)
    assert str(failure.value).endswith(".")


# -- traps


def test_ravdess_men_are_odd_and_songs_are_left_out(tmp_path):
    mini_ravdess(tmp_path)
    first, calm, last = ravdess.utterances(tmp_path)
    assert (first.gender, calm.gender, last.gender) == ("male", "female", "female")
    assert (first.emotion, calm.emotion, last.emotion) == ("Neutral", "Calm", "Surprise")
    assert (first.text, last.text) == ("Kids are talking by the door", "Dogs are sitting by the door")
    assert (first.speaker, first.split, calm.split, last.split) == ("Actor_01", "train", "dev", "test")


def test_ravdess_one_folder_deeper(tmp_path):
    mini_ravdess(tmp_path / "audio_speech_actors_01-24")
    assert len(list(ravdess.utterances(tmp_path))) == 3


def test_emodb_letters_are_german(tmp_path):
    mini_emodb(tmp_path)
    labels = {item.id[5]: item.emotion for item in emodb.utterances(tmp_path)}
    assert labels == {"F": "Happy", "E": "Disgust", "A": "Fear", "L": "Boredom"}
    assert emodb.LABELS["W"] == "Angry"


def test_meld_splits_are_in_the_ids_and_broken_clips_are_silent(tmp_path):
    mini_meld(tmp_path)
    first, broken, *_ = meld.utterances(tmp_path)
    assert first.text == "It’s me."
    assert first.audio.endswith("dia0_utt0.wav")
    assert (first.start, first.end) == (None, None)
    assert broken.audio is None
    assert (first.gender, broken.gender) == ("male", None)


# -- real data


@pytest.mark.parametrize(
    ("corpus", "train", "dev", "test"),
    [
        (ravdess, 960, 240, 240),
        (emodb, 312, 96, 127),
        (meld, 9989, 1109, 2610),
        (emobank, 8062, 1000, 1000),
        (nemo, 997, 168, 308),
    ],
)
def test_real_corpora_are_whole_and_agree_with_their_tables(shared, corpus, train, dev, test):
    name = corpus.__name__.rpartition(".")[2]
    found = list(corpus.utterances(shared / name))
    assert Counter(item.split for item in found) == {"train": train, "dev": dev, "test": test}
    assert len({item.id for item in found}) == len(found)

    rows = {key(item): item for item in table.utterances(shared / name)}
    assert len(rows) == len(found)
    for item in found:
        for field in ("text", "speaker", "gender", "split", "emotion", "attributes"):
            assert getattr(item, field) == getattr(rows[key(item)], field), (item.id, field)


def key(item):
    """What a loader of a corpus and the table beside it both know: the recording, or the id."""
    return item.audio or item.id


# -- synthetic


def test_synthetic_is_the_same_to_the_byte(tmp_path):
    pytest.importorskip("espeakng_loader")
    breathy = [clip for clip in plan() if clip.voice.endswith("+f2")][:2]  # espeak makes their breath from random numbers
    clips = [*plan()[:4], *breathy]
    for name in ("first", "second"):
        synthetic.speak(clips, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert len(files) == len(clips) + 2
    for path in files:
        assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "second" / path).read_bytes(), path


def test_synthetic_is_spoken_again_only_where_it_is_not_whole(tmp_path, monkeypatch):
    spoken = []

    def speak(clips, root):
        spoken.append(len(clips))
        for clip in clips:
            write_wav(root / "wav" / f"{clip.id}.wav")
        synthetic.write_json(root / synthetic.MARKER, {"digest": synthetic._digest(clips)})

    monkeypatch.setattr(synthetic, "plan", lambda: plan()[:3])
    monkeypatch.setattr(synthetic, "speak", speak)
    first = list(synthetic.utterances(tmp_path))
    assert list(synthetic.utterances(tmp_path)) == first
    assert spoken == [3]
    Path(first[1].audio).unlink()
    list(synthetic.utterances(tmp_path))
    assert spoken == [3, 3]


def test_synthetic_splits_share_neither_speakers_nor_sentences():
    by_split = {split: [clip for clip in plan() if clip.split == split] for split in ("train", "dev", "test")}
    for clips in by_split.values():
        assert {clip.gender for clip in clips} == {"female", "male"}
        assert len(set(Counter(clip.emotion for clip in clips).values())) == 1
        assert all(1 <= value <= 7 for clip in clips for value in clip.attributes.values())
    speakers = [{clip.speaker for clip in clips} for clips in by_split.values()]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 24
    voices = [clip.voice for clips in by_split.values() for clip in clips]
    assert len(set(voices)) == 24


def test_synthetic_says_what_its_numbers_mean(tmp_path):
    pytest.importorskip("espeakng_loader")
    synthetic.speak(plan()[:1], tmp_path)
    assert "mean nothing about people" in synthetic.NOTICE
    assert (tmp_path / "NOTICE.txt").read_text(encoding="utf-8").strip() == synthetic.NOTICE
    assert json.loads((tmp_path / synthetic.MARKER).read_text(encoding="utf-8"))["notice"] == synthetic.NOTICE


def test_synthetic_without_espeak(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"emojudge\[synthetic\]"):
        list(synthetic.utterances(tmp_path))


# -- docs/extend.md


def test_the_example_in_the_docs_is_a_corpus(tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "extend.md").read_text(encoding="utf-8")
    code = text.partition("```python")[2].partition("```")[0]
    example = {}
    exec(compile(code, "docs/extend.md", "exec"), example)
    write_wav(tmp_path / "wav" / "ann_W_01.wav")
    (found,) = example["utterances"](tmp_path)
    assert (found.id, found.speaker, found.emotion) == ("ann_W_01", "ann", "Angry")
    with pytest.raises(DataError):
        list(example["utterances"](tmp_path / "nowhere"))


def test_a_corpus_of_another_package_is_used_by_its_entry_point(tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "docs" / "extend.md").read_text(encoding="utf-8")
    packages = tmp_path / "packages"
    write(packages / "my_package" / "my_corpus.py", text.partition("```python")[2].partition("```")[0])
    write(packages / "my_package-1.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    group = text.partition("```toml")[2].partition("```")[0].replace("project.entry-points.", "").replace('"', "")
    write(packages / "my_package-1.dist-info" / "entry_points.txt", group)
    monkeypatch.syspath_prepend(packages)
    write_wav(tmp_path / "data" / "wav" / "ann_W_01.wav")
    (found,) = manifest.read(DataSettings(corpus="my_corpus", root=tmp_path / "data"))
    assert (found.id, found.emotion) == ("ann_W_01", "Angry")
    assert "my_corpus" in registry.names("corpora")

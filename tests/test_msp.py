"""MSP-Podcast and MSP-IMPROV: every shape in which their releases tell labels, raters' choices and splits."""

import csv
import json

import pytest

from emojudge import manifest
from emojudge.corpora import msp_podcast
from emojudge.errors import DataError
from emojudge.settings import DataSettings
from tests.made_up_corpora import mini_msp_podcast, msp_row, write_csv, write_wav

FIRST = "MSP-PODCAST_0002_0033"
CHOICES = ["Surprise", "Surprise", "Other-Annoyed, a bit"]


def raters_line(worker, choice):
    return f"WORKER{worker}; {choice}; {choice},Concerned; A:5.000000; V:3.000000; D:4.000000;"


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


@pytest.mark.parametrize("pack", ["Audios.tar.gz", "Audios.tar", "Labels.zip", "Transcripts.zip"])
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


def test_without_agreement_votes_are_kept(tmp_path):
    mini_msp_podcast(tmp_path)
    nobody, other = (f"{FIRST}_0001.wav", "MSP-PODCAST_0003_0001.wav")
    votes = [{"FileName": name, "WorkerID": "W", "EmoClass_Major": "Sad"} for name in (nobody, other)]
    write_csv(tmp_path / "Labels" / "labels_detailed.csv", votes)
    found = {item.id: item for item in manifest.read(DataSettings(root=tmp_path))}
    for name in (nobody, other):
        assert (found[name[:-4]].emotion, found[name[:-4]].votes) == (None, {"Sad": 1.0})


@pytest.mark.parametrize("shape", ["columns", "old columns", "line", "cut line", "json", "json lines", "text"])
def test_raters_in_every_shape(tmp_path, shape):
    mini_msp_podcast(tmp_path)
    labels, clip = tmp_path / "Labels", f"{FIRST}.wav"
    (labels / "labels_detailed.csv").unlink()
    lines = [raters_line(number, choice) for number, choice in enumerate(CHOICES)]
    if shape.endswith("columns"):
        column = "EmoClass_Major" if shape == "columns" else "Major"
        write_csv(labels / "labels_detailed.csv", [{"FileName": clip, "WorkerID": "W", column: name} for name in CHOICES])
    elif shape == "line":
        write_csv(labels / "labels_detailed.csv", [{"FileName": clip, "Annotation": line} for line in lines])
    elif shape == "cut line":
        (labels / "labels_detailed.csv").write_text("".join(f"{clip},{line}\n" for line in lines))
    elif shape == "json":
        records = {f"W{number}": {"EmoClass_Major": name, "EmoAct": 5} for number, name in enumerate(CHOICES)}
        (labels / "labels_detailed.json").write_text(json.dumps({clip: records}))
    elif shape == "json lines":
        (labels / "labels_detailed.json").write_text(json.dumps({clip: dict(enumerate(lines))}))
    else:
        (labels / "labels.txt").write_text("\n".join([f"{clip}; U; A:5.2; V:2.6; D:4.4;", *lines, "", ""]))
    found = {item.id: (item.votes, item.ratings) for item in msp_podcast.utterances(tmp_path)}
    rated = {} if shape.endswith("columns") else {"valence": [3.0] * 3, "arousal": [5.0] * 3, "dominance": [4.0] * 3}
    rated = {"arousal": [5.0] * 3} if shape == "json" else rated
    assert found.pop(FIRST) == ({"Surprise": 2.0, "Other": 1.0}, rated)
    assert not any(map(any, found.values()))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("labels_detailed.csv", "FileName,Rater\na.wav,W1\n", "line 2: 'W1' is no rater's choice"),
        ("labels_detailed.csv", "Clip,Rater\na,W1; Sad; Sad; A:1;\n", "line 2 names neither a clip"),
        ("labels_detailed.json", '{"a.wav": []}', "a.wav has no raters"),
        ("labels_detailed.json", '{"a.wav": {"W": {"EmoAct": 1}}}', "a rater has no 'EmoClass_Major'"),
        ("labels_detailed.json", "[]", "holds no JSON object"),
        ("labels.txt", "WORKER1; Sad; Sad; A:1;", "line 1 belongs to no clip"),
    ],
)
def test_raters_that_cannot_be_read_are_named(tmp_path, name, content, sentence):
    mini_msp_podcast(tmp_path)
    (tmp_path / "Labels" / "labels_detailed.csv").unlink()
    (tmp_path / "Labels" / name).write_text(content)
    with pytest.raises(DataError, match=sentence) as failure:
        list(msp_podcast.utterances(tmp_path))
    assert name in str(failure.value)


@pytest.mark.parametrize("place", [".", "Labels"])
def test_splits_of_the_partition_file(tmp_path, place):
    write_wav(tmp_path / "Audios" / "a.wav")
    rows = [{key: value for key, value in msp_row(name).items() if key != "Split_Set"} for name in ("a.wav", "b.wav", "c.wav")]
    write_csv(tmp_path / "Labels" / "labels_concensus.csv", rows)
    (tmp_path / place / "Partitions.txt").write_text("Validation; a.wav\nTest1; b.wav\n\n")
    assert [item.split for item in msp_podcast.utterances(tmp_path)] == ["dev", "test", None]


def test_a_split_that_is_none_is_an_error(tmp_path):
    mini_msp_podcast(tmp_path)
    write_csv(tmp_path / "Labels" / "labels_consensus.csv", [msp_row("a.wav", split="Trian")])
    with pytest.raises(DataError, match=r"labels_consensus.csv, line 2: 'Trian' is none of Train, Development"):
        list(msp_podcast.utterances(tmp_path))


def test_a_row_without_a_file_is_an_error(tmp_path):
    mini_msp_podcast(tmp_path)
    write_csv(tmp_path / "Labels" / "labels_consensus.csv", [msp_row("")])
    with pytest.raises(DataError, match="line 2 names no file"):
        list(msp_podcast.utterances(tmp_path))


@pytest.mark.parametrize("cell", [None, float("nan"), "Unknown", "NA", ""])
def test_cells_that_say_nothing(tmp_path, cell):
    write_wav(tmp_path / "Audios" / "a.wav")
    clip = dict.fromkeys(("EmoClass", "EmoAct", "EmoVal", "SpkrID", "Gender", "Split_Set"), cell) | {"EmoDom": 4.5}
    (tmp_path / "Labels").mkdir()
    (tmp_path / "Labels" / "labels_consensus.json").write_text(json.dumps({"a.wav": clip}))
    (item,) = msp_podcast.utterances(tmp_path)
    assert (item.emotion, item.speaker, item.gender, item.split) == (None, None, None, None)
    assert item.attributes == {"dominance": 4.5}

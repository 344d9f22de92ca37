"""The picture of a corpus: a panel for what there is, none for what there is not, and files of each kind."""

import pytest

from emojudge import portrait
from emojudge.config import load_config
from emojudge.errors import ConfigError
from emojudge.inspection import Recording
from emojudge.types import Utterance

FULL = {"text": "Well, yes.", "attributes": {"valence": 2.0, "arousal": 3.0}, "votes": {"Sad": 2, "Other": 1}}
FULL |= {"ratings": {"valence": [1.0, 3.0]}}


def corpus(**fields):
    """Twelve clips by six speakers in three splits."""
    splits, labels = ("train", "dev", "dev2"), ("Sad", "Happy")
    about = [{"speaker": f"s{n % 6}", "split": splits[n % 6 // 2], "emotion": labels[n // 6]} for n in range(12)]
    return [Utterance(**{"id": f"u{n}", "audio": f"{n}.wav", **some, **fields}) for n, some in enumerate(about)]


def names(utterances, files):
    lengths = {u.id: 1.0 + len(u.id) for u in utterances} if files else {}
    return [panel.func.__name__ for panel in portrait._panels(utterances, ("Sad", "Happy", "Angry"), lengths)]


@pytest.mark.parametrize(
    ("fields", "files", "panels"),
    [
        (FULL, True, ["_labels", "_spread", "_spread", "_speakers", "_attributes", "_votes", "_raters"]),
        ({}, True, ["_labels", "_spread", "_speakers"]),
        ({"emotion": None, "speaker": None, "text": "Hm."}, False, ["_spread"]),
    ],
)
def test_panels(fields, files, panels):
    assert names(corpus(**fields), files) == panels


@pytest.mark.parametrize(("kind", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files(tmp_path, kind, begin):
    people = corpus(**FULL)
    files = {u.audio: Recording(10, 1.0 + n / 10) for n, u in enumerate(people)}
    config = load_config(changes=['data.labels=["Sad", "Happy", "Angry"]', "data.corpus=table:x.csv"])
    portrait.save(tmp_path / "new" / f"a.{kind}", people, config, files)
    assert (tmp_path / "new" / f"a.{kind}").read_bytes().startswith(begin)


def test_another_kind(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in none of \.png, \.svg, \.pdf"):
        portrait.save(tmp_path / "a.bmp", corpus(), load_config())

"""Files as they lie on the disk: what headers tell, which are the same, and how long a stretch is."""

import os

import pytest

from emojudge import audio, inspection
from emojudge.inspection import BLOCK, Recording
from emojudge.types import Utterance
from tests.made_up_corpora import write_wav


def test_every_kind_of_file(tmp_path):
    write_wav(tmp_path / "whole.wav", 1.0)
    write_wav(tmp_path / "cut.wav", 1.0)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:-200])
    (tmp_path / "text.wav").write_text("404 not found")
    os.mkfifo(tmp_path / "pipe.wav")
    names = ["whole.wav", "cut.wav", "text.wav", "pipe.wav", "nowhere.wav", ".", "\0"]
    found = list(inspection.inspect([str(tmp_path / name) for name in names]).values())
    assert found[0] == Recording(32044, 1.0)
    assert (found[1].missing, found[1].seconds) == (200, (32000 - 200) / 32000)
    assert audio.header(tmp_path / "cut.wav") == (found[1].seconds, 200)
    assert found[2].seconds is None and "holds text, not audio" in found[2].fault
    assert found[3:] == [Recording(None)] * 4, "a pipe is not waited for"


def test_many_files_keep_their_order(tmp_path):
    write_wav(tmp_path / "a.wav", 0.5)
    paths = [str(tmp_path / f"{n}.wav") for n in range(2 * inspection.SHARE + 3)]
    os.link(tmp_path / "a.wav", paths[-1])
    found = inspection.inspect(paths)
    assert list(found) == paths
    assert [path for path, file in found.items() if file.size] == paths[-1:]


def test_twins_agree_in_every_byte(tmp_path):
    content = bytearray(b"x" * 4 * BLOCK)
    contents = {"a": bytes(content), "b": bytes(content), "short": bytes(content[:-1]), "empty": b"", "void": b""}
    for name, place in {"head": 0, "middle": 2 * BLOCK}.items():
        changed = content.copy()
        changed[place] = 0
        contents[name] = bytes(changed)
    for name, held in contents.items():
        (tmp_path / name).write_bytes(held)
    files = {str(tmp_path / name): Recording(len(held)) for name, held in contents.items()}
    files |= {"/nowhere/a": Recording(4 * BLOCK), "/nowhere/b": Recording(None), "/nowhere/c": Recording(None)}
    assert inspection.twins(files) == [[str(tmp_path / "a"), str(tmp_path / "b")]]


@pytest.mark.parametrize(
    ("start", "end", "seconds", "length"),
    [
        (None, None, 4.0, 4.0),
        (1.0, None, 4.0, 3.0),
        (1.0, 2.5, 4.0, 1.5),
        (1.0, 6.0, 4.0, 3.0),
        (None, 2.0, None, 2.0),
        (None, None, None, None),
        (5.0, None, 4.0, None),
    ],
)
def test_lengths(start, end, seconds, length):
    utterance = Utterance("a", "a.wav", start=start, end=end)
    assert inspection.length(utterance, {"a.wav": Recording(1, seconds)}) == length

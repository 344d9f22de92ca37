import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from emojudge import cache as module
from emojudge.audio import Normaliser
from emojudge.cache import Clip, FeatureCache, Line
from emojudge.errors import DataError

ROOT = Path(__file__).resolve().parents[1]


class Counting:
    """An encoder whose features are known: layer l of frame t of a text is ord(text[t]) + l; of samples, their value."""

    def __init__(self, fingerprint="f" * 64):
        self.fingerprint, self.batches, self.module = fingerprint, [], torch.nn.Identity()

    def encode(self, batch):
        self.batches.append(len(batch))
        rows = [torch.tensor([ord(c) for c in one] if isinstance(one, str) else one[::1600]).float() for one in batch]
        values = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.arange(values.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
        return torch.stack([values, values + 1], 1)[..., None].repeat(1, 1, 1, 3), mask


LINES = [Line(str(i), "abcdefghij"[: 1 + i % 10] + str(i)) for i in range(100)]


def expected(line):
    return np.array([[[ord(c) + layer] * 3 for c in line.text] for layer in (0, 1)], np.float16)


def test_features_come_back_as_they_were_made(tmp_path):
    encoder = Counting()
    cache = FeatureCache(tmp_path, encoder)
    keys, skipped = cache.fill(LINES)
    assert not skipped and list(keys) == [line.id for line in LINES] and len(cache) == 100
    for line in LINES:
        assert cache[keys[line.id]].dtype == np.float16
        assert np.array_equal(cache[keys[line.id]], expected(line))
    assert not cache[keys["5"]].flags.owndata  # a view of the file


def test_only_the_missing_is_encoded(tmp_path):
    FeatureCache(tmp_path, Counting()).fill(LINES[:60])
    encoder = Counting()
    cache = FeatureCache(tmp_path, encoder)
    assert len(cache) == 60
    keys, _ = cache.fill([*LINES, Line("twin", LINES[99].text)])
    assert sum(encoder.batches) == 40 and keys["twin"] == keys["99"]
    cache.fill(LINES)
    assert sum(encoder.batches) == 40


def test_another_encoder_has_a_folder_of_its_own(tmp_path):
    FeatureCache(tmp_path, Counting("a" * 64)).fill(LINES)
    assert len(FeatureCache(tmp_path, Counting("b" * 64))) == 0


def test_batches_are_bounded_and_sorted_by_length(tmp_path):
    encoder = Counting()
    lengths = [1, 2, 400, 450, 500, 1000]
    FeatureCache(tmp_path, encoder).fill([Line(str(n), "x" * n) for n in lengths])
    assert encoder.batches == [2, 2, 1, 1]  # 60 s is the bound, and 450 characters are 30 s
    many = Counting("m" * 64)
    FeatureCache(tmp_path, many).fill([Line(str(i), str(i)) for i in range(100)])
    assert many.batches == [32, 32, 32, 4]


def test_shards_are_closed_by_count(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ITEMS", 30)
    cache = FeatureCache(tmp_path, Counting())
    keys, _ = cache.fill(LINES)
    assert len(list(cache.folder.glob("shard-*"))) == 4  # batches of 32 are not cut
    again = FeatureCache(tmp_path, Counting())
    assert all(np.array_equal(again[keys[line.id]], expected(line)) for line in LINES)


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_a_damaged_shard_is_computed_again(tmp_path, damage):
    cache = FeatureCache(tmp_path, Counting())
    keys, _ = cache.fill(LINES)
    (shard,) = cache.folder.glob("shard-*")
    content = shard.read_bytes()
    shard.write_bytes({"cut": content[:-100], "header": b"\xff" * 8 + content[8:], "empty": b""}[damage])
    with pytest.warns(UserWarning, match="damaged"):
        again = FeatureCache(tmp_path, Counting())
    assert len(again) == 0
    again.fill(LINES)
    assert all(np.array_equal(again[keys[line.id]], expected(line)) for line in LINES)


def test_a_flipped_bit_is_noticed_and_healed(tmp_path):
    cache = FeatureCache(tmp_path, Counting())
    keys, _ = cache.fill(LINES)
    (shard,) = cache.folder.glob("shard-*")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    again = FeatureCache(tmp_path, Counting())
    with pytest.raises(DataError, match="damaged"):
        for key in keys.values():
            again[key]
    again.fill(LINES)
    assert all(np.array_equal(again[keys[line.id]], expected(line)) for line in LINES)


def test_a_foreign_file_in_the_folder_is_left_alone(tmp_path):
    cache = FeatureCache(tmp_path, Counting())
    cache.folder.mkdir(parents=True)
    (cache.folder / ".shard-x.safetensors.part").write_bytes(b"half")
    (cache.folder / "notes.txt").write_text("mine")
    assert len(FeatureCache(tmp_path, Counting())) == 0


def clip(tmp_path, name, value, seconds=1.0):
    soundfile.write(tmp_path / name, np.full(int(16000 * seconds), value, np.float32), 16000, subtype="FLOAT")
    return tmp_path / name


def test_recordings_are_named_by_their_bytes_not_their_path(tmp_path):
    path = clip(tmp_path, "a.wav", 0.5)
    key = Clip("a", path).key
    copy = tmp_path / "copy.wav"
    copy.write_bytes(path.read_bytes())
    assert Clip("b", copy).key == key
    others = [Clip("a", path, start=0.5), Clip("a", path, normaliser=Normaliser(0.1, 1.0)), Clip("a", path, change="speed:0.9")]
    assert len({key, *(other.key for other in others)}) == 4
    assert Clip("a", clip(tmp_path, "a.wav", 0.25)).key != key


def test_unreadable_recordings_are_skipped_with_the_reason(tmp_path):
    good = clip(tmp_path, "good.wav", 0.5)
    (tmp_path / "text.wav").write_text("this is no recording at all")
    broken = clip(tmp_path, "nan.wav", np.nan)
    items = [Clip("good", good), Clip("text", tmp_path / "text.wav"), Clip("nan", broken), Clip("none", tmp_path / "none.wav")]
    cache = FeatureCache(tmp_path / "cache", Counting())
    keys, skipped = cache.fill(items)
    assert list(keys) == ["good"] and np.allclose(cache[keys["good"]][0], 0.5)
    assert {name: reason.split("/")[-1].split(".wav")[0] for name, reason in skipped} == {
        "text": "text",
        "nan": "nan",
        "none": "none",
    }


def test_speed_and_stretch_change_the_length(tmp_path):
    path = clip(tmp_path, "a.wav", 0.5, 2.0)
    assert len(Clip("a", path, change="speed:2").load()) == 16000
    assert len(Clip("a", path, start=0.5, end=1.0).load()) == 8000
    assert Clip("a", path, start=0.5).seconds() == 1.5


def test_opening_100_000_items_is_quick(tmp_path):
    cache = FeatureCache(tmp_path, Counting())
    for shard in range(100):
        cache._write({f"{shard:03d}-{item:060d}": np.zeros((1, 1, 1), np.float16) for item in range(1000)})
    begin = time.process_time()
    again = FeatureCache(tmp_path, Counting())
    assert len(again) == 100_000
    assert time.process_time() - begin < 3.0


def test_killed_at_any_time_what_was_written_is_whole(tmp_path):
    """kill -9 while shards are written loses at most the shard in work, and two processes share a folder."""
    script = textwrap.dedent(
        """
        import sys
        from emojudge import cache
        from tests.test_cache import Counting
        cache.SHARD_ITEMS = 32
        mine = cache.FeatureCache(sys.argv[1], Counting())
        mine.fill([cache.Line(str(i), f"{i:05d}" * 20) for i in range(100_000)])
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=environment) for _ in range(2)]
    folder = tmp_path / ("f" * 24)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("shard-*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    cache = FeatureCache(tmp_path, Counting())
    assert len(cache) >= 5 * 32 // 2
    encoder = Counting()
    some = [Line(str(i), f"{i:05d}" * 20) for i in range(200)]
    cache = FeatureCache(tmp_path, encoder)
    keys, _ = cache.fill(some)
    assert all(np.array_equal(cache[keys[line.id]], expected(line)) for line in some)
    assert sum(encoder.batches) < 200

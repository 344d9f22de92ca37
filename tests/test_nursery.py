"""Decoders at hand: what one decodes is what a new one decodes, and nothing that one does is felt by another."""

import contextlib
import os
import resource
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emojudge import decoding, streams
from emojudge.errors import AudioError
from emojudge.web.nursery import Nursery
from tests.made_up_service import CLIP, wait_for, wav
from tests.made_up_speech import RATE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each recording gets a new process")


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(CLIP)
    return path


def decoders():
    """Processes that our nursery forked."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"emojudge.web.nursery" in one.read_bytes():
                found.append(int(one.parent.name))
        except OSError:
            continue
    return found


def test_what_is_decoded_is_what_anybody_decodes(nursery, clip):
    assert np.array_equal(np.concatenate(list(nursery.isolated(clip))), streams.whole(clip))
    started = time.process_time()
    many = [np.concatenate(list(nursery.isolated(clip))) for _ in range(10)]
    assert all(np.array_equal(one, many[0]) for one in many)
    assert time.process_time() - started < 1.0


def test_it_is_confined_and_has_no_keys(nursery, clip, monkeypatch):
    nursery.close()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    blocks = nursery.isolated(wav_file(clip.parent))
    next(blocks)  # a decoder is under way, waiting for its pipe to be read
    own = at_work()
    assert resource.prlimit(own, resource.RLIMIT_NOFILE)[1] <= 16
    assert resource.prlimit(own, resource.RLIMIT_CPU) == (600, 600)
    assert resource.prlimit(own, resource.RLIMIT_AS)[1] < 2 << 30
    for pid in decoders():
        with contextlib.suppress(OSError):
            assert b"sk-secret" not in Path(f"/proc/{pid}/environ").read_bytes()
    blocks.close()
    wait_for(lambda: own not in decoders())


def confined():
    """Those of them that may write nothing."""
    found = []
    for pid in decoders():
        with contextlib.suppress(ProcessLookupError):
            if resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0):
                found.append(pid)
    return found


def at_work():
    """The one decoder that waits; that of a recording before may still be ending."""
    wait_for(lambda: len(confined()) == 1)
    return confined()[0]


def wav_file(folder):
    """Longer than a block, so that its decoder has to wait."""
    path = folder / "long.wav"
    soundfile.write(path, np.zeros(200 * RATE, np.int16), RATE)
    return path


def test_errors_are_those_of_the_decoder(nursery, tmp_path, clip):
    (tmp_path / "bad.wav").write_bytes(b"no sound at all " * 9)
    with pytest.raises(AudioError, match="bad.wav holds text, not audio"):
        list(nursery.isolated(tmp_path / "bad.wav"))
    with pytest.raises(AudioError, match="longer than 0"):
        list(nursery.isolated(clip, max_seconds=0.1))
    with pytest.raises(AudioError, match="cannot be opened"):
        list(nursery.isolated(tmp_path / "nothing.wav"))


def test_a_decoder_that_is_killed_costs_one_recording(nursery, clip):
    blocks = nursery.isolated(wav_file(clip.parent))
    next(blocks)
    own = at_work()
    os.kill(own, 9)
    with pytest.raises(AudioError, match="was given up"):
        list(blocks)
    assert len(list(nursery.isolated(clip))) == 1


def test_a_nursery_that_is_killed_is_started_again(nursery, clip):
    list(nursery.isolated(clip))
    for pid in decoders():
        with contextlib.suppress(ProcessLookupError):  # the child that decoded may be ending by itself
            os.kill(pid, 9)
    assert len(list(nursery.isolated(clip))) == 1


def test_many_at_once_keep_their_own(nursery, tmp_path):
    paths = [tmp_path / f"{n}.wav" for n in range(8)]
    for n, path in enumerate(paths):
        path.write_bytes(wav(0.1, 0.1 + 0.1 * n, seed=n))
    found = {}

    def decode(path):
        found[path] = np.concatenate(list(nursery.isolated(path)))

    threads = [threading.Thread(target=decode, args=(path,)) for path in paths]
    [one.start() for one in threads]
    [one.join() for one in threads]
    for path in paths:
        assert np.array_equal(found[path], streams.whole(path))


def test_elsewhere_each_gets_a_new_process(monkeypatch, clip):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(decoding, "isolated", lambda source, max_seconds: iter([np.zeros(3, np.float32)]))
    assert len(next(Nursery().isolated(clip))) == 3

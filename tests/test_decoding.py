import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emojudge import decoding, streams
from emojudge.errors import AudioError, MissingExtra
from emojudge.settings import RecordingSettings
from tests.test_audio import RATE, TONE, wav
from tests.test_streams import film, tone


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.mark.parametrize("name", ["a.wav", "b.flac", "-c d\n笑.ogg"])
def test_the_child_decodes_what_we_would(tmp_path, name):
    soundfile.write(tmp_path / name, np.stack([tone(30, 44100), tone(30, 44100, 300)], 1), 44100)
    samples = decoding.decode(tmp_path / name)
    assert samples.dtype == np.float32 and samples.flags.writeable
    assert np.array_equal(samples, streams.whole(tmp_path / name))
    assert not children()


def test_films_are_decoded_in_the_child_too(tmp_path):
    path = film(tmp_path / "a.mp4", "aac", tone(2.0, 48000))
    assert np.array_equal(decoding.decode(path), streams.whole(path))


def test_the_setting_decides_who_decodes(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    monkeypatch.setattr(decoding, "_CHILD", "tests.hostile_decoder")
    inside, apart = RecordingSettings(), RecordingSettings(isolate=True)
    assert len(decoding.load(tmp_path / "a.wav", RATE, inside)) == RATE
    assert len(decoding.load(TONE, RATE, apart)) == RATE  # samples are decoded already
    assert sum(len(block) for block in decoding.blocks(tmp_path / "a.wav", inside)) == RATE
    for wrong in (
        lambda: decoding.load(tmp_path / "a.wav", RATE, apart),
        lambda: list(decoding.blocks(tmp_path / "a.wav", apart)),
    ):
        with pytest.raises(AudioError, match="given up"):
            wrong()


@pytest.mark.parametrize(
    ("deed", "says"),
    [
        ("crash", "its decoder crashed .SIGSEGV.; the file may be damaged"),
        ("stop", "stopped with code 3"),
        ("silent", "took too long"),
        ("spin", "took too long"),
        ("eat", "stopped with code 1"),
        ("halfway", "stopped with code 0"),
        ("chatter", "sent what no decoder sends"),
        ("huge", "sent what no decoder sends"),
        ("endless", "longer than 2 s"),
        ("unfinite", "not finite"),
        ("screen", "clear .2J the screen$"),
        ("writes", "OSError|FileTooLarge|stopped|crashed .SIGXFSZ"),
        ("opens", "Too many open files"),
    ],
)
def test_a_decoder_that_does_harm_costs_one_recording(tmp_path, monkeypatch, deed, says):
    monkeypatch.setattr(decoding, "_CHILD", "tests.hostile_decoder")
    (tmp_path / f"{deed}.wav").write_bytes(b"x")
    with pytest.raises(AudioError, match=says) as error:
        decoding.decode(tmp_path / f"{deed}.wav", max_seconds=2, timeout=2 if "too long" in says else 60, memory_mb=256)
    assert "\n" not in str(error.value)
    assert not children(), "a zombie"
    taken = tmp_path / "writes.taken"
    assert not taken.exists() or not taken.stat().st_size


def test_the_child_knows_no_keys(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_CHILD", "tests.hostile_decoder")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0001")
    (tmp_path / "keys.wav").write_bytes(b"x")
    with pytest.raises(AudioError) as error:
        decoding.decode(tmp_path / "keys.wav")
    assert "OMP_NUM_THREADS" in str(error.value) and "canary" not in str(error.value)


def test_what_is_wrong_with_a_recording_is_said_as_without_a_child(tmp_path):
    (tmp_path / "text.wav").write_text("hello, this is a text")
    (tmp_path / "none.flac").write_bytes(b"fLaC" + bytes(100))
    os.mkfifo(tmp_path / "pipe.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    for name in ("text.wav", "none.flac", "pipe.wav", "nan.wav", "absent.wav", ""):
        with pytest.raises(AudioError) as inside:
            list(streams.blocks(tmp_path / name))
        with pytest.raises(AudioError) as apart:
            decoding.decode(tmp_path / name)
        assert str(apart.value) == str(inside.value)


def test_a_short_file_warns_by_the_name_it_was_given(tmp_path, monkeypatch):
    wav(tmp_path / "cut.wav", data=b"\1\0" * 100, promised=400)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match=r"^cut\.wav lacks"):
        assert len(decoding.decode("cut.wav")) == 100


def test_ffmpeg_that_is_not_there(tmp_path, monkeypatch):
    path = film(tmp_path / "a.m4a", "aac", tone(1.0, 48000), container="ipod")
    monkeypatch.setattr(decoding, "_CHILD", "tests.decoder_without_ffmpeg")
    with pytest.raises(MissingExtra, match=r"emojudge\[media\]"):
        decoding.decode(path)


def flac_bomb(path, seconds):
    """Silence, which FLAC makes a thousand times smaller."""
    with soundfile.SoundFile(path, "w", 48000, 8, format="FLAC", subtype="PCM_16") as out:
        for _ in range(seconds):
            out.write(np.zeros((48000, 8), np.int16))
    return path


def test_a_flac_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = flac_bomb(tmp_path / "bomb.flac", 300)
    assert path.stat().st_size * 100 < 300 * 48000 * 8 * 4
    with pytest.raises(AudioError, match="longer than 120 s"):
        decoding.decode(path, max_seconds=120)
    with pytest.raises(AudioError, match="MB large"):
        decoding.decode(path, max_bytes=1000)


def claim(path, frames):
    """A FLAC header that promises so many frames (RFC 9639, 8.2: 36 bits at byte 21)."""
    content = bytearray(path.read_bytes())
    content[21] = content[21] & 0xF0 | frames >> 32
    content[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    path.write_bytes(content)


@pytest.mark.parametrize("frames", [10**9, 2**36 - 1])
def test_a_header_that_claims_a_billion_frames_takes_no_memory_for_them(tmp_path, frames):
    soundfile.write(tmp_path / "liar.flac", TONE, RATE)
    claim(tmp_path / "liar.flac", frames)
    with pytest.raises(AudioError, match="longer than 120 s"):
        decoding.decode(tmp_path / "liar.flac", max_seconds=120)
    with pytest.raises(AudioError, match="cannot be decoded"):
        list(decoding.isolated(tmp_path / "liar.flac", memory_mb=64))


def test_an_hour_takes_no_more_memory_than_a_minute(tmp_path):
    """The child has 64 MB beyond the interpreter's; an hour is 230 MB, of which the disk holds nothing."""
    path = wav(tmp_path / "long.wav", promised=3600 * 2 * RATE)
    with path.open("r+b") as out:
        out.truncate(44 + 3600 * 2 * RATE)
    assert sum(len(block) for block in decoding.isolated(path, memory_mb=64)) == 3600 * RATE


def test_a_reader_that_stops_early_leaves_no_child(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(TONE, 200), RATE)
    found = decoding.isolated(tmp_path / "a.wav")
    next(found)
    assert children()
    found.close()
    assert not children()


def test_the_child_starts_without_torch():
    code = "import sys, emojudge.decoding; print({'torch', 'transformers', 'sklearn', 'scipy', 'pydantic'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

import io
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
import soundfile

from emojudge import audio, streams
from emojudge.errors import AudioError, DataError, MissingExtra

RATE = 16000


def tone(seconds, rate=RATE, hertz=440):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pitch(samples):
    return np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples)


def film(path, codec, samples, rate=48000, gap=0.0, container=None):
    """A sound track as a camera or phone writes it; with a `gap` in the middle; .mp4 and .mkv have a picture, too."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format=container) as out:
        track = out.add_stream(codec, rate=rate, layout="mono")
        picture = (
            out.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p") if path.suffix in (".mp4", ".mkv") else None
        )
        if picture:
            for _ in range(5):
                out.mux(picture.encode(av.VideoFrame(32, 32, "yuv420p")))
            out.mux(picture.encode(None))
        resampler = av.AudioResampler(format=track.codec_context.format.name if track.codec_context.format else "fltp", rate=rate)
        for start in range(0, len(samples), 960):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = start + (round(gap * rate) if start >= len(samples) // 2 else 0)
            for part in resampler.resample(frame):
                out.mux(track.encode(part))
        out.mux(track.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.m4a", "aac", "ipod"),
        ("a.mp4", "aac", None),
        ("a.mkv", "flac", None),
        ("a.webm", "libopus", None),
        ("a.aac", "aac", "adts"),
        ("named.wav", "aac", "mp4"),
    ],
)
def test_sound_tracks_are_read_whatever_the_file_is_called(tmp_path, name, codec, container):
    path = film(tmp_path / name, codec, tone(3.0, 48000), container=container)
    samples = np.concatenate(list(streams.blocks(path)))
    assert samples.dtype == np.float32 and abs(len(samples) / RATE - 3.0) < 0.1
    assert abs(pitch(samples) - 440) < 2
    middle = samples[RATE : 2 * RATE]
    assert abs(np.sqrt(np.square(middle).mean()) - 0.5 / np.sqrt(2)) < 0.02
    assert np.array_equal(streams.whole(path), samples)
    with pytest.raises(AudioError, match="emojudge predict"):
        audio.read(path)


def test_a_gap_in_the_track_is_silence_so_that_times_stay_true(tmp_path):
    path = film(tmp_path / "a.mkv", "flac", tone(4.0, 48000), gap=2.0)
    samples = np.concatenate(list(streams.blocks(path)))
    assert abs(len(samples) / RATE - 6.0) < 0.1
    assert np.abs(samples[round(2.2 * RATE) : round(3.8 * RATE)]).max() < 1e-3 < np.abs(samples[round(4.5 * RATE) :]).max()


def test_a_film_without_sound_and_one_cut_short(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "mute.mp4"), "w") as out:
        picture = out.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p")
        out.mux(picture.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(picture.encode(None))
    with pytest.raises(AudioError, match="no sound track"):
        list(streams.blocks(tmp_path / "mute.mp4"))
    whole = film(tmp_path / "a.m4a", "aac", tone(2.0, 48000), container="ipod").read_bytes()
    for size in (12, 40, len(whole) // 2):
        (tmp_path / "cut.m4a").write_bytes(whole[:size])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(AudioError, match=r"cut\.m4a"):
                list(streams.blocks(tmp_path / "cut.m4a"))


def test_without_ffmpeg_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    path = film(tmp_path / "a.m4a", "aac", tone(1.0, 48000), container="ipod")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"emojudge\[media\]"):
        list(streams.blocks(path))


@pytest.mark.parametrize("rate", [8000, 44100])
def test_blocks_are_what_read_gives(tmp_path, rate):
    stereo = np.stack([tone(200, rate), tone(200, rate, 300)], 1)
    soundfile.write(tmp_path / "a.flac", stereo, rate)
    blocks = list(streams.blocks(tmp_path / "a.flac"))
    assert len(blocks) >= 5
    assert np.array_equal(np.concatenate(blocks), audio.read(tmp_path / "a.flac"))


def test_a_limit_holds_for_every_container(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(3.0), RATE)
    film(tmp_path / "a.m4a", "aac", tone(3.0, 48000), container="ipod")
    for name in ("a.wav", "a.m4a"):
        with pytest.raises(AudioError, match="longer than 2 s"):
            list(streams.blocks(tmp_path / name, max_seconds=2.0))
        assert list(streams.blocks(tmp_path / name, max_seconds=4.0))


@pytest.mark.parametrize("content", [b"", b"text, not sound", b"\x00" * 100])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.mp4"):
        list(streams.blocks(tmp_path / "a.mp4"))
    with pytest.raises(AudioError):
        list(streams.blocks(tmp_path))


def test_arrays_of_any_kind_become_samples():
    loud = tone(1.0, 8000)
    expected = streams.of_array(loud, 8000, "x")
    assert len(expected) == RATE
    assert np.abs(streams.of_array((loud * 32767).astype(np.int16), 8000, "x") - expected).max() < 1e-3
    assert np.abs(streams.of_array(np.stack([loud, loud], 1), 8000, "x") - expected).max() < 1e-6
    for wrong, rate in ((loud, 100), (loud[None, None], RATE), (loud[:0], RATE), (np.array([np.nan]), RATE)):
        with pytest.raises(AudioError):
            streams.of_array(wrong, rate, "x")


def test_folders_are_searched_and_files_taken_as_they_are(tmp_path):
    for name in ("b.wav", "a.MP3", "notes.txt", "deep/c.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = streams.find([tmp_path, tmp_path / "notes.txt", tmp_path / "b.wav"])
    assert [path.name for path in found] == ["a.MP3", "b.wav", "c.mkv", "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings"):
        streams.find([tmp_path / "empty"])


def test_a_stream_without_a_name_becomes_a_file_while_it_is_needed():
    content = io.BytesIO()
    soundfile.write(content, tone(1.0), RATE, format="WAV")
    with streams.spooled(io.BytesIO(content.getvalue())) as path:
        assert len(streams.whole(path)) == RATE
    assert not path.exists()

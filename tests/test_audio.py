import os
import struct
import warnings

import numpy as np
import pytest
import soundfile

from emojudge import audio
from emojudge.errors import AudioError

RATE = 16000
TIME = np.arange(RATE) / RATE
TONE = (0.5 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)


def pitch(samples):
    return np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_rates_and_channels_become_16_khz_mono(tmp_path, rate, channels):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "a.wav", np.repeat(tone[:, None], channels, 1), rate)
    samples = audio.read(tmp_path / "a.wav")
    assert samples.dtype == np.float32 and samples.shape == (RATE,)
    assert pitch(samples) == 440
    assert np.abs(samples[2000:-2000] - TONE[2000:-2000]).max() < 1e-3
    assert audio.seconds(tmp_path / "a.wav") == 1.0


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([TONE, -TONE], 1), RATE, subtype="FLOAT")
    assert np.abs(audio.read(tmp_path / "a.wav")).max() == 0


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", {"subtype": "PCM_U8"}),
        ("wav", {"subtype": "PCM_24"}),
        ("wav", {"subtype": "PCM_32"}),
        ("wav", {"subtype": "FLOAT"}),
        ("wav", {"subtype": "DOUBLE"}),
        ("wav", {"subtype": "ULAW"}),
        ("wav", {"subtype": "ALAW"}),
        ("wav", {"format": "WAVEX"}),
        ("wav", {"format": "RF64"}),
        ("wav", {"format": "W64"}),
        ("wav", {"format": "MP3"}),  # named .wav, and yet MP3
        ("flac", {}),
        ("ogg", {}),
        ("opus", {"format": "OGG", "subtype": "OPUS"}),
        ("mp3", {}),
        ("aiff", {}),
        ("aiff", {"subtype": "FLOAT"}),
    ],
)
def test_every_allowed_format_is_read(tmp_path, suffix, options):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, TONE, RATE, **options)
    samples = audio.read(path)
    assert abs(len(samples) - RATE) < 2500  # MP3 and Opus add their own padding
    assert abs(pitch(samples) - 440) < 2


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("au", {}),
        ("caf", {}),
        ("mat", {"format": "MAT4"}),
        ("wav", {"subtype": "IMA_ADPCM"}),
        ("wav", {"subtype": "MS_ADPCM"}),
        ("wav", {"subtype": "GSM610"}),
        ("aiff", {"subtype": "IMA_ADPCM"}),
    ],
)
def test_other_containers_and_codecs_never_reach_the_decoder(tmp_path, monkeypatch, suffix, options):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, TONE, RATE, **options)

    def decoder(*_):
        raise AssertionError("the decoder was reached")

    monkeypatch.setattr(soundfile, "SoundFile", decoder)
    with pytest.raises(AudioError, match="convert it"):
        audio.read(path)


def id3(size, flags=0):
    """An ID3v2 tag of so many bytes, four times seven bits."""
    return b"ID3\x04\0" + bytes([flags, *(size >> shift & 0x7F for shift in (21, 14, 7, 0))]) + bytes(size)


def coded(tmp_path, **options):
    soundfile.write(tmp_path / "coded", TONE, RATE, **options)
    return (tmp_path / "coded").read_bytes()


@pytest.mark.parametrize(
    ("front", "options"),
    [
        (id3(20), {"format": "WAV", "subtype": "IMA_ADPCM"}),
        (id3(200) + id3(3), {"format": "MAT4"}),
        (id3(20, 0x10), {"format": "MAT5"}),  # a footer that is not there
        (id3(0) * 5, {"format": "MP3"}),
        (id3(20) + b"OggS", {"format": "MP3"}),
    ],
)
def test_a_tag_in_front_hides_nothing_from_the_list(tmp_path, monkeypatch, front, options):
    (tmp_path / "a.mp3").write_bytes(front + coded(tmp_path, **options))
    monkeypatch.setattr(soundfile, "SoundFile", None)
    with pytest.raises(AudioError, match="is no audio that is read here|holds text"):
        audio.read(tmp_path / "a.mp3")


@pytest.mark.parametrize("form", ["MP3", "FLAC"])
def test_a_tag_in_front_of_what_is_read_is_skipped(tmp_path, form):
    (tmp_path / "a.mp3").write_bytes(id3(300) + id3(20) + coded(tmp_path, format=form))
    assert abs(len(audio.read(tmp_path / "a.mp3")) - RATE) < 2500


def test_every_format_chunk_counts_since_the_decoder_takes_the_first(tmp_path, monkeypatch):
    content = coded(tmp_path, format="WAV", subtype="IMA_ADPCM")
    harmless = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    (tmp_path / "a.wav").write_bytes(content.replace(b"data", harmless + b"data", 1))
    monkeypatch.setattr(soundfile, "SoundFile", None)
    with pytest.raises(AudioError, match="format 17"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("packet", [b"Speex   ", b"fishead\0", b"\x80theora"])
def test_other_codings_in_ogg_are_refused(tmp_path, monkeypatch, packet):
    content = bytearray(coded(tmp_path, format="OGG", subtype="VORBIS"))
    content[28:36] = packet.ljust(8, b"\0")
    (tmp_path / "a.ogg").write_bytes(content)
    monkeypatch.setattr(soundfile, "SoundFile", None)
    with pytest.raises(AudioError, match="Ogg file in a coding"):
        audio.read(tmp_path / "a.ogg")


def wav(path, data=b"\0\0" * 100, tag=1, channels=1, rate=RATE, bits=16, promised=None):
    fmt = struct.pack("<HHIIHH", tag, channels, rate, 0, max(1, channels * bits // 8) & 0xFFFF, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data) if promised is None else promised)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data)
    return path


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bits": 7}, "7 bits"),
        ({"tag": 17, "bits": 4}, "format 17"),
        ({"rate": 1}, "1 samples a second"),
        ({"rate": 2**32 - 1}, "cannot be decoded|samples a second"),
        ({"rate": 0}, "cannot be decoded|0 samples a second"),
        ({"channels": 0}, "cannot be decoded|0 channels"),
        ({"channels": 65535}, "cannot be decoded|65535 channels"),
        ({"data": b""}, "holds no sound"),
    ],
)
def test_impossible_headers(tmp_path, options, says):
    with pytest.raises(AudioError, match=says) as error:
        audio.read(wav(tmp_path / "bad.wav", **options))
    assert "bad.wav" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"RIFF\0\0", "is no audio"),
        (b"RIFF\0\0\0\0WAVE", "without sound"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0", "ends inside its header"),
        (b"FORM\0\0\0\0AIFF", "without sound"),
        (b"hello, this is a text", "holds text"),
        (b"<!DOCTYPE html><html><head><title>404</title>", "holds text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "MP4"),
        (bytes(1000), "is no audio"),
        (b"fLaC" + bytes(100), "cannot be decoded"),
        (b"OggS" + bytes(100), "Ogg file in a coding"),
    ],
)
def test_what_is_no_audio_says_what_it_is(tmp_path, content, says):
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    for function in (audio.read, audio.seconds):
        with pytest.raises(AudioError, match=says) as error:
            function(path)
        assert "clip.wav" in str(error.value) and "\n" not in str(error.value)


def test_folders_pipes_and_absent_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name, says in (
        ("", "no ordinary file"),
        ("pipe.wav", "no ordinary file"),
        ("none.wav", "cannot be opened"),
        ("loop.wav", "cannot"),
    ):
        with pytest.raises(AudioError, match=says):
            audio.read(tmp_path / name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path, value):
    bad = TONE.copy()
    bad[100] = value
    soundfile.write(tmp_path / "a.wav", bad, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="not finite"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("promised", [400, 2**32 - 1])
def test_a_cut_file_warns_and_gives_what_is_there(tmp_path, promised):
    path = wav(tmp_path / "cut.wav", data=b"\1\0" * 100, promised=promised)
    with pytest.warns(UserWarning, match="lacks"):
        assert len(audio.read(path)) == 100


def test_a_cut_flac_warns_or_is_refused(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE * 3)
    soundfile.write(tmp_path / "a.flac", noise, RATE)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:20000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            samples = audio.read(tmp_path / "cut.flac")
            assert 0 < len(samples) < 3 * RATE and caught
        except AudioError as error:
            assert "cut.flac" in str(error)


def test_length_is_bounded_by_what_is_asked_for(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.tile(TONE, 10), RATE)
    with pytest.raises(AudioError, match="10 s long; at most 5 s"):
        audio.read(tmp_path / "long.wav", max_seconds=5)
    assert len(audio.read(tmp_path / "long.wav", 2.0, 6.5, max_seconds=5)) == 4.5 * RATE


def test_stretches(tmp_path):
    ramp = np.linspace(-0.9, 0.9, 3 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", ramp, RATE, subtype="FLOAT")
    assert np.array_equal(audio.read(tmp_path / "a.wav", 1.0, 2.0), ramp[RATE : 2 * RATE])
    assert np.array_equal(audio.read(tmp_path / "a.wav", 2.5), ramp[int(2.5 * RATE) :])
    assert len(audio.read(tmp_path / "a.wav", end=99.0)) == 3 * RATE
    for start, end in ((3.5, 4.0), (2.0, 2.0), (2.0, 1.0), (-1.0, 1.0)):
        with pytest.raises(AudioError):
            audio.read(tmp_path / "a.wav", start, end)


def test_long_files_are_read_in_blocks_without_seams(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.tile(TONE, 3)[:, None].repeat(2, 1), 44100, subtype="FLOAT")
    whole = audio.read(tmp_path / "a.wav")
    monkeypatch.setattr(audio, "_BLOCK", 5000)
    assert np.abs(audio.read(tmp_path / "a.wav") - whole).max() < 1e-6


def test_odd_names_are_read(tmp_path):
    for name in ("-dash.wav", "naïve 笑.wav", "new\nline.wav"):
        soundfile.write(tmp_path / name, TONE, RATE)
        assert len(audio.read(tmp_path / name)) == RATE


def test_a_file_that_vanishes_or_shrinks_while_it_is_read(tmp_path, monkeypatch):
    """What was opened goes on being read, by whatever name it goes now; what it loses is missing, with a warning."""
    monkeypatch.setattr(audio, "_BLOCK", 4000)
    path = wav(tmp_path / "a.wav", data=b"\1\0" * 16000)
    found = audio.blocks(path)
    parts = [next(found)]
    path.unlink()
    parts += list(found)
    assert sum(map(len, parts)) == 16000
    path = wav(tmp_path / "b.wav", data=b"\1\0" * 16000)
    found = audio.blocks(path)
    parts = [next(found)]
    with path.open("r+b") as stream:
        stream.truncate(44 + 2 * 9000)
    with pytest.warns(UserWarning, match="holds 9000 of the 16000 frames"):
        parts += list(found)
    assert sum(map(len, parts)) == 9000


def test_one_sample(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.5]), RATE)
    assert audio.read(tmp_path / "a.wav").shape == (1,)


def test_normaliser_agrees_with_numpy_over_everything_at_once():
    generator = np.random.default_rng(0)
    clips = [generator.normal(3, 0.01 * (i + 1), 1000 * (i + 1)).astype(np.float32) for i in range(5)]
    clips.insert(2, np.zeros(0, np.float32))
    whole = np.concatenate(clips).astype(np.float64)
    normaliser = audio.Normaliser.fit(iter(clips))
    assert normaliser.mean == pytest.approx(whole.mean(), rel=1e-12)
    assert normaliser.deviation == pytest.approx(whole.std(), rel=1e-9)
    applied = np.concatenate([normaliser.apply(clip) for clip in clips])
    assert applied.dtype == np.float32 and abs(applied.mean()) < 1e-4 and abs(applied.std() - 1) < 1e-4


def test_normaliser_modes_and_silence():
    clip = np.array([1, 2, 3], np.float32)
    assert audio.Normaliser(mode="none").apply(clip) is clip
    own = audio.Normaliser(mode="utterance").apply(clip)
    assert abs(own.mean()) < 1e-6 and abs(own.std() - 1) < 1e-3
    silent = np.zeros(5, np.float32)
    assert np.isfinite(audio.Normaliser.fit([silent]).apply(silent)).all()
    assert np.isfinite(audio.Normaliser(mode="utterance").apply(silent)).all()


def test_real_recordings(shared):
    samples = audio.read(shared / "ravdess/Actor_01/03-01-01-01-01-01-01.flac")
    assert len(samples) / RATE == pytest.approx(3.303, abs=0.001) and 0.001 < samples.std() < 0.2

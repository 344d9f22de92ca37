import json
import sys

import numpy as np
import pytest
import soundfile

from emojudge import audio, cues
from emojudge.cues import Quantiles, measure
from emojudge.errors import MissingExtra
from emojudge.settings import CueSettings
from emojudge.types import Cues, Word

RATE = 16000
SWIFT = CueSettings()
TRACKERS = ["swift_f0", "pyin"]


def voice(f0, seconds=1.0, level=0.3):
    """A buzz with the falling spectrum of a voice; `f0` is a number or an array over time."""
    count = int(seconds * RATE)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0, count)) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (level * tone / np.abs(tone).max()).astype(np.float32)


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("hertz", [80.0, 120.0, 220.0, 440.0])
def test_a_known_pitch_is_found(tracker, hertz):
    found = measure("a", voice(hertz), None, CueSettings(pitch=tracker))
    assert found.f0_median_hz == pytest.approx(hertz, rel=0.02)
    assert found.f0_range_semitones < 1.0 and found.voiced_share > 0.9


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_glide_of_an_octave_has_its_range(tracker):
    """120 → 240 Hz, linear in semitones: the 5th to the 95th percentile is 90 % of 12."""
    glide = 120 * 2 ** np.linspace(0, 1, 2 * RATE)
    found = measure("a", voice(glide, 2.0), None, CueSettings(pitch=tracker))
    assert found.f0_range_semitones == pytest.approx(10.8, abs=0.5)
    assert found.f0_low_hz == pytest.approx(120 * 2**0.05, rel=0.03)
    assert found.f0_median_hz == pytest.approx(120 * 2**0.5, rel=0.03)
    assert found.f0_high_hz == pytest.approx(120 * 2**0.95, rel=0.03)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_noise_has_hardly_any_voice(tracker):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert measure("a", noise, None, CueSettings(pitch=tracker)).voiced_share < 0.3


def test_levels_of_a_sine():
    sine = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE)).astype(np.float32)
    found = measure("a", sine, None, SWIFT)
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert found.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert found.loudness_lufs == pytest.approx(-9.03, abs=0.2)  # BS.1770: 0 dB of a 997 Hz sine in one channel is −3.01 LKFS
    assert found.seconds == 3.0


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("count", [0, 1, 100, 399, 4000])
def test_clips_however_short_are_measured(tracker, count):
    found = measure("a", voice(150, 1.0)[:count], "a word", CueSettings(pitch=tracker))
    assert found.seconds == round(count / RATE, 3)
    assert (found.rate is None) == (count == 0)
    if count == 4000:
        assert found.loudness_lufs == pytest.approx(measure("b", voice(150, 1.0), None, SWIFT).loudness_lufs, abs=1.0)


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(RATE, 0.3, np.float32)], ids=["silence", "dc"])
def test_what_is_not_there_is_none(tracker, samples):
    found = measure("a", samples, None, CueSettings(pitch=tracker))
    assert found.f0_median_hz is None and found.f0_range_semitones is None and found.rate == 0
    if not samples.any():
        assert (found.peak_dbfs, found.rms_dbfs, found.loudness_lufs) == (None, None, None)


def test_rate_from_words_else_from_syllables():
    beat = np.clip(np.sin(2 * np.pi * 4 * np.arange(2 * RATE) / RATE - np.pi / 2), 0.01, None)  # four bursts a second
    samples = (voice(150, 2.0) * beat).astype(np.float32)
    syllables = measure("a", samples, "  ", SWIFT)
    assert (syllables.rate, syllables.rate_unit) == (4.0, "syllables/s")
    words = measure("a", samples, "Kids aren't talking.", SWIFT)
    assert (words.rate, words.rate_unit) == (1.5, "words/s")


def test_noise_bursts_are_no_syllables():
    generator = np.random.default_rng(0)
    burst = np.repeat([0.3, 0.001] * 4, RATE // 4)
    noise = (generator.normal(0, 0.3, len(burst)) * burst).astype(np.float32)
    assert measure("a", noise, None, SWIFT).rate <= 1.0


def some(count, offset=0.0):
    return [
        Cues(str(i), seconds=2.0, f0_median_hz=100.0 + i + offset, rate=1 + i / 10, rate_unit="words/s") for i in range(count)
    ]


def test_words_come_from_the_training_quantiles():
    quantiles = Quantiles.fit(some(101), [None] * 101)
    expected = {100: "very low", 109: "very low", 115: "low", 150: "medium", 185: "high", 191: "very high"}
    for hertz, word in expected.items():
        described = quantiles.describe(Cues("x", seconds=2.0, f0_median_hz=float(hertz)))
        assert described.words["f0_median_hz"] == word and described.relative_to == "corpus"
        assert described.words["seconds"] == "medium" and "rate" not in described.words


def test_words_are_relative_to_a_speaker_who_is_known():
    clips, speakers = [*some(20), *some(19, 100.0)], ["low voice"] * 20 + ["high voice"] * 19
    quantiles = Quantiles.fit(clips, speakers)
    own = quantiles.describe(Cues("x", seconds=2.0, f0_median_hz=119.0), "low voice")
    assert own.relative_to == "speaker" and own.words["f0_median_hz"] == "very high"
    for speaker in ("high voice", "stranger", None):  # 19 clips are too few
        other = quantiles.describe(Cues("x", seconds=2.0, f0_median_hz=119.0), speaker)
        assert other.relative_to == "corpus" and other.words["f0_median_hz"] == "medium"
    assert Quantiles.fit(clips, speakers, CueSettings(speaker_clips=19)).speakers.keys() == {"low voice", "high voice"}


def test_rates_in_words_and_in_syllables_are_never_compared():
    quantiles = Quantiles.fit(some(30), [None] * 30)
    assert quantiles.describe(Cues("x", seconds=2.0, rate=9.0, rate_unit="words/s")).words["rate"] == "very fast"
    assert "rate" not in quantiles.describe(Cues("x", seconds=2.0, rate=9.0, rate_unit="syllables/s")).words


def test_quantiles_survive_json():
    quantiles = Quantiles.fit(some(40), ["s"] * 40)
    assert Quantiles.from_json(json.loads(json.dumps(quantiles.to_json()))) == quantiles
    assert Quantiles.fit([], []).describe(some(1)[0]).words == {}


@pytest.mark.parametrize(("package", "tracker"), [("swift_f0", "swift_f0"), ("librosa", "pyin"), ("pyloudnorm", "swift_f0")])
def test_missing_extras_say_what_to_install(monkeypatch, package, tracker):
    monkeypatch.setitem(sys.modules, package, None)
    cues._swift_detector.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'emojudge\[(pitch|pyin)\]'"):
        measure("a", voice(100), None, CueSettings(pitch=tracker))
    cues._swift_detector.cache_clear()


def test_real_voices(shared):
    """An angry man of RAVDESS is louder and higher than the same man calm, and about as fast as people speak."""
    folder = shared / "ravdess/Actor_01"
    angry, calm = (audio.read(folder / f"03-01-0{emotion}-01-01-01-01.flac") for emotion in (5, 2))
    text = "Kids are talking by the door"
    loud, quiet = measure("a", angry, text, SWIFT), measure("b", calm, text, SWIFT)
    assert loud.loudness_lufs > quiet.loudness_lufs + 3 and loud.f0_median_hz > quiet.f0_median_hz
    assert 80 < quiet.f0_median_hz < 250 and 1 < loud.rate < 4
    assert 4 <= measure("c", angry, None, SWIFT).rate * loud.seconds <= 10  # seven syllables
    assert soundfile.info(folder / "03-01-05-01-01-01-01.flac").duration == pytest.approx(loud.seconds, abs=0.001)


def test_the_rate_of_speech_leaves_the_silence_around_it_out():
    samples = np.concatenate([np.zeros(RATE, np.float32), voice(150), np.zeros(2 * RATE, np.float32)])
    words = [Word("Kids", 1.0, 1.2, 0.9), Word("are", 1.3, 1.5, 0.9), Word("talking.", 1.6, 2.0, 0.9)]
    found = measure("a", samples, "Kids are talking.", SWIFT, words)
    assert (found.rate, found.rate_unit) == (3.0, "words/s of speech")
    assert (measure("a", samples, "Kids are talking.", SWIFT).rate, found.seconds) == (0.75, 4.0)
    squeezed = measure("a", samples, "No.", SWIFT, [Word("No.", 1.0, 1.0, 0.5)])
    assert squeezed.rate == 20.0  # times that cannot be: 50 ms a word at least

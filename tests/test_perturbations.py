from dataclasses import replace
from random import Random

import numpy as np
import pytest
import soundfile

from emojudge import audio
from emojudge.audio import SAMPLE_RATE, Normaliser
from emojudge.cache import Clip
from emojudge.errors import ConfigError
from emojudge.features import Features
from emojudge.inference import pad, predict
from emojudge.models import EmotionModel, ModelCard
from emojudge.perturbations import CHANGES, apply
from emojudge.settings import AudioSettings, Config
from emojudge.types import Utterance

EXAMPLES = (
    "speed:0.9",
    "tempo:1.2",
    "pitch:-3",
    "gain:-6",
    "level:-23",
    "tilt:-6",
    "noise:20",
    "babble:20",
    "reverb:0.3",
    "clip:0.1",
)
EXAMPLES += ("overload:0.05", "telephone", "mulaw", "gsm", "opus:0.96", "vorbis:0.9", "mp3:0.9", "trim", "trim:20")


def tone(hertz=200.0, seconds=2.0, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def strongest(samples):
    """The frequency with the most power, by FFT."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)[power.argmax()]


def decibels(samples):
    return 10 * np.log10(np.square(samples, dtype=np.float64).mean())


def hiss(seconds=2.0, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


VOICES = [tone(hertz, seconds) for hertz, seconds in ((150, 0.7), (220, 1.3), (310, 3.0))]


@pytest.mark.parametrize("change", EXAMPLES)
def test_a_change_depends_on_the_samples_alone(change):
    samples = tone()
    first, again = apply(change, samples, VOICES), apply(change, samples.copy(), VOICES)
    assert first.dtype == np.float32 and first.ndim == 1 and np.isfinite(first).all()
    assert np.array_equal(first, again) and np.array_equal(samples, tone())
    for odd in (np.zeros(4000, np.float32), np.array([0.5], np.float32), tone(seconds=0.01)):
        assert np.isfinite(apply(change, odd, VOICES)).all()


def test_every_change_is_tried_above():
    assert {change.partition(":")[0] for change in EXAMPLES} == set(CHANGES)


@pytest.mark.parametrize(
    ("change", "seconds", "hertz"),
    [
        ("speed:0.8", 2.5, 160),
        ("tempo:0.8", 2.5, 200),
        ("tempo:1.25", 1.6, 200),
        ("pitch:12", 2.0, 400),
        ("pitch:-3", 2.0, 168.2),
    ],
)
def test_duration_and_pitch(change, seconds, hertz):
    changed = apply(change, tone())
    assert len(changed) == pytest.approx(seconds * SAMPLE_RATE, abs=2)
    assert strongest(changed) == pytest.approx(hertz, rel=0.01)
    assert decibels(changed[2000:-2000]) == pytest.approx(decibels(tone()), abs=0.5)


def test_levels():
    samples = tone()
    assert decibels(apply("gain:-6", samples)) == pytest.approx(decibels(samples) - 6, abs=1e-3)
    assert np.abs(apply("clip:0.1", samples)).max() == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("ratio", [20, 10, 0, -5])
@pytest.mark.parametrize("kind", ["noise", "babble"])
def test_what_is_added_has_the_level_it_says(kind, ratio):
    samples = np.concatenate([tone(), np.zeros(SAMPLE_RATE, np.float32)])  # mean power, pauses and all
    added = apply(f"{kind}:{ratio}", samples, VOICES).astype(np.float64) - samples
    assert decibels(samples) - decibels(added) == pytest.approx(ratio, abs=0.01)


def test_noise_is_white_and_babble_is_the_voices():
    noise, babble = (apply(f"{kind}:0", tone(1000), VOICES) - tone(1000) for kind in ("noise", "babble"))
    halves = np.array_split(np.abs(np.fft.rfft(noise)) ** 2, 4)
    assert [10 * np.log10(part.mean() / halves[0].mean()) for part in halves] == pytest.approx([0, 0, 0, 0], abs=0.5)
    power = np.abs(np.fft.rfft(babble)) ** 2
    near = [power[round(2 * hertz) - 20 : round(2 * hertz) + 21].sum() / power.sum() for hertz in (150, 220, 310)]
    assert near == pytest.approx([1 / 3] * 3, abs=0.02), "each voice is as loud as the others, however loud it was"


def test_babble_needs_voices():
    with pytest.raises(ConfigError, match="voices of other clips"):
        apply("babble:20", tone())
    with pytest.raises(ConfigError, match="voices of other clips"):
        Features(Config(audio=AudioSettings(augment=("babble:20",))))


@pytest.mark.parametrize("slope", [-6, -3, 4])
def test_tilt_has_its_slope_and_keeps_the_power(slope):
    samples = hiss(8.0)
    changed = apply(f"tilt:{slope}", samples)
    assert decibels(changed) == pytest.approx(decibels(samples), abs=0.01)
    before, after = (np.abs(np.fft.rfft(x.astype(np.float64))) ** 2 for x in (samples, changed))
    hertz = np.linspace(0, SAMPLE_RATE / 2, len(before))
    band = (hertz > 60) & (hertz < 7900)
    measured, _ = np.polyfit(np.log2(hertz[band]), 10 * np.log10(after[band] / before[band]), 1)
    assert measured == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.2])
def test_overload_cuts_that_share_of_the_samples(share):
    changed = apply(f"overload:{share}", hiss())
    cut = np.abs(changed) >= np.abs(changed).max() * (1 - 1e-6)
    assert cut.mean() == pytest.approx(share, abs=1e-4)
    assert np.array_equal(changed[~cut], hiss()[~cut])


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [("mulaw", 25, 45), ("gsm", 5, 30), ("opus:0.96", 5, 25), ("vorbis:0.9", 5, 35), ("mp3:0.9", 5, 35)],
)
def test_a_codec_loses_something_but_not_the_speech(change, least, most):
    samples = sum(tone(hertz, level=level) for hertz, level in ((220, 0.3), (440, 0.2), (1330, 0.1), (2200, 0.03)))
    samples *= (1 + np.sin(2 * np.pi * 4 * np.arange(len(samples)) / SAMPLE_RATE)).astype(np.float32) / 2
    changed = apply(change, samples)
    error = (changed - samples)[1600:-1600]
    assert least < decibels(samples[1600:-1600]) - decibels(error) < most, (
        "signal to coding noise, dB; a delay would give about 0"
    )
    assert len(changed) == len(samples)
    assert decibels(apply(change, samples * np.float32(0.01))) == pytest.approx(decibels(changed) - 40, abs=0.1)


@pytest.mark.parametrize("change", ["mulaw", "gsm"])
def test_telephone_codecs_end_at_4_khz(change):
    changed = apply(change, hiss())
    power = np.abs(np.fft.rfft(changed)) ** 2
    assert 10 * np.log10(power[len(power) * 9 // 16 :].mean() / power[: len(power) // 2].mean()) < -30


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0])
def test_reverb_has_its_rt60(seconds):
    impulse = np.zeros(2 * SAMPLE_RATE, np.float32)
    impulse[0] = 1
    tail = apply(f"reverb:{seconds}", impulse)[1:]  # after the direct sound
    energy = np.cumsum(np.square(tail, dtype=np.float64)[::-1])[::-1]  # Schroeder 1965
    level = 10 * np.log10(energy[energy > 0] / energy[0])
    first, last = np.argmax(level < -5), np.argmax(level < -25)  # T20
    assert 3 * (last - first) / SAMPLE_RATE == pytest.approx(seconds, rel=0.06)


def test_reverb_lengthens_what_stops():
    burst = np.concatenate([tone(seconds=0.5), np.zeros(SAMPLE_RATE, np.float32)])
    echo = apply("reverb:0.5", burst)
    fall = decibels(echo[9600:11200]) - decibels(echo[12800:14400])
    assert fall == pytest.approx(60 * 0.2 / 0.5, abs=3)  # 60 dB in 0.5 s, so 24 in 0.2 s
    assert np.abs(echo[-1600:]).max() < 1e-4


def test_the_telephone_keeps_only_its_band():
    for hertz, kept in ((100, False), (1000, True), (3000, True), (5000, False)):
        loss = decibels(tone(hertz)) - decibels(apply("telephone", tone(hertz))[1600:-1600])
        assert (loss < 1.5) == kept and (kept or loss > 12), hertz


def test_trim_keeps_the_pauses_within():
    silence = np.zeros(SAMPLE_RATE, np.float32)
    samples = np.concatenate([silence, tone(), silence, tone(), silence])
    assert np.array_equal(apply("trim", samples), samples[SAMPLE_RATE:-SAMPLE_RATE])


def test_changes_are_chained_in_order():
    assert np.array_equal(apply("gain:-6+noise:20", tone()), apply("noise:20", apply("gain:-6", tone())))
    assert np.array_equal(apply("babble:9+gain:3", tone(), VOICES), apply("gain:3", apply("babble:9", tone(), VOICES)))
    assert apply("", tone()) is not None and np.array_equal(apply("", tone()), tone())


@pytest.mark.parametrize(
    "change", ["speeed:0.9", "speed", "speed:", "speed:fast", "speed:0", "noise:nan", "trim:35+", "telephone:3"]
)
def test_what_is_no_change_is_refused(change):
    with pytest.raises(ConfigError, match="perturbation|number"):
        apply(change, tone())
    with pytest.raises(ConfigError):
        Features(Config(audio=AudioSettings(augment=(change,))))


def test_a_clip_is_changed_before_it_is_normalised(shared):
    path = next((shared / "ravdess" / "Actor_05").glob("*.flac"))
    clip = Clip("a", path, normaliser=Normaliser(mode="utterance"), change="trim+pitch:2")
    changed = apply("trim+pitch:2", audio.read(path))
    assert (
        np.array_equal(clip.load(), Normaliser(mode="utterance").apply(changed)) and len(changed) < clip.seconds() * SAMPLE_RATE
    )


def test_a_clip_with_other_voices_is_another_item(tmp_path):
    for name, hertz in (("a", 200), ("b", 150), ("c", 310)):
        soundfile.write(tmp_path / f"{name}.wav", tone(hertz), SAMPLE_RATE, subtype="FLOAT")
    one, *others = (Clip(name, tmp_path / f"{name}.wav", change="babble:10" if name == "a" else "") for name in "abc")
    alone, both = (replace(one, voices=tuple(voices)) for voices in (others[:1], others))
    assert len({one.key, alone.key, both.key}) == 3
    assert np.array_equal(both.load(), apply("babble:10", tone(), [tone(150), tone(310)]))


class Level:
    """An encoder of one frame: the loudest sample."""

    def encode(self, batch):
        return pad([np.array([[[np.abs(samples).max()]]]) for samples in batch])


def test_a_live_encoder_hears_a_random_copy_in_training_and_the_clip_itself_otherwise(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE, subtype="FLOAT")
    features = Features(Config(audio=AudioSettings(augment=("gain:-20", "gain:-40"))))
    utterance = Utterance("a", audio=str(tmp_path / "a.wav"))
    source = features.live("audio", Level(), [utterance], Normaliser(mode="none"))
    heard = {round(float(source(["a"], Random(seed))[0]), 4) for seed in range(20)}
    assert heard == {0.5, 0.05, 0.005} and float(source(["a"])[0]) == 0.5


def test_what_conditions_a_recording_comes_last_and_always(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE, subtype="FLOAT")
    features = Features(Config(audio=AudioSettings(augment=("gain:-20",), condition="trim+level:-30")))
    assert features.changes("audio") == ("trim+level:-30", "gain:-20+trim+level:-30") and features.changes("text") == ("",)
    source = features.live("audio", Level(), [Utterance("a", audio=str(tmp_path / "a.wav"))], Normaliser(mode="none"))
    heard = [float(source(["a"], copy=copy)[0]) for copy in range(2)]
    assert heard[0] == pytest.approx(heard[1], rel=1e-3), "how loud it was is gone"
    assert features.disturbed("noise:20", tmp_path, {}).changes("audio") == ("noise:20+trim+level:-30",)
    with pytest.raises(ConfigError):
        Features(Config(audio=AudioSettings(condition="loud")))


def test_a_level_is_that_of_the_mean_power():
    offset = tone() + np.float32(0.1)
    changed = apply("level:-23", offset)
    assert decibels(changed) == pytest.approx(-23, abs=0.01) and abs(changed.mean()) < 1e-6
    assert not apply("level", np.zeros(160, np.float32)).any()


@pytest.mark.parametrize(("average", "levels"), [(False, [0.05]), (True, [0.05, 0.005])])
def test_features_under_a_disturbance(tmp_path, average, levels):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE, subtype="FLOAT")
    plain = Features(Config(audio=AudioSettings(augment=("gain:-20",), average_copies=average)))
    disturbed = plain.disturbed("gain:-20", tmp_path, {})
    source = disturbed.live("audio", Level(), [Utterance("a", audio=str(tmp_path / "a.wav"))], Normaliser(mode="none"))
    assert [float(source(["a"], copy=copy)[0]) for copy in range(len(levels))] == pytest.approx(levels, rel=1e-3)
    assert [len(items) for items in source.items.values()] == [len(levels)]
    with pytest.raises(ConfigError):
        plain.disturbed("gain", tmp_path, {})


def test_scores_are_averaged_over_copies_where_that_is_asked_for(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE, subtype="FLOAT")
    utterance, changes = Utterance("a", audio=str(tmp_path / "a.wav")), ("", "gain:-20", "gain:-40")
    settings = AudioSettings(augment=changes[1:], average_copies=True, train="none", device="cpu", hidden_size=4)
    card = ModelCard("emotions", ("Happy", "Sad"), ("audio",), {"audio": settings.model_dump()}, {}, {"audio": (1, 1)})
    model = EmotionModel(card).eval()
    source = Features(Config(audio=settings)).live("audio", Level(), [utterance], Normaliser(mode="none"))
    alone = [model.scores({"audio": source(["a"], copy=copy)})[0].detach() for copy in range(3)]
    [prediction] = predict(model, {"audio": source}, ["a"], "audio")
    assert list(prediction.scores.values()) == pytest.approx((sum(alone) / 3).tolist(), abs=1e-6)
    assert prediction.scores["Sad"] != pytest.approx(float(alone[0][1]), abs=1e-4)

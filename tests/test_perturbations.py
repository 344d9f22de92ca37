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

EXAMPLES = ("speed:0.9", "tempo:1.2", "pitch:-3", "gain:-6", "noise:20", "reverb:0.3", "clip:0.1", "telephone", "trim", "trim:20")


def tone(hertz=200.0, seconds=2.0, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def strongest(samples):
    """The frequency with the most power, by FFT."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)[power.argmax()]


def decibels(samples):
    return 10 * np.log10(np.square(samples, dtype=np.float64).mean())


@pytest.mark.parametrize("change", EXAMPLES)
def test_a_change_depends_on_the_samples_alone(change):
    samples = tone()
    first, again = apply(change, samples), apply(change, samples.copy())
    assert first.dtype == np.float32 and first.ndim == 1 and np.isfinite(first).all()
    assert np.array_equal(first, again) and np.array_equal(samples, tone())
    for odd in (np.zeros(4000, np.float32), np.array([0.5], np.float32), tone(seconds=0.01)):
        assert np.isfinite(apply(change, odd)).all()


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
    added = apply("noise:20", samples) - samples
    assert decibels(added) == pytest.approx(decibels(samples) - 20, abs=0.2)
    assert np.abs(apply("clip:0.1", samples)).max() == pytest.approx(0.05, rel=1e-3)


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

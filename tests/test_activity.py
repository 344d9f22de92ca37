import numpy as np
import pytest

from emojudge import activity, audio
from emojudge.activity import Segmenter, stretches
from emojudge.errors import MissingExtra
from emojudge.settings import RecordingSettings
from tests.made_up_speech import RATE, speech, spoken

ENERGY = RecordingSettings(activity="energy")


def cut(samples, settings=ENERGY, block=16000):
    return list(stretches((samples[i : i + block] for i in range(0, len(samples), block)), Segmenter(settings)))


def test_speech_is_found_to_a_tenth_of_a_second():
    plan = (1.0, 2.0, 1.5, 0.8, 0.7, 3.1, 2.0)
    found = cut(speech(*plan))
    assert len(found) == 3
    for one, (start, end) in zip(found, spoken(*plan), strict=True):
        assert abs(one.start + ENERGY.pad - start) < 0.1 and abs(one.end - ENERGY.pad - end) < 0.1
        assert len(one.samples) == round((one.end - one.start) * RATE)


@pytest.mark.parametrize("block", [100, 511, 512, 16000, 10**6])
def test_how_the_stream_comes_changes_nothing(block):
    samples = speech(0.5, 1.2, 0.9, 2.5, 0.6, 25.0, 0.2)
    expected, found = cut(samples), cut(samples, block=block)
    assert [(s.start, s.end) for s in found] == [(s.start, s.end) for s in expected]
    assert all(np.array_equal(a.samples, samples[round(a.start * RATE) : round(a.end * RATE)]) for a in found)


def test_what_is_too_long_is_cut_at_its_quietest_place_and_nothing_is_lost():
    samples = speech(0.5, 26.0, 1.0)
    samples[round(15.3 * RATE) : round(15.45 * RATE)] *= 0.05  # shorter than the silence that ends a segment
    first, second = cut(samples)
    assert first.end == second.start and 15.3 <= first.end <= 15.45
    assert abs(second.end - ENERGY.pad - 26.5) < 0.1


def test_no_segment_is_longer_than_allowed():
    found = cut(speech(0.2, 130.0, 1.0), ENERGY.model_copy(update={"max_segment": 5.0}))
    assert len(found) >= 26
    assert max(one.end - one.start for one in found) <= 5.0 + 2 * ENERGY.pad
    assert all(a.end == b.start for a, b in zip(found, found[1:], strict=False))


def test_a_click_is_no_speech_and_a_pause_for_breath_no_end():
    assert cut(speech(1.0, 0.1, 1.0)) == []
    assert len(cut(speech(1.0, 1.0, 0.2, 1.0, 1.0))) == 1
    assert cut(np.zeros(5 * RATE, np.float32)) == []
    assert cut(np.zeros(0, np.float32)) == []


def test_the_end_of_the_recording_ends_the_last_segment():
    [one] = cut(speech(1.0, 2.0))
    assert abs(one.end - 3.0) < 0.04


def test_memory_is_bounded_however_long_somebody_speaks():
    cutter, most = Segmenter(ENERGY), 0
    for number in range(120):
        list(cutter.push(speech(0.0, 1.0, seed=number)))
        most = max(most, len(cutter.buffer))
    assert most <= (ENERGY.max_segment + 1.5) * RATE


def test_silero_marks_where_people_speak(shared):
    pytest.importorskip("onnxruntime")
    settings = RecordingSettings(activity="silero")
    rng = np.random.default_rng(0)
    parts, truth, at = [], [], 0
    for path in sorted((shared / "emodb" / "wav").iterdir())[:60:10]:
        clip = audio.read(path)
        loud = np.flatnonzero(np.abs(clip) > np.abs(clip).max() / 30)
        clip = clip[loud[0] : loud[-1]] / np.abs(clip).max() / 2
        truth.append((at / RATE + 1.5, at / RATE + 1.5 + len(clip) / RATE))
        parts += [np.zeros(round(1.5 * RATE)), clip]
        at += round(1.5 * RATE) + len(clip)
    samples = np.concatenate([*parts, np.zeros(RATE)])
    samples = (samples + rng.normal(0, 3e-3, len(samples))).astype(np.float32)  # a room
    found = cut(samples, settings, block=7000)
    assert len(found) == len(truth)
    off = [abs(e) for s, (a, b) in zip(found, truth, strict=True) for e in (s.start + settings.pad - a, s.end - settings.pad - b)]
    assert np.median(off) < 0.1 and max(off) < 0.3
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)).astype(np.float32)
    assert cut(tone, settings) == [] and cut(np.pad(tone, RATE), ENERGY) != [], "which is why Silero is the default"


def test_without_silero_the_level_decides_and_it_is_said(monkeypatch, capsys):
    def missing():
        raise MissingExtra("Silero VAD", "vad")

    monkeypatch.setattr(activity, "Silero", missing)
    assert isinstance(activity.detector(RecordingSettings()), activity.Energy)
    assert "pip install 'emojudge[vad]'" in capsys.readouterr().err
    with pytest.raises(MissingExtra):
        activity.detector(RecordingSettings(activity="silero"))

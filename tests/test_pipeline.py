"""`EmoJudge` as a scikit-learn user guesses it, on a run of tiny random encoders: what counts is that paths agree."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from emojudge import EmoJudge, pipeline
from emojudge.errors import AudioError, ConfigError, DataError, ModelError
from emojudge.hugging_face import pipeline as hugging_face
from emojudge.relative import relative
from emojudge.types import ATTRIBUTES, EMOTIONS, Transcript, Word
from tests.made_up_speech import RATE, speech, spoken, tiny_run

PLAN = (0.8, 1.6, 1.2, 2.4, 1.0, 0.9, 1.5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tiny_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def judge(run, monkeypatch):
    """The run, with a transcriber that hears two words in everything."""

    def transcribe(batch):
        return [Transcript("", "Well, yes.", (Word("Well,", 0.1, 0.3, 0.9),), 0.9) for _ in batch]

    monkeypatch.setattr(pipeline.transcripts, "open_transcriber", lambda settings: SimpleNamespace(transcribe=transcribe))
    return EmoJudge.load(run)


@pytest.fixture
def clips(tmp_path):
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], speech(0.2, 1.0 + number / 2, seed=number), RATE, subtype="FLOAT")
    return paths


def test_one_gives_one_and_several_give_an_array(judge, clips):
    one, several = judge.predict(clips[0]), judge.predict(clips)
    assert isinstance(one, str) and one in judge.classes_ == EMOTIONS
    assert isinstance(several, np.ndarray) and several.shape == (3,) and several[0] == one


def test_probabilities_are_what_is_explained(judge, clips):
    found = judge.predict_proba(clips)
    assert found.shape == (3, len(EMOTIONS)) and np.allclose(found.sum(1), 1)
    told = judge.explain(clips[1])
    assert set(told.predictions) == {"emotions", "attributes"} and list(told.predictions["emotions"]) == [
        "audio",
        "text",
        "fusion",
    ]
    expected = [told.predictions["emotions"]["fusion"].scores[name] for name in judge.classes_]
    assert np.allclose(found[1], expected, atol=1e-6), "alone and in a batch are the same"
    assert [judge.classes_[i] for i in found.argmax(1)] == judge.predict(clips).tolist()
    assert judge.classes_[found[1].argmax()] == told.label and told.text == "Well, yes."


def test_paths_arrays_and_dictionaries_are_the_same_sound(judge, clips):
    samples, _ = soundfile.read(clips[0], dtype="float32")
    expected = judge.predict_proba(clips[0])
    assert expected.shape == (1, len(EMOTIONS))
    for same in (samples, {"raw": samples, "sampling_rate": RATE}, {"array": samples, "sampling_rate": RATE}, [samples]):
        assert np.allclose(judge.predict_proba(same), expected, atol=1e-6)
    assert not np.array_equal(judge.predict_proba(samples[:4000]), expected)


def test_words_that_are_given_count(judge, clips):
    said = judge.predict_proba(clips, text=["I won!", "Well, yes.", "No."])
    heard = judge.predict_proba(clips)
    assert np.allclose(said[1], heard[1]) and not np.array_equal(said[0], heard[0])
    with pytest.raises(ValueError, match="shorter"):
        judge.predict(clips, text=["one"])


def test_nothing_is_transcribed_for_the_voice_alone(run, judge, clips, monkeypatch):
    """As with `base`: words are heard for what reads them, and take ten times as long."""
    alone = EmoJudge.load(run, ['modalities_of={emotions=["audio"]}'])
    monkeypatch.setattr(alone, "_hear", lambda batch: pytest.fail("a clip was transcribed"))
    told = judge.explain(clips[0], "No.").predictions["emotions"]["audio"]
    assert alone.predict_proba(clips[0])[0] == pytest.approx([told.scores[name] for name in alone.classes_], abs=1e-6)


def test_clips_can_be_told_relative_to_their_speaker(judge, clips):
    eight, said = [*clips, *clips, *clips[:2]], ["No."] * 8
    alone, found = judge.predict_proba(eight, said), judge.predict_proba(eight, said, speaker="Anna")
    assert np.allclose(found, relative(alone, "Anna")) and not np.allclose(found, alone)
    assert judge.predict(eight, said, speaker=["Anna"] * 8).tolist() == [judge.classes_[i] for i in found.argmax(1)]
    with pytest.raises(DataError, match="Anna speaks in 3 clips"):
        judge.predict(clips, "No.", speaker="Anna")


def test_a_frozen_encoder_may_compute_in_half_the_bits(judge, run, clips, tmp_path, monkeypatch):
    half = [f"{name}.encoder_precision=bfloat16" for name in ("audio", "text")]
    with pytest.raises(ConfigError, match="encoder_precision is for frozen encoders"):
        EmoJudge.load(run, half)
    monkeypatch.setenv("EMOJUDGE_CACHE", str(tmp_path))
    frozen = tiny_run(tmp_path / "run", "audio.train=none", "text.train=none", "tasks=['attributes']")
    wanted, found = (
        EmoJudge.load(frozen, changes).explain(clips[1], "No.").predictions["attributes"]["fusion"].scores
        for changes in ([], half)
    )
    assert found != wanted and list(found.values()) == pytest.approx(list(wanted.values()), rel=0.05)


def test_what_cannot_be_heard_is_one_sentence(judge, tmp_path):
    with pytest.raises(AudioError, match="cannot be opened"):
        judge.predict("nowhere.wav")
    with pytest.raises(AudioError, match="shape"):
        judge.predict(np.zeros((2, 3, 4)))
    with pytest.raises(AudioError, match="not finite"):
        judge.predict(np.full(16000, np.nan))


def test_a_timeline_has_every_utterance_in_its_place(judge, tmp_path):
    soundfile.write(tmp_path / "long.flac", speech(*PLAN), RATE)
    told = judge.timeline(tmp_path / "long.flac", speakers=2)
    assert abs(told.seconds - sum(PLAN)) < 0.01 and len(told.segments) == 3
    for segment, (start, end) in zip(told.segments, spoken(*PLAN), strict=True):
        assert abs(segment.start - start) < 0.25 and abs(segment.end - end) < 0.25
        assert set(segment.scores["emotions"]) == set(EMOTIONS) and set(segment.attributes) == set(ATTRIBUTES)
        assert abs(sum(segment.scores["emotions"].values()) - 1) < 1e-6
        assert segment.words[0]["start"] == pytest.approx(segment.start + 0.1, abs=1e-3) and segment.text == "Well, yes."
        assert segment.speaker in ("S1", "S2")
    assert set(told.errors) == set(ATTRIBUTES) and "TINY" in told.notice
    alone = np.array([[s.alone["emotions"][n] for n in EMOTIONS] for s in told.segments])
    samples, _ = soundfile.read(tmp_path / "long.flac", dtype="float32")
    pieces = [samples[round(s.start * RATE) : round(s.end * RATE)] for s in told.segments]
    assert np.allclose(alone, judge.predict_proba(pieces), atol=1e-5), "a segment is a clip"
    same = judge.timeline({"raw": samples, "sampling_rate": RATE}, speakers=2)
    assert [(s.start, s.scores) for s in same.segments] == [(s.start, s.scores) for s in told.segments]


def test_a_silent_recording_has_an_empty_timeline(judge):
    told = judge.timeline(np.zeros(3 * RATE, np.float32), speakers=3)
    assert told.segments == [] and told.seconds == 3.0


def test_a_segment_without_words_is_judged_by_its_voice(judge, monkeypatch):
    silent = SimpleNamespace(transcribe=lambda batch: [Transcript() for _ in batch])
    monkeypatch.setattr(pipeline.transcripts, "open_transcriber", lambda settings: silent)
    [one] = judge.timeline(speech(0.5, 1.5, 0.5)).segments
    voice = judge.predict_proba(speech(0.5, 1.5, 0.5)[round(one.start * RATE) : round(one.end * RATE)], text="")
    assert np.allclose([one.alone["emotions"][n] for n in EMOTIONS], voice[0], atol=1e-6)


def test_a_judge_is_asked_about_every_segment_if_wanted(run, judge, tmp_path):
    from emojudge.devserver import DevServer

    with DevServer() as server:
        changes = ["judge.judge=openai:gpt-4o", f"judge.base_url={server.url}", "recordings.smoothing=0"]
        asked = EmoJudge.load(run, changes)
        told = asked.timeline(speech(*PLAN), judge=True)
        assert all(s.verdict["label"] in EMOTIONS and s.verdict["outcome"] for s in told.segments)
        assert not any(s.verdict for s in asked.timeline(speech(*PLAN)).segments)
    assert json.dumps(list(told.rows()))


def test_a_stream_tells_while_somebody_speaks_and_when_they_are_done(judge):
    sound = speech(0.5, 2.6, 1.0, 1.2, 1.0)
    events = list(judge.stream(sound[i : i + 1600] for i in range(0, len(sound), 1600)))
    assert [e.kind for e in events] == ["window", "window", "window", "segment", "window", "segment"]
    whole = judge.timeline(sound).segments
    over = [e.segment for e in events if e.kind == "segment"]
    assert [(s.start, s.end, s.text) for s in over] == [(s.start, s.end, s.text) for s in whole]
    for ours, theirs in zip(over, whole, strict=True):
        assert np.allclose(list(ours.scores["emotions"].values()), list(theirs.alone["emotions"].values()), atol=1e-6)
    assert all(e.segment.text is None and e.segment.end - e.segment.start <= 4.0 for e in events if e.kind == "window")
    assert all(e.latency >= (0.2 if e.kind == "segment" else 0) for e in events)


def test_a_stream_at_another_rate_and_in_stereo(judge):
    sound = np.repeat(speech(0.5, 1.5, 1.0), 3)
    [window, segment] = judge.stream(np.split(np.stack([sound, sound], 1), 60), sampling_rate=48000)
    assert window.kind == "window" and abs(segment.segment.end - 2.0) < 0.25
    with pytest.raises(AudioError, match="samples a second"):
        list(judge.stream([sound], sampling_rate=10))


def test_fit_trains_on_a_table_and_predicts(run, judge, clips, tmp_path):
    rows = ["audio,text,speaker,split,emotion"]
    for split, speakers in (("train", "abcd"), ("dev", "efgh"), ("test", "ij")):
        for who in speakers:
            for label, level in (("Happy", 0.5), ("Sad", 0.05)):
                soundfile.write(tmp_path / f"{who}{label}.wav", speech(0.1, 0.7, seed=ord(who), level=level), RATE)
                rows.append(f"{who}{label}.wav,It is {label.lower()}.,{who},{split},{label}")
    (tmp_path / "mine.csv").write_text("\n".join(rows), encoding="utf-8")
    changes = ['tasks=["emotions"]', 'data.labels=["Happy", "Sad"]', "audio.epochs=1", "text.epochs=1"]
    fitted = judge.fit(tmp_path / "mine.csv", tmp_path / "mine", changes)
    assert fitted is judge and fitted.classes_ == ("Happy", "Sad")
    assert judge.predict_proba(clips).shape == (3, 2)
    assert EmoJudge.load(tmp_path / "mine").predict(clips[0]) == judge.predict(clips[0])


def test_what_is_not_fitted_says_so(tmp_path, clips):
    (tmp_path / "x.toml").write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(ModelError, match="fit"):
        EmoJudge.load(tmp_path / "x.toml").predict(clips)


def test_hugging_face_programs_run(run, judge, clips):
    classify = hugging_face("audio-classification", model=judge)
    samples, _ = soundfile.read(clips[0], dtype="float32")
    found = classify(str(clips[0]))
    assert [set(one) for one in found] == [{"score", "label"}] * 5
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert found[0]["label"] == judge.predict(clips[0]) and len(classify(samples, top_k=None)) == len(EMOTIONS)
    for same in (samples, {"raw": samples, "sampling_rate": RATE}, clips[0].read_bytes()):
        assert [one["score"] for one in classify(same)] == pytest.approx([one["score"] for one in found], abs=1e-6)
    assert len(classify([str(path) for path in clips], top_k=1)) == 3
    with pytest.raises(AudioError, match="not fetched"):
        classify("https://example.org/a.wav")
    with pytest.raises(ConfigError, match="summarization"):
        hugging_face("summarization", model=judge)

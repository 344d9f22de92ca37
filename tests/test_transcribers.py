"""What every transcriber promises, and the words and times that Whisper's attention gives."""

import importlib.util
import inspect

import numpy as np
import pytest

from emojudge import audio, offline, registry
from emojudge import tiny_checkpoints as tiny
from emojudge.errors import ConfigError, EmoJudgeError, MissingExtra, MissingWeights
from emojudge.settings import TranscriptSettings
from emojudge.transcribers import _words, faster_whisper, whisper
from emojudge.types import Transcript, Word

CPU = TranscriptSettings(device="cpu")
GENERATOR = np.random.default_rng(0)
CLIPS = [GENERATOR.normal(0, 0.1, n).astype(np.float32) for n in (9000, 16000, 3333, 40000, 0)] + [np.zeros(5000, np.float32)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def base():
    try:
        offline.whisper_base()
    except MissingWeights:
        pytest.skip("requirements/weights.txt is not installed")
    return whisper.open("offline", CPU)


@pytest.fixture
def sure(folder, monkeypatch):
    """A tiny Whisper whose every text counts as probable and takes its time."""
    monkeypatch.setattr(whisper, "MIN_LOG_PROBABILITY", -100.0)
    monkeypatch.setattr(_words, "squeezed", lambda parts, firsts: False)
    return whisper.open(str(folder), CPU)


# -- the contract


@pytest.mark.parametrize("name", registry.names("transcribers"))
def test_every_transcriber_has_the_same_door(name):
    module, _ = registry.resolve("transcribers", name)
    assert list(inspect.signature(module.open).parameters) == ["argument", "settings"]
    assert "Argument:" in module.__doc__
    with pytest.raises(EmoJudgeError) as error:
        module.open("/nowhere/at/all", CPU)
    assert "\n" not in str(error.value) and ("/nowhere" in str(error.value) or isinstance(error.value, MissingExtra))


def test_a_batch_changes_nothing(sure):
    together = sure.transcribe(CLIPS)
    assert together == [sure.transcribe([clip])[0] for clip in CLIPS] == sure.transcribe(CLIPS[::-1])[::-1]
    assert sum(bool(found.text) for found in together) == 4, "the tiny model says nothing: this shows nothing"
    assert together[4:] == [Transcript()] * 2  # nothing, and silence


def test_times_lie_in_the_clip_in_order(sure):
    for clip, found in zip(CLIPS, sure.transcribe(CLIPS), strict=True):
        times = [time for word in found.words for time in (word.start, word.end)]
        assert times == sorted(times) and all(0 <= time <= len(clip) / 16000 + 0.005 for time in times)
        assert " ".join(word.word for word in found.words).split() == found.text.split()
        assert all(0 <= word.confidence <= 1 for word in found.words) and 0 <= found.confidence <= 1


def test_the_fingerprint_names_weights_and_language(folder, sure, tmp_path):
    assert whisper.open(str(folder), CPU).fingerprint == sure.fingerprint
    german = whisper.open(str(folder), TranscriptSettings(device="cpu", language="de"))
    assert german.fingerprint != sure.fingerprint
    assert {found.language for found in german.transcribe(CLIPS[:2])} <= {"de", ""}


def test_a_language_the_model_lacks_is_one_sentence(folder):
    with pytest.raises(ConfigError, match="'xx' is none that this model knows; it knows de, en, pl"):
        whisper.open(str(folder), TranscriptSettings(device="cpu", language="xx"))


def test_improbable_text_is_kept_and_not_trusted(sure, monkeypatch):
    assert sure.transcribe(CLIPS[:1])[0].confidence > 0
    monkeypatch.setattr(whisper, "MIN_LOG_PROBABILITY", -1.0)
    [found] = sure.transcribe(CLIPS[:1])
    assert found.text and found.confidence == 0.0


# -- loops


def test_a_loop_is_heard_again_and_at_last_without_its_triples(sure, monkeypatch):
    """Decodings are made to repeat themselves until the one under `no_repeat_ngram_size`, which is the model's own."""
    import torch

    asked, write = [], sure._write
    ids = sure.tokenizer.encode("by the door " * 30)

    def looping(states, seconds, **options):
        asked.append((states.shape[1], options))
        written = write(states, seconds, **options)
        return written if options else torch.cat([written[:, :4], torch.tensor([ids] * len(written))], 1)

    monkeypatch.setattr(sure, "_write", looping)
    [found] = sure.transcribe(CLIPS[1:2])
    assert asked == [(250, {}), (1500, {}), (1500, {"no_repeat_ngram_size": 3})]
    assert found.confidence > 0 and "by the door by the door by the door" not in found.text
    monkeypatch.setattr(sure, "_write", lambda states, seconds, **options: looping(states, seconds))
    [found] = sure.transcribe(CLIPS[1:2])
    assert found.text.startswith("by the door by the door") and found.confidence == 0.0 and found.words


@pytest.mark.weights
def test_what_follows_the_speech_is_not_made_up(base, shared):
    """Clips behind which Whisper goes on talking with four seconds of silence; in its own window it does not."""
    for name in ("09/03-01-04-02-01-01-09", "16/03-01-06-01-01-01-16"):
        [found] = base.transcribe([audio.read(shared / f"ravdess/Actor_{name}.flac")])
        assert found.text == "Kids are talking by the door." and found.confidence > 0.8


# -- words and times


def test_the_path_is_the_best_of_all_paths():
    """Against every way of parting seven frames among three tokens."""
    from itertools import combinations

    for seed in range(20):
        weights = np.random.default_rng(seed).normal(size=(3, 7))
        paths = [(0, *cut) for cut in combinations(range(1, 7), 2)]
        gathered = {
            path: sum(weights[i, a:b].sum() for i, (a, b) in enumerate(zip(path, (*path[1:], 7), strict=True))) for path in paths
        }
        assert tuple(_words._path(weights)) == max(gathered, key=gathered.__getitem__)


def test_the_times_are_those_of_hugging_face(base, shared):
    """The library's own warping of the same model's attention, clip by clip."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    samples = audio.read(shared / "ravdess/Actor_01/03-01-01-01-01-01-01.flac")
    ours = base.transcribe([samples])[0].words
    with torch.inference_mode():
        frames, _ = base.encoder.encode([np.pad(samples, (0, 8 * 16000 - len(samples)))])
        heard = BaseModelOutput(last_hidden_state=frames[:, -1])
        options = {"language": "en", "return_token_timestamps": True, "num_frames": torch.tensor([2 * -(-len(samples) // 320)])}
        theirs = base.model.generate(encoder_outputs=heard, task="transcribe", **options)["token_timestamps"][0].tolist()
    assert [w.word for w in ours] == ["Kids", "are", "talking", "by", "the", "door."]
    assert all(min(abs(w.start - start) for start in theirs) <= 0.1 for w in ours[1:])  # the first is moved to the first sound


def test_fewer_frames_than_tokens_are_shared_out():
    assert _words.follow(np.ones((2, 6, 3))).tolist() == [0, 0, 1, 1, 2, 2]
    assert _words.follow(np.zeros((1, 1, 10))).tolist() == [0]


class Letters:
    """A tokenizer of bytes."""

    def decode(self, tokens):
        return bytes(tokens).decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Kids can't wait — really!", ["Kids", "can't", "wait —", "really!"]),
        (" ... what?", ["... what?"]),
        (" Żółw, żaba", ["Żółw,", "żaba"]),
        ("今日は。", ["今", "日", "は。"]),
    ],
)
def test_words_are_parted_as_they_are_written(text, expected):
    parts = _words.parts(list(text.encode()), Letters())
    assert [word for word, _ in parts] == expected
    assert sum(count for _, count in parts) == len(text.encode())


def test_broken_characters_lose_no_tokens():
    assert sum(count for _, count in _words.parts([0xE4] * 7, Letters())) == 7


def test_words_carry_times_and_mean_probability():
    firsts, chances = np.array([0, 10, 20, 30, 40, 50, 150]), np.array([1.0, 0.5, 0.6, 1.0, 1.0, 1.0])
    found = _words.words([("a", 2), ("bcd", 4)], firsts, chances, np.ones(150, bool))
    assert found == (Word("a", 0.0, 0.4, 0.75), Word("bcd", 0.4, 3.0, 0.9))


def test_pauses_belong_to_no_word():
    samples = np.zeros(32000, np.float32)
    samples[3200:8000], samples[24000:27000] = 0.1, 0.1
    loud = _words.loud(samples)
    assert loud.tolist() == [10 <= frame < 25 or 75 <= frame < 85 for frame in range(100)]
    found = _words.words([("a", 2), ("b", 2)], np.array([0, 1, 30, 40, 100]), np.ones(4), loud)
    assert [(word.start, word.end) for word in found] == [(0.2, 0.5), (1.5, 1.7)]
    quiet = _words.words([("a", 2), ("b", 2)], np.array([0, 1, 5, 9, 90]), np.ones(4), loud)
    assert (quiet[0].start, quiet[0].end) == (0.0, 0.1)  # no sound in it: it stays where attention put it


def test_long_clips_are_parted_where_it_is_quiet():
    samples = np.ones(60 * 16000, np.float32)
    samples[22 * 16000 : 23 * 16000] = 0.0
    cuts = list(whisper.stretches(samples))
    assert [begin for begin, _ in cuts[1:]] == [end for _, end in cuts[:-1]] and cuts[-1][1] == len(samples)
    assert 22 < cuts[0][1] / 16000 < 23 and all(end - begin <= 26 * 16000 for begin, end in cuts)
    assert list(whisper.stretches(samples[:0])) == []


# -- real weights


@pytest.mark.weights
def test_real_speech_is_heard_and_heard_once(base, shared):
    names = ["01/03-01-01-01-01-01-01", "02/03-01-05-02-02-01-02"]
    clips = [audio.read(shared / f"ravdess/Actor_{name}.flac") for name in names]
    kids, dogs = found = base.transcribe(clips)
    assert (kids.text, kids.language) == ("Kids are talking by the door.", "en")
    assert dogs.text.lower().startswith("dogs are sitting by the door") and found == [base.transcribe([c])[0] for c in clips]
    assert kids.confidence > 0.8 and len(kids.words) == 6
    assert 0.8 < kids.words[0].start < 1.1 and 2.0 < kids.words[-1].end < 2.6


@pytest.mark.weights
def test_the_language_can_be_heard(base, shared):
    [found] = base.transcribe([audio.read(shared / "emodb/wav/03a01Nc.flac")])
    assert found.language == "de" and "liegt auf dem" in found.text


@pytest.mark.weights
def test_long_recordings_are_heard_to_their_end(base, shared):
    kids, dogs = (audio.read(shared / f"ravdess/Actor_01/03-01-01-01-0{i}-01-01.flac") for i in (1, 2))
    [found] = base.transcribe([np.concatenate([kids, np.zeros(16000 * 26 - len(kids), np.float32), dogs])])
    assert found.text.lower().startswith("kids are talking") and found.text.lower().rstrip(".").endswith(
        "dogs are sitting by the door"
    )
    first = next(word for word in found.words if word.word == "Dogs")
    assert first.start == pytest.approx(26 + 1.0, abs=0.3)


@pytest.mark.weights
@pytest.mark.parametrize("level", [0.1, 1e-3])
def test_noise_is_not_filled_with_words(base, level):
    noise = [np.random.default_rng(seed).normal(0, level, 32000).astype(np.float32) for seed in range(5)]
    assert not any(found.text for found in base.transcribe(noise))


# -- faster-whisper


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    with pytest.raises(MissingExtra, match=r"pip install 'emojudge\[asr\]'"):
        faster_whisper.open("offline", CPU)


@pytest.mark.weights
@pytest.mark.skipif(not importlib.util.find_spec("faster_whisper"), reason="the extra asr is not installed")
def test_faster_whisper_reads_the_offline_file(base, shared):
    samples = audio.read(shared / "ravdess/Actor_01/03-01-01-01-01-01-01.flac")
    found = faster_whisper.open("offline", TranscriptSettings(device="cpu", language="en")).transcribe([samples, samples[:0]])
    assert found[0].text == "Kids are talking by the door." and found[1] == Transcript()
    ours = base.transcribe([samples])[0].words
    assert all(abs(a.start - b.start) < 0.2 for a, b in zip(ours, found[0].words, strict=True))

import re

import numpy as np
import pytest

from emojudge import audio, offline
from emojudge.errors import MissingWeights
from emojudge.transcripts import transcribe


@pytest.fixture(scope="module")
def base():
    try:
        return offline.whisper_base()
    except MissingWeights:
        pytest.skip("requirements/weights.txt is not installed")


@pytest.mark.weights
def test_real_speech_is_heard_and_heard_once(base, shared):
    samples = audio.read(shared / "ravdess/Actor_01/03-01-01-01-01-01-01.flac")
    heard = transcribe(samples, base)
    assert re.sub(r"[^a-z ]", "", heard.lower()) == "kids are talking by the door"


@pytest.mark.weights
def test_the_language_can_be_heard_too(base, shared):
    samples = audio.read(shared / "emodb/wav/03a01Nc.flac")
    assert "liegt auf dem" in transcribe(samples, base, language=None)


@pytest.mark.weights
def test_long_recordings_are_heard_to_their_end(base, shared):
    kids = audio.read(shared / "ravdess/Actor_01/03-01-01-01-01-01-01.flac")
    dogs = audio.read(shared / "ravdess/Actor_01/03-01-01-01-02-01-01.flac")
    heard = transcribe(np.concatenate([kids, np.zeros(16000 * 26 - len(kids), np.float32), dogs]), base).lower()
    assert heard.startswith("kids are talking") and heard.rstrip(".").endswith("dogs are sitting by the door")


def test_silence_is_not_filled(tmp_path):
    assert transcribe(np.zeros(16000, np.float32), tmp_path) == ""
    assert transcribe(np.zeros(0, np.float32), tmp_path) == ""


def test_a_folder_without_whisper_is_one_sentence(tmp_path):
    with pytest.raises(MissingWeights, match="safetensors"):
        transcribe(np.ones(16000, np.float32), tmp_path)

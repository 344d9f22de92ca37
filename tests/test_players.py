import base64
import io

import numpy as np
import soundfile

from emojudge.players import SECONDS, players
from emojudge.types import Utterance


def decoded(uri):
    kind, data = uri.split(",", 1)
    assert kind == "data:audio/flac;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


def test_what_is_heard_is_the_clip(tmp_path):
    sound = np.sin(np.arange(32_000) / 20) * 0.5
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    made = players([Utterance("a", str(tmp_path / "a.wav"), start=0.5, end=1.5)], 3)
    samples, rate = decoded(made["a"])
    assert rate == 16_000 and len(samples) == 16_000
    assert np.abs(samples - sound[8_000:24_000]).max() < 1e-4


def test_at_most_so_many_and_none_by_default(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    clips = [Utterance(name, str(tmp_path / "a.wav")) for name in "abb"] + [Utterance("text alone")]
    assert players(clips, 0) == {}
    assert list(players(clips, 1)) == ["a"]
    assert list(players(clips, 9)) == ["a", "b"]


def test_what_cannot_be_read_is_passed_over_and_long_clips_are_cut(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(20 * 16_000), 16_000)
    made = players([Utterance("gone", str(tmp_path / "gone.wav")), Utterance("long", str(tmp_path / "long.wav"))], 2)
    assert list(made) == ["long"] and len(decoded(made["long"])[0]) == SECONDS * 16_000

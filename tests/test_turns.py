import sys
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from emojudge import audio, turns
from emojudge.errors import ConfigError, DataError, MissingExtra
from emojudge.hearing import Sound
from emojudge.timeline import Segment


def test_voices_of_two_people_are_told_apart(shared):
    """Four pairs of a man and a woman in eight moods: most clips go to the right one, which guessing would bring to 0.6."""
    right = []
    for man in ("01", "03", "05", "07"):
        pair = (man, f"{int(man) + 1:02}")
        clips = [path for who in pair for path in sorted((shared / "ravdess" / f"Actor_{who}").iterdir())[::5]]
        told = turns.Statistics()
        told.hear([Sound(str(path), audio.read(path)) for path in clips])
        found = np.array(told.speakers([Segment(i * 3.0, i * 3.0 + 2) for i in range(len(clips))], "2"))
        assert set(found) == {"S1", "S2"} and found[0] == "S1"
        share = np.mean((found == "S1") == (np.arange(len(clips)) < len(clips) // 2))
        right.append(max(share, 1 - share))
    assert np.mean(right) > 0.75


def test_groups():
    rng = np.random.default_rng(0)
    apart = np.concatenate([rng.normal(0, 0.1, (8, 3)) + centre for centre in np.eye(3)])
    found = turns.group(apart, 3).reshape(3, 8)
    assert (found == found[:, :1]).all() and len(set(found[:, 0])) == 3
    assert len(set(turns.group(apart[:2], 5))) == 2 and turns.group(apart[:1], 2).tolist() == [0]


def test_short_segments_join_a_voice_and_found_none():
    told = turns.Statistics()
    told.vectors = [np.array(v) for v in ([0.0, 1.0], [1.0, 0.0], [0.1, 1.0], [1.0, 0.1], [9.0, 0.0])]
    segments = [Segment(i, i + (0.4 if i == 4 else 2)) for i in range(5)]
    assert told.speakers(segments, 2) == ["S1", "S2", "S1", "S2", "S2"]
    assert turns.Statistics().speakers([], 2) == []


@pytest.mark.parametrize(("spec", "wanted"), [("nobody", 2), ("pyannote", "auto"), ("statistics", "auto"), ("statistics", "0")])
def test_mistakes_are_said_before_any_work(spec, wanted):
    with pytest.raises(ConfigError):
        turns.open_turns(spec, "a.wav", wanted)


def test_pyannote_is_asked_in_its_own_terms(tmp_path, monkeypatch):
    """A made-up pyannote.audio: the same calls, and turns that it says."""
    asked, Turn = {}, namedtuple("Turn", "start end")  # noqa: PYI024

    class Pipeline:
        @classmethod
        def from_pretrained(cls, name):
            asked["name"] = name
            return cls()

        def __call__(self, file, **options):
            asked.update(options, samples=file["waveform"].shape, rate=file["sample_rate"])
            found = [(Turn(0.0, 2.2), None, "SPEAKER_01"), (Turn(2.0, 5.0), None, "SPEAKER_00")]
            return SimpleNamespace(itertracks=lambda yield_label: iter(found))

    monkeypatch.setitem(sys.modules, "pyannote", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "pyannote.audio", SimpleNamespace(Pipeline=Pipeline))
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 8000)
    told = turns.open_turns("pyannote:pyannote/speaker-diarization-3.1", str(tmp_path / "a.wav"), "2")
    found = told.speakers([Segment(0.1, 2.1), Segment(2.1, 4.0), Segment(9.0, 9.5)], "2")
    assert found == ["SPEAKER_01", "SPEAKER_00", ""]
    assert asked == {"name": "pyannote/speaker-diarization-3.1", "num_speakers": 2, "samples": (1, 32000), "rate": 16000}
    monkeypatch.setitem(sys.modules, "pyannote.audio", None)
    with pytest.raises(MissingExtra, match="pyannote"):
        turns.open_turns("pyannote:x", "a.wav", "auto")
    with pytest.raises(DataError, match="reads files"):
        turns.open_turns("pyannote:x", None, "auto")

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
    """Six people of EmoDB in pairs of a man and a woman, all moods: most segments go to the right one."""
    right = []
    for a, b in (("03", "08"), ("10", "09"), ("11", "13")):
        clips = [(who, path) for who in (a, b) for path in sorted((shared / "emodb" / "wav").glob(f"{who}*"))[:24:2]]
        told = turns.Statistics()
        told.hear([Sound(str(path), audio.read(path)) for _, path in clips])
        segments = [Segment(i * 3.0, i * 3.0 + 2) for i in range(len(clips))]
        found = told.speakers(segments, 2)
        assert set(found) == {"S1", "S2"} and found[0] == "S1"
        pairs = list(zip((who for who, _ in clips), found, strict=True))
        right.append(
            max(sum(f == one for w, f in pairs if w == a) + sum(f != one for w, f in pairs if w == b) for one in ("S1", "S2"))
            / len(pairs)
        )
    assert np.mean(right) > 0.85


def test_groups_are_found_where_there_are_any():
    rng = np.random.default_rng(0)
    apart = np.concatenate([rng.normal(centre, 0.1, (8, 5)) for centre in (0, 3, 6)])
    assert len(set(turns.group(apart, "auto"))) == 3
    assert len(set(turns.group(rng.normal(0, 1, (30, 40)), "auto"))) == 1
    assert len(set(turns.group(apart, 2))) == 2 and len(set(turns.group(apart[:2], 5))) == 2
    assert len(set(turns.group(apart[:1], "auto"))) == 1


def test_short_segments_join_a_voice_and_found_none():
    told = turns.Statistics()
    told.vectors = [np.array(v) for v in ([0.0, 0.0], [5.0, 5.0], [0.1, 0.0], [5.0, 5.1], [40.0, 40.0])]
    segments = [Segment(i, i + (0.4 if i == 4 else 2)) for i in range(5)]
    assert told.speakers(segments, 2) == ["S1", "S2", "S1", "S2", "S2"]
    assert turns.Statistics().speakers([], "auto") == []


@pytest.mark.parametrize(
    ("spec", "wanted"), [("nobody", "auto"), ("pyannote", "auto"), ("statistics", "0"), ("statistics", "two")]
)
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

from dataclasses import replace

import pytest
import torch

from emojudge.config import load_config
from emojudge.errors import DataError, ModelError
from emojudge.experiment import Experiment
from emojudge.pipeline import EmoJudge
from emojudge.speakers import BySpeaker
from tests.made_up import TableSource, utterances

ROWS = utterances(40, speakers=3)


def test_frames_are_standard_scores_of_their_speaker():
    plain = TableSource(ROWS)
    ids = [u.id for u in ROWS if u.speaker == "s1"]
    frames, mask = BySpeaker(plain, ROWS)(ids)
    real = [frames[row, :, mask[row]] for row in range(len(ids))]
    means = torch.stack([clip.mean(1) for clip in real])
    squares = torch.stack([clip.square().mean(1) for clip in real])
    assert means.mean(0).abs().max() < 1e-4 and (squares.mean(0) - 1).abs().max() < 1e-3
    assert frames.transpose(1, 2)[~mask].abs().sum() == 0


def test_gain_and_offset_of_a_voice_are_gone():
    plain, voiced = TableSource(ROWS), TableSource(ROWS)
    for u in ROWS:
        voiced.frames[u.id] = voiced.frames[u.id] * (1 + int(u.speaker[1])) + 5 * int(u.speaker[1])
    ids = [u.id for u in ROWS[:9]]
    assert torch.allclose(BySpeaker(plain, ROWS)(ids)[0], BySpeaker(voiced, ROWS)(ids)[0], atol=1e-3)


def test_batching_changes_nothing():
    source = BySpeaker(TableSource(ROWS), ROWS)
    together, mask = source(["0", "7", "14"])
    alone, _ = source(["7"])
    assert torch.allclose(together[1, :, mask[1]], alone[0], atol=1e-6) and source.length("7") == alone.shape[2]


def test_an_unknown_speaker_is_refused():
    with pytest.raises(DataError, match=r"1 clips have no speaker \(as 3\)"):
        BySpeaker(TableSource(ROWS), [replace(u, speaker=None) if u.id == "3" else u for u in ROWS])


def test_a_run_that_needs_a_speakers_clips_explains_no_single_one(tmp_path):
    config = load_config(changes=["audio.normalise_features=speaker", "audio.encoder=whisper:offline"])
    Experiment(config, tmp_path).stages.write()
    with pytest.raises(ModelError, match="many clips of a speaker"):
        EmoJudge.load(tmp_path)

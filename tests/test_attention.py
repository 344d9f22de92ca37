import re

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from emojudge import models
from emojudge.attention import attention_figure, examples, layer_figure, layer_weights, listen
from emojudge.errors import MissingWeights
from emojudge.models import EmotionModel, ModelCard
from emojudge.runs import Part
from emojudge.settings import AudioSettings
from emojudge.types import EMOTIONS, Utterance


class Loudness:
    """An encoder of one frame each 20 ms: mean size of the samples, in each of two layers."""

    modality, size, layers, fingerprint = "audio", 1, 2, "loudness"
    module = nn.Identity()

    def encode(self, batch):
        frames = torch.from_numpy(np.abs(batch[0]).reshape(-1, 320).mean(1)).float()
        return frames[None, None, :, None].expand(1, 2, -1, 1), torch.ones(1, len(frames), dtype=torch.bool)


class Encoders:
    """What `Features` is asked for."""

    def encoder(self, modality):
        return Loudness()


def saved(folder, seed=0, weight=(0.0, 1.0), **changes):
    settings = AudioSettings(train="none", layers=(3, 7), attention_size=2, hidden_size=4, blocks=1, **changes)
    card = ModelCard(
        task="emotions",
        outputs=EMOTIONS,
        modalities=("audio",),
        settings={"audio": settings.model_dump(mode="json")},
        encoders={"audio": "loudness"},
        shapes={"audio": (2, 1)},
        normaliser={"mean": 0.0, "deviation": 1.0, "mode": "none"},
    )
    torch.manual_seed(seed)
    model = EmotionModel(card)
    body = model.bodies["audio"]
    if settings.layer_mix == "sum":
        body.mix.weight.data = torch.tensor(weight)
    if settings.pooling == "attentive":  # attends to what is loud
        body.pooling.attention.weight.data.fill_(4.0)
        body.pooling.attention.bias.data.zero_()
        body.pooling.score.weight.data.fill_(3.0)
    part = Part(folder, folder / "manifest.jsonl", seed)
    models.save(model, part.model("emotions", "audio"))
    return part


@pytest.fixture
def clip(tmp_path):
    samples = np.full(16_000, 0.01)
    samples[8_000:9_600] = 0.8  # loud from 0.5 to 0.6 s
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    return Utterance("a", str(tmp_path / "a.wav"), emotion="Sad")


def test_layer_weights_are_the_softmax_of_every_part(tmp_path):
    parts = [saved(tmp_path / "1"), saved(tmp_path / "2", weight=(0.0, 0.0))]
    found = layer_weights(parts, "emotions", "audio")
    share = 1 / (1 + np.e)
    assert found == {"audio": {3: pytest.approx([share, 0.5]), 7: pytest.approx([1 - share, 0.5])}}
    assert "audio, layer 7: 0.62" in re.search(r'aria-label="([^"]*)"', layer_figure(found, "x"))[1]


def test_there_are_no_weights_where_no_sum_was_learnt(tmp_path):
    assert layer_weights([saved(tmp_path, layer_mix="concat")], "emotions", "audio") == {}
    assert layer_weights([saved(tmp_path)], "emotions", "text") == {}


def test_the_model_listens_where_it_is_loud(tmp_path, clip):
    [heard] = listen(saved(tmp_path / "run"), "emotions", "audio", [clip], Encoders())
    assert heard.seconds == 1.0 and heard.attention.shape == (50, 1)
    assert heard.attention.mean() == pytest.approx(1), "relative to an even share"
    loud = heard.attention[25:30]
    assert loud.min() > 5 * heard.attention[:25].max()
    assert heard.waveform.max() == pytest.approx(1)
    assert "at 0.5 s" in re.search(r'aria-label="([^"]*)"', attention_figure(heard, "x"))[1]


def test_the_weights_are_those_that_pool(tmp_path):
    part = saved(tmp_path)
    pooling = models.load(part.model("emotions", "audio"), {"audio": Loudness()}).bodies["audio"].pooling
    frames, mask = torch.rand(2, 9, 1), torch.arange(9) < torch.tensor([[9], [5]])
    weights = pooling.weights(frames, mask)
    assert torch.allclose(weights.sum(1), torch.ones(2, 1)) and (weights[1, 5:] == 0).all()
    assert torch.allclose(pooling(frames, mask)[:, 0], (weights * frames).sum(1)[:, 0])


def test_other_poolings_and_other_frames_have_no_attention(tmp_path, clip):
    assert listen(saved(tmp_path / "1", pooling="mean_std"), "emotions", "audio", [clip], Encoders()) == []
    assert listen(saved(tmp_path / "2", normalise_features="speaker"), "emotions", "audio", [clip], Encoders()) == []
    assert listen(saved(tmp_path / "3"), "emotions", "text", [clip], Encoders()) == []


def test_missing_weights_are_a_sentence_and_missing_clips_are_passed_over(tmp_path, clip):
    class Absent:
        def encoder(self, modality):
            raise MissingWeights("There are no weights.")

    part = saved(tmp_path / "run")
    assert listen(part, "emotions", "audio", [clip], Absent()) == "There are no weights."
    gone = Utterance("gone", str(tmp_path / "gone.wav"))
    assert [heard.utterance.id for heard in listen(part, "emotions", "audio", [gone, clip], Encoders())] == ["a"]


def test_examples_are_of_different_emotions_and_the_same_each_time():
    clips = [Utterance(f"{n:02}", "x.wav", emotion=EMOTIONS[n % 3]) for n in range(30)] + [Utterance("silent", emotion="Fear")]
    chosen = examples(clips, 3)
    assert {clip.emotion for clip in chosen} == set(EMOTIONS[:3])
    assert examples(clips[::-1], 3) == chosen != examples(clips, 3, seed=1)
    assert len(examples(clips, 5)) == 5 and examples(clips[:2], 5) and examples([], 4) == []

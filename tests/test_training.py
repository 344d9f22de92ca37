import json
import math
from dataclasses import replace

import pytest
import torch

from emojudge.errors import ModelError
from emojudge.inference import pad, predict
from emojudge.models import EmotionModel, ModelCard, load
from emojudge.optimisation import parameter_groups, rate
from emojudge.settings import AudioSettings, TextSettings
from emojudge.training import Examples, Training, dev_score, train
from emojudge.types import ATTRIBUTES
from tests.made_up import LABELS, MadeUpEncoder, TableSource, utterances

FROZEN = {"train": "none", "hidden_size": 16, "attention_size": 8, "dropout": 0.1, "epochs": 12, "learning_rate": 5e-3}


def card(task="emotions", modalities=("audio",), **changes):
    audio = AudioSettings(**FROZEN | {"device": "cpu"} | changes).model_dump()
    text = TextSettings(
        train="none", device="cpu", layers="all", epochs=20, learning_rate=2e-2, pooling="mean", hidden_size=16
    ).model_dump()
    return ModelCard(
        task,
        LABELS if task == "emotions" else ATTRIBUTES,
        modalities,
        {"audio": audio, "text": text},
        dict.fromkeys(modalities, "made-up"),
        dict.fromkeys(modalities, (2, 6)),
    )


def split(rows, name):
    return [u for u in rows if u.split == name]


def trained(folder, card, rows, seed=0):
    torch.manual_seed(seed)  # the start must not depend on which tests ran before
    model = EmotionModel(card)
    sources = {m: TableSource(rows) for m in card.modalities}
    best = train(model, sources, Examples(split(rows, "train"), split(rows, "dev")), folder, seed)
    return model, sources, best


@pytest.mark.parametrize("modalities", [("audio",), ("text",), ("audio", "text")])
def test_a_learnable_task_is_learnt_and_the_best_state_is_kept(tmp_path, modalities):
    rows = utterances(200)
    model, sources, best = trained(tmp_path, card(modalities=modalities), rows)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert best == max(row["score"] for row in log) > 0.9
    loaded = load(tmp_path, dict.fromkeys(modalities, MadeUpEncoder()))
    assert dev_score(loaded, sources, split(rows, "dev")) == best


def test_attributes_are_learnt_in_their_own_units(tmp_path):
    rows = utterances(300)
    model, sources, best = trained(tmp_path, card("attributes", epochs=40), rows)
    found = {p.id: p.scores for p in predict(model, sources, [u.id for u in rows], "audio")}
    assert all(set(scores) == set(ATTRIBUTES) for scores in found.values())
    valence = [found[u.id]["valence"] for u in split(rows, "test")]
    assert 2 < sum(valence) / len(valence) < 6 and best > 0.2


def test_the_same_seed_gives_the_same_weights(tmp_path):
    rows = utterances(60)
    first, *_ = trained(tmp_path / "a", card(epochs=2), rows)
    torch.manual_seed(0)
    one = EmotionModel(card(epochs=2))
    torch.manual_seed(0)
    two = EmotionModel(card(epochs=2))
    sources = {"audio": TableSource(rows)}
    for model, name in ((one, "b"), (two, "c")):
        train(model, sources, Examples(split(rows, "train"), split(rows, "dev")), tmp_path / name, seed=3)
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_scaled_pooled_vectors_start_standardised(tmp_path):
    rows = utterances(60)
    model, sources, _ = trained(tmp_path, card(epochs=1, scale_pooled=True, pooling="mean_std", layer_mix="concat"), rows)
    pooled = model.bodies["audio"](*sources["audio"]([u.id for u in split(rows, "train")]))
    assert pooled.shape[1] == 24 and pooled.mean(0).abs().max() < 1e-5
    assert torch.allclose(pooled.std(0, correction=0), torch.ones(24), atol=1e-4)


def test_without_dev_the_last_state_is_kept(tmp_path):
    rows = [u for u in utterances(60) if u.split == "train"]
    model = EmotionModel(card(epochs=3))
    train(model, {"audio": TableSource(rows)}, Examples(rows, []), tmp_path, 0)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3 and (tmp_path / "model.safetensors").exists()


def test_batching_changes_no_score():
    rows = utterances(40)
    model, sources = EmotionModel(card()), {"audio": TableSource(rows)}
    ids = [u.id for u in rows]
    alone = {p.id: p.scores for p in predict(model, sources, ids, "audio", batch_size=1)}
    together = {p.id: p.scores for p in predict(model, sources, ids, "audio", batch_size=40)}
    assert alone.keys() == together.keys() == set(ids)
    assert max(abs(alone[i][label] - together[i][label]) for i in ids for label in LABELS) < 1e-5


def test_whoever_stops_reading_predictions_can_still_train():
    rows = utterances(4)
    model, sources = EmotionModel(card()), {"audio": TableSource(rows)}
    reading = predict(model, sources, [u.id for u in rows], "audio", batch_size=2)
    next(reading)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_another_encoder_is_refused(tmp_path):
    rows = utterances(40)
    trained(tmp_path, card(epochs=1), rows)
    other = MadeUpEncoder()
    other.fingerprint = "another"
    with pytest.raises(ModelError, match="trained on another audio encoder"):
        load(tmp_path, {"audio": other})


def test_encoder_pooling_and_head_have_their_own_groups():
    model = EmotionModel(card(train="all", learning_rate=1e-5, head_learning_rate=1e-3), {"audio": torch.nn.Linear(2, 2)})
    rates = {group["name"]: group["lr"] for group in parameter_groups(model)}
    assert rates == {"encoder": 1e-5, "pooling": 1e-3, "head": 1e-3}


def test_each_encoder_of_early_fusion_learns_at_its_own_rate():
    about = card(modalities=("audio", "text"), train="all", learning_rate=1e-5)
    model = EmotionModel(about, {"audio": torch.nn.Linear(2, 2), "text": torch.nn.Linear(2, 2)})
    rates = {(group["name"], group["lr"]) for group in parameter_groups(model)}
    assert rates == {("encoder", 1e-5), ("encoder", 2e-2), ("pooling", 1e-5), ("pooling", 2e-2), ("head", 1e-5)}


def test_what_decays_is_every_matrix_but_the_attentions():
    model = EmotionModel(card(weight_decay=0.3))
    spared = {id(p) for group in parameter_groups(model) if not group["weight_decay"] for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) not in spared}
    assert names == {
        "bodies.audio.pooling.score.weight",
        "head.blocks.0.0.weight",
        "head.blocks.1.0.weight",
        "head.output.weight",
    }


def test_the_attention_penalty_is_lambda_times_the_square_norm():
    model = EmotionModel(card(attention_l2=0.5))
    attention = model.bodies["audio"].pooling.attention.weight
    assert math.isclose(model.penalty().item(), 0.5 * attention.square().sum().item(), rel_tol=1e-6)


def test_the_rate_warms_up_and_falls():
    settings = AudioSettings(warmup=0.1, decay="cosine")
    factors = [rate(step, 100, settings) for step in range(100)]
    assert factors[0] == 0.1 and factors[9] == 1.0 and factors == sorted(factors[:10]) + sorted(factors[10:], reverse=True)
    assert rate(0, 100, AudioSettings(warmup=0.0, decay="none")) == 1.0


def test_pad_masks_exactly_what_it_added():
    frames, mask = pad([TableSource(utterances(3)).frames[i] for i in "012"])
    assert frames.shape == (3, 2, 5, 6) and mask.sum(1).tolist() == [3, 4, 5]
    assert frames[0, :, 3:].abs().sum() == 0


@pytest.mark.parametrize("task", ["emotions", "attributes"])
def test_micro_batches_send_back_what_the_whole_batch_would(tmp_path, task):
    """Also for the CCC, which is no mean over clips (decision 21)."""
    weights = []
    for micro in (4, 12):
        settings = {"train": "all", "dropout": 0.0, "epochs": 1, "effective_batch": 12, "micro_batch": micro}
        model, *_ = trained(tmp_path / str(micro), card(task, **settings), utterances(60))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*weights, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_what_float32_learns(tmp_path, precision):
    _, _, best = trained(tmp_path, card(precision=precision), utterances(200))
    assert best > 0.9


def test_auxiliary_tasks_share_the_head_and_stay_out_of_the_predictions(tmp_path):
    rows = [replace(u, gender=("female", "male")[int(u.id) % 2]) for u in utterances(100)]
    about = card(auxiliary={"attributes": 0.5, "gender": 0.1}, epochs=3)
    about = replace(about, auxiliary={"attributes": ATTRIBUTES, "gender": ("female", "male")})
    model, sources, _ = trained(tmp_path, about, rows)
    assert model.head.output.out_features == 3 + 3 + 2
    loaded = load(tmp_path, {"audio": MadeUpEncoder()})
    [one] = predict(loaded, sources, ["0"], "audio")
    assert set(one.scores) == set(LABELS) and math.isclose(sum(one.scores.values()), 1.0)
    assert loaded.target_mean[3:6].min() > 1 and loaded.target_mean[:3].abs().sum() == 0


def test_the_second_stage_leaves_the_encoder_alone(tmp_path):
    model, states = EmotionModel(card(train="all", epochs=1, balanced_epochs=2), {"audio": torch.nn.Linear(6, 6)}), []
    rows = utterances(60)
    training = Training(model, {"audio": TableSource(rows)}, Examples(split(rows, "train"), split(rows, "dev")), tmp_path, 0)
    for epoch in (1, 2):
        training._enter(epoch)
        learns = {group["name"]: group["params"][0].requires_grad for group in training.optimiser.param_groups}
        states.append(learns)
    assert states == [{"encoder": True, "pooling": True, "head": True}, {"encoder": False, "pooling": True, "head": True}]
    assert training._balanced(2) and not training._balanced(1)


def test_tensorboard_gets_the_log(tmp_path):
    pytest.importorskip("tensorboard")
    trained(tmp_path, card(epochs=1, tensorboard=True), utterances(40))
    assert list((tmp_path / "tensorboard").glob("events.*"))

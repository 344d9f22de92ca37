import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from emojudge.errors import ConfigError
from emojudge.inference import predict
from emojudge.models import EmotionModel, ModelCard, load
from emojudge.preflight import check_solver
from emojudge.probe import ridge, solve
from emojudge.settings import AudioSettings, Config
from emojudge.training import Examples
from emojudge.types import ATTRIBUTES
from tests.made_up import LABELS, TableSource, utterances

PROBE = {"solver": "ridge", "train": "none", "pooling": "mean_std", "layer_mix": "concat", "blocks": 0, "scale_pooled": True}


@pytest.mark.parametrize("dimensions", [5, 60], ids=["more clips", "more dimensions"])
def test_as_scikit_learn_solves_it(dimensions):
    rng = np.random.default_rng(0)
    copies = [rng.normal(size=(30, dimensions)) for _ in range(2)]
    wanted, weights = rng.normal(size=(30, 3)), rng.uniform(0.5, 2, 30)
    both = np.concatenate(copies)
    each = np.tile(weights / weights.mean() / 2, 2)
    spread = (each @ (both - each @ both / each.sum()) ** 2).sum() / 30
    known = Ridge(alpha=0.7 * spread, solver="cholesky").fit(both, np.tile(wanted, (2, 1)), each)
    weight, bias = ridge([torch.tensor(x) for x in copies], torch.tensor(wanted), torch.tensor(weights), 0.7)
    np.testing.assert_allclose(weight, known.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(bias, known.intercept_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("task", ["emotions", "attributes"])
def test_a_probe_is_a_model_like_any_other(tmp_path, task):
    rows = utterances(120)
    fitted, held = [u for u in rows if u.split == "train"], [u for u in rows if u.split == "dev"]
    names = LABELS if task == "emotions" else ATTRIBUTES
    card = ModelCard(task, names, ("audio",), {"audio": AudioSettings(**PROBE).model_dump()}, {"audio": "x"}, {"audio": (2, 6)})
    source = TableSource(rows)
    model = EmotionModel(card)
    solve(model, {"audio": source}, Examples(fitted, held), tmp_path)

    class Known:
        fingerprint = "x"

    again = {p.id: p for p in predict(load(tmp_path, {"audio": Known()}), {"audio": source}, [u.id for u in held], "audio")}
    first = {p.id: p for p in predict(model, {"audio": source}, [u.id for u in held], "audio")}
    assert all(again[id].scores == pytest.approx(first[id].scores, abs=1e-6) for id in first)
    if task == "emotions":
        right = np.mean([again[u.id].label == u.emotion for u in held])
        sure = np.mean([max(again[u.id].scores.values()) for u in held])
        assert right > 2 / len(LABELS) and abs(sure - right) < 0.2  # made-up clips can be told apart, and confidence is honest
    else:
        said = np.array([again[u.id].scores["valence"] for u in held])
        assert np.corrcoef(said, [u.attributes["valence"] for u in held])[0, 1] > 0.5


@pytest.mark.parametrize("changed", [{"blocks": 1}, {"train": "all"}, {"pooling": "attentive"}, {"auxiliary": {"gender": 0.1}}])
def test_only_a_linear_layer_is_solved(changed):
    with pytest.raises(ConfigError, match='solver = "ridge" solves one linear layer; set audio.train = "none"'):
        check_solver(Config(audio=AudioSettings(**PROBE | changed)))


def test_confidence_is_of_the_clip_alone_where_predictions_are(tmp_path):
    """Copies in which an emotion is plain do not make the clip itself surer."""
    rows = utterances(240)
    fitted, held = [u for u in rows if u.split == "train"], [u for u in rows if u.split == "dev"]
    clear, noisy = TableSource(rows, noise=0.01), TableSource(rows, noise=4.0)

    class Copied(TableSource):
        def __call__(self, ids, random=None, copy=0):
            return (clear if copy else noisy)(ids)

    found = {}
    for averaged in (False, True):
        settings = AudioSettings(**PROBE, augment=("tilt:3",), average_copies=averaged)
        card = ModelCard("emotions", LABELS, ("audio",), {"audio": settings.model_dump()}, {"audio": "x"}, {"audio": (2, 6)})
        model = EmotionModel(card)
        solve(model, {"audio": Copied(rows)}, Examples(fitted, held), tmp_path)
        found[averaged] = model.head.output.weight.abs().mean().item()
    assert found[False] < 0.8 * found[True]

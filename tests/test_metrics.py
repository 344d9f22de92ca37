import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emojudge.errors import ModelError
from emojudge.metrics import (
    accuracy,
    ccc,
    ccc_from,
    confusion,
    confusion_shares,
    macro_f1,
    macro_f1_from,
    pearson,
    per_class_f1,
    rmse,
    rmse_from,
    sums,
    uar,
    weighted_f1,
)

LABELS = ["a", "b", "c", "d"]


def drawn(seed, size=200, labels=LABELS):
    rng = np.random.default_rng(seed)
    return rng.choice(labels, size).tolist(), rng.choice(labels, size).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_label_scores_agree_with_scikit_learn(seed):
    from sklearn import metrics

    gold, predicted = drawn(seed, labels=LABELS[: 2 + seed % 3])
    options = {"labels": LABELS, "zero_division": 0}
    assert macro_f1(gold, predicted, LABELS) == pytest.approx(metrics.f1_score(gold, predicted, average="macro", **options))
    assert weighted_f1(gold, predicted, LABELS) == pytest.approx(metrics.f1_score(gold, predicted, average="weighted", **options))
    assert accuracy(gold, predicted, LABELS) == pytest.approx(metrics.accuracy_score(gold, predicted))
    assert accuracy(gold, predicted, LABELS) == pytest.approx(metrics.f1_score(gold, predicted, average="micro"))
    assert uar(gold, predicted, LABELS) == pytest.approx(metrics.balanced_accuracy_score(gold, predicted))
    assert confusion(gold, predicted, LABELS).tolist() == metrics.confusion_matrix(gold, predicted, labels=LABELS).tolist()
    theirs = metrics.precision_recall_fscore_support(gold, predicted, **options)
    ours = per_class_f1(gold, predicted, LABELS)
    assert pytest.approx(np.array(theirs)) == np.array([[*ours[label].values()] for label in LABELS]).T


def test_macro_f1_by_hand():
    # a: precision 1/2, recall 1/1; b: 1/1, 1/2; c: never there, never given
    assert macro_f1(["a", "b", "b"], ["a", "a", "b"], ["a", "b", "c"]) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert uar(["a", "b", "b"], ["a", "a", "b"], ["a", "b", "c"]) == pytest.approx((1 + 0.5) / 2)


def test_a_perfect_score_needs_every_label_that_is_asked_for():
    assert macro_f1(LABELS, LABELS, LABELS) == 1.0
    assert macro_f1(["a"], ["a"], LABELS) == 0.25


def test_a_foreign_label_is_refused_by_name():
    with pytest.raises(ModelError, match="'calm'"):
        confusion(["a", "calm"], ["a", "a"], LABELS)


def test_scores_take_many_confusion_matrices_at_once():
    many = np.stack([confusion(*drawn(seed), LABELS) for seed in range(6)]).reshape(2, 3, 4, 4)
    assert macro_f1_from(many).ravel().tolist() == pytest.approx([macro_f1(*drawn(seed), LABELS) for seed in range(6)])


@pytest.mark.parametrize("size", [2, 3, 16, 1000])
def test_concordance_with_oneself_is_one(size):
    # A biased covariance over unbiased variances gives 0.94 at 16.
    x = np.random.default_rng(size).normal(4, 1, size)
    assert ccc(x, x) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_concordance_agrees_with_torchmetrics_and_numpy(seed):
    import torch
    from torchmetrics.functional import concordance_corrcoef

    rng = np.random.default_rng(seed)
    x = rng.normal(4, 1, 500)
    y = 0.7 * x + rng.normal(1, 0.5, 500)
    by_hand = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert ccc(x, y) == pytest.approx(by_hand, abs=1e-12)
    # torchmetrics 1.x uses unbiased moments throughout but for the means' distance: the same up to O(1/n).
    assert ccc(x, y) == pytest.approx(float(concordance_corrcoef(torch.tensor(y), torch.tensor(x))), abs=2e-3)
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert rmse(x, y) == pytest.approx(np.linalg.norm(x - y) / np.sqrt(500))


def test_sums_may_come_one_clip_at_a_time():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 50))
    total = np.zeros(6)
    for pair in zip(x, y, strict=True):
        total += sums(*pair)
    assert float(ccc_from(total)) == pytest.approx(ccc(x, y))
    assert not np.isnan(ccc_from(total))


def test_what_cannot_be_measured_is_nan_and_nothing_else_is():
    assert np.isnan(ccc([3.0, 3.0], [3.0, 3.0]))
    assert ccc([1.0, 2.0], [3.3, 3.3]) == 0.0
    assert np.isnan(pearson([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]))


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=30, unique=True), st.floats(-1e6, 1e6))
@settings(max_examples=50, deadline=None)
def test_concordance_does_not_see_a_common_shift(values, shift):
    x = np.array(values)
    y = np.roll(x, 1)
    if x.std() > 1e-3:
        assert ccc(x + shift, y + shift) == pytest.approx(ccc(x, y), abs=1e-6)
        assert -1 - 1e-9 <= ccc(x, y) <= abs(pearson(x, y)) + 1e-9


def test_confusions_as_shares_agree_with_scikit_learn():
    from sklearn import metrics

    gold, predicted = drawn(6)
    shares = metrics.confusion_matrix(gold, predicted, labels=LABELS, normalize="true")
    assert confusion_shares(confusion(gold, predicted, LABELS)) == pytest.approx(shares)


@pytest.mark.filterwarnings("ignore")
def test_errors_agree_with_scikit_learn_and_survive_a_common_shift():
    from sklearn.metrics import root_mean_squared_error

    x, y = np.random.default_rng(8).normal(4, 1, (2, 300))
    assert rmse(x, y) == pytest.approx(root_mean_squared_error(x, y))
    shifted = sums(x - 4, y - 4).sum(0)
    assert float(rmse_from(shifted)) == pytest.approx(rmse(x, y)) and rmse(x, x) == 0.0

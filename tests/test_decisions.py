"""Decisions on made-up probabilities whose truth is known, by brute force and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss

from emojudge.decisions import (
    conformal_threshold,
    fit,
    fit_offsets,
    fit_temperature,
    fit_vector,
    log_softmax,
    prior_shift,
)


def calibrated(seed, size, prior=(0.5, 0.3, 0.2), strength=1.5):
    """Log-probabilities (N, 3) that are exactly the posterior of `prior`, and gold drawn with them."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, size, p=prior)
    seen = rng.normal(0, 1, (size, 3)) + strength * np.eye(3)[gold]  # log-likelihoods differ by `strength` times what is seen
    return log_softmax(strength * seen + np.log(prior)), gold


def test_temperature_finds_what_was_done_to_the_probabilities():
    logs, gold = calibrated(0, 20_000)
    assert fit_temperature(logs, gold) == pytest.approx(1.0, abs=0.03)
    assert fit_temperature(log_softmax(logs * 2.5), gold) == pytest.approx(2.5, abs=0.08)


def test_temperature_is_the_scale_of_a_logistic_regression():
    """With two classes 1 / T is the coefficient of a logistic regression on the log odds, without intercept."""
    logs, gold = calibrated(1, 2000)
    logs, gold = log_softmax(3 * logs[gold < 2, :2]), gold[gold < 2]
    odds = (logs[:, 1] - logs[:, 0])[:, None]
    fitted = LogisticRegression(C=1e9, fit_intercept=False).fit(odds, gold)
    assert 1 / fit_temperature(logs, gold) == pytest.approx(fitted.coef_[0, 0], rel=1e-3)


def test_vector_scaling_undoes_a_bias_and_no_nearby_choice_is_better():
    logs, gold = calibrated(2, 20_000)
    scale, bias = fit_vector(log_softmax(logs * [1.0, 2.0, 0.5] + [0.0, 1.0, -1.0]), gold)
    again = log_softmax(log_softmax(logs * [1.0, 2.0, 0.5] + [0.0, 1.0, -1.0]) * scale + bias)
    assert log_loss(gold, np.exp(again)) < log_loss(gold, np.exp(logs)) + 0.015
    crooked = log_softmax(logs * 2 + [0.0, 1.0, -1.0])
    scale, bias = fit_vector(crooked, gold)

    def loss(scale, bias):
        fit = -log_softmax(crooked * scale + bias)[np.arange(len(gold)), gold].sum()
        return fit + ((scale - 1) ** 2).sum() / 2 + (bias**2).sum() / 2

    rng = np.random.default_rng(0)
    for _ in range(20):
        assert loss(scale, bias) < loss(scale + rng.normal(0, 0.02, 3), bias + rng.normal(0, 0.02, 3))


def test_few_clips_leave_probabilities_near_what_they_were():
    logs, gold = calibrated(3, 2)
    scale, bias = fit_vector(logs, gold)
    assert np.abs(scale - 1).max() < 1.5 and np.abs(bias).max() < 1.5
    assert np.isfinite(fit_vector(log_softmax(np.eye(3) * 50), np.arange(3))[0]).all(), "separable"


def test_another_prior_gives_the_posterior_of_that_prior():
    """Bayes: with the same likelihoods, moving to a prior is what having had it from the start would have given."""
    logs, gold = calibrated(4, 5000)
    likelihood = logs - np.log([0.5, 0.3, 0.2])
    moved = log_softmax(logs + prior_shift([50, 30, 20], [0.2, 0.2, 0.6]))
    assert moved == pytest.approx(log_softmax(likelihood + np.log([0.2, 0.2, 0.6])))
    assert prior_shift([5, 5, 0], [1, 1, 1])[2] == 0, "what was never there has no score to correct"


@given(st.integers(0, 10_000), st.integers(3, 12))
@settings(max_examples=30, deadline=None)
def test_offsets_of_two_labels_are_the_best_there_are(seed, size):
    rng = np.random.default_rng(seed)
    logs, gold = log_softmax(rng.normal(0, 1, (size, 2))), rng.integers(0, 2, size)
    found = fit_offsets(logs, gold)
    gaps = np.sort(logs[:, 0] - logs[:, 1])
    tried = [gaps[0] - 1, *(gaps[1:] + gaps[:-1]) / 2, gaps[-1] + 1]
    best = max(score(gold, logs + [0, offset]) for offset in tried)
    assert score(gold, logs + found) == pytest.approx(best)


def score(gold, scores):
    labels = range(scores.shape[1])
    return f1_score(gold, scores.argmax(1), labels=labels, average="macro", zero_division=0)


@pytest.mark.parametrize("seed", range(5))
def test_offsets_never_lose_on_what_they_were_fitted_on_and_no_single_one_gains_more(seed):
    logs, gold = calibrated(seed, 150, prior=(0.85, 0.1, 0.05), strength=0.8)
    found = fit_offsets(logs, gold)
    reached = score(gold, logs + found)
    assert reached > score(gold, logs)
    for k in range(3):
        for change in np.linspace(-4, 4, 161):
            assert score(gold, logs + found + change * np.eye(3)[k]) <= reached + 1e-12


def test_offsets_raise_macro_f1_where_a_label_is_rare():
    logs, gold = calibrated(10, 4000, prior=(0.9, 0.07, 0.03), strength=1.0)
    new_logs, new_gold = calibrated(11, 4000, prior=(0.9, 0.07, 0.03), strength=1.0)
    found = fit_offsets(logs, gold)
    assert score(new_gold, new_logs + found) > score(new_gold, new_logs) + 0.03


def test_the_conformal_threshold_is_the_quantile_of_its_authors():
    logs, gold = calibrated(5, 37)
    probabilities = np.exp(logs)
    wrongness = 1 - probabilities[np.arange(37), gold]
    expected = np.quantile(wrongness, np.ceil(38 * 0.9) / 37, method="inverted_cdf")
    assert 1 - conformal_threshold(probabilities, gold, 0.9) == pytest.approx(expected)
    assert conformal_threshold(probabilities[:5], gold[:5], 0.9) == 0.0, "five clips cannot vouch for 90 %"


def test_sets_hold_the_truth_as_often_as_promised():
    """Over many draws of 99 calibration clips the mean coverage is exactly 90/100 for continuous scores; here of 400 draws."""
    found = []
    for seed in range(400):
        logs, gold = calibrated(seed, 199)
        fitted = conformal_threshold(np.exp(logs[:99]), gold[:99], 0.9)
        found.append((np.exp(logs[99:])[np.arange(100), gold[99:]] >= fitted).mean())
    assert np.mean(found) == pytest.approx(0.9, abs=4 * np.std(found) / 20)


def test_everything_at_once_keeps_what_it_promises():
    logs, gold = calibrated(6, 2000)
    made = fit(logs, gold, {"uniform": prior_shift([5, 3, 2], [1, 1, 1]), "declared": [0, 1, 0]}, coverage=0.8, abstain=0.25)
    assert made.kinds == ("temperature", "vector", "uniform", "declared", "offsets")
    probabilities = np.exp(logs)
    assert made.apply("uniform", logs) == pytest.approx(np.exp(log_softmax(logs - np.log([0.5, 0.3, 0.2]))))
    assert (made.apply("temperature", logs).argmax(1) == logs.argmax(1)).all()
    assert all(made.apply(kind, logs).sum(1) == pytest.approx(1) for kind in made.kinds)
    assert made.sets(probabilities)[np.arange(2000), gold].mean() == pytest.approx(0.8, abs=0.002)
    assert made.answered(probabilities).mean() == pytest.approx(0.75, abs=0.002)
    right = probabilities.argmax(1) == gold
    assert right[made.answered(probabilities)].mean() > right.mean() + 0.03

import time
from itertools import combinations

import numpy as np
import pytest

from emojudge.compare import (
    Estimate,
    Tally,
    bootstrap_p,
    changes,
    detectable,
    differences,
    estimate,
    holm,
    interval,
    mcnemar,
    means_from,
    paired,
    replicates,
    tally_labels,
    tally_means,
    tally_values,
)
from emojudge.metrics import accuracy_from, ccc, ccc_from, f1_from, macro_f1, macro_f1_from, uar_from

LABELS = [f"label-{k}" for k in range(8)]


def drawn(seed, size=600, speakers=30, right=0.5):
    """Gold, answers and speakers; some speakers are harder than others, so clips of one are alike."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, speakers, size)
    ease = rng.uniform(0, 2 * right, speakers)[who]
    gold = rng.choice(LABELS, size)
    return gold, np.where(rng.random(size) < ease, gold, rng.choice(LABELS, size)), np.array([f"s{w}" for w in who])


def test_the_value_is_the_plain_score():
    gold, predicted, who = drawn(0)
    assert estimate([tally_labels(gold, predicted, who, LABELS)], macro_f1_from).value == pytest.approx(
        macro_f1(gold, predicted, LABELS)
    )


def test_intervals_agree_with_a_plain_loop_over_clips():
    gold, predicted, who = drawn(1)
    ours = estimate([tally_labels(gold, predicted, who, LABELS)], macro_f1_from, resamples=1500)
    rng, values, names = np.random.default_rng(99), [], np.unique(who)
    clips = {name: np.flatnonzero(who == name) for name in names}
    for _ in range(1500):
        chosen = np.concatenate([clips[name] for name in rng.choice(names, len(names))])
        values.append(macro_f1(gold[chosen], predicted[chosen], LABELS))
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.012)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("clustered", [True, False])
def test_intervals_agree_with_the_package_confidence_intervals(clustered):
    from confidence_intervals import evaluate_with_conf_int

    gold, predicted, who = drawn(2)
    if clustered:
        # That package also draws clips anew within each drawn speaker, which counts their scatter twice; where a
        # speaker's clips are all right or all wrong there is none, and both must agree.
        predicted = np.where(
            np.isin(who, [f"s{n}" for n in range(0, 30, 3)]), gold, np.roll(LABELS, 1)[[LABELS.index(g) for g in gold]]
        )
    clusters = who if clustered else [str(n) for n in range(len(who))]
    ours = estimate([tally_labels(gold, predicted, clusters, LABELS)], accuracy_from, resamples=4000)
    conditions = np.unique(who, return_inverse=True)[1] if clustered else None
    right = (gold == predicted).astype(float)
    theirs = evaluate_with_conf_int(right, np.mean, conditions=conditions, num_bootstraps=500, alpha=5)
    assert ours.value == pytest.approx(theirs[0])
    assert (ours.low, ours.high) == pytest.approx(theirs[1], abs=0.04 if clustered else 0.012)


def test_speakers_make_wider_intervals_than_clips_where_speakers_differ():
    gold, predicted, who = drawn(3)
    by_speaker = estimate([tally_labels(gold, predicted, who, LABELS)], accuracy_from)
    by_clip = estimate([tally_labels(gold, predicted, [str(n) for n in range(len(who))], LABELS)], accuracy_from)
    assert by_speaker.high - by_speaker.low > 1.5 * (by_clip.high - by_clip.low)


def test_attribute_intervals_agree_with_a_plain_loop():
    rng = np.random.default_rng(5)
    who = np.array([f"s{n}" for n in rng.integers(0, 25, 400)])
    gold = rng.normal(4, 1, (400, 2))
    predicted = gold * 0.5 + rng.normal(2, 0.6, (400, 2))
    ours = estimate([tally_values(gold, predicted, who)], lambda s: ccc_from(s)[..., 1], resamples=1500)
    assert ours.value == pytest.approx(ccc(gold[:, 1], predicted[:, 1]))
    values, names = [], np.unique(who)
    for _ in range(1500):
        chosen = np.concatenate([np.flatnonzero(who == name) for name in rng.choice(names, len(names))])
        values.append(ccc(gold[chosen, 1], predicted[chosen, 1]))
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.015)


def test_the_same_seed_gives_the_same_interval_and_another_gives_another():
    gold, predicted, who = drawn(6)
    tally = [tally_labels(gold, predicted, who, LABELS)]
    assert estimate(tally, uar_from, seed=1) == estimate(tally, uar_from, seed=1) != estimate(tally, uar_from, seed=2)


def test_fewer_than_two_speakers_give_no_interval():
    gold, predicted, _ = drawn(7)
    alone = tally_labels(gold, predicted, ["only"] * len(gold), LABELS)
    many = tally_labels(*drawn(7), LABELS)
    assert estimate([alone], macro_f1_from).low is None
    assert estimate([many, alone], macro_f1_from) == Estimate(pytest.approx(macro_f1(gold, predicted, LABELS)), None, None)


def test_several_parts_are_averaged_and_seeds_of_one_fold_share_their_draws():
    first, second = tally_labels(*drawn(8), LABELS), tally_labels(*drawn(9, speakers=20), LABELS)
    both = estimate([first, second], macro_f1_from)
    assert both.value == pytest.approx((estimate([first], macro_f1_from).value + estimate([second], macro_f1_from).value) / 2)
    assert np.array_equal(*replicates([first, first], 50, seed=0)), "a second seed is no second sample of people"
    twice, once = estimate([first, first], macro_f1_from), estimate([first], macro_f1_from)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert both.high - both.low < once.high - once.low, "two folds of other people narrow the interval"


def test_a_paired_difference_is_surer_than_its_parts():
    gold, predicted, who = drawn(10)
    better = np.where(np.arange(len(gold)) % 20 == 0, gold, predicted)
    a, b = (tally_labels(gold, names, who, LABELS) for names in (better, predicted))
    gain, alone = paired([a], [b], macro_f1_from), estimate([a], macro_f1_from)
    assert gain.value == pytest.approx(macro_f1(gold, better, LABELS) - macro_f1(gold, predicted, LABELS))
    assert gain.low > 0 and gain.high - gain.low < (alone.high - alone.low) / 2
    assert paired([a], [a], macro_f1_from) == Estimate(0.0, 0.0, 0.0)


def test_a_pair_over_other_speakers_is_refused():
    with pytest.raises(ValueError, match="same clips"):
        paired([tally_labels(*drawn(11), LABELS)], [tally_labels(*drawn(11, speakers=5), LABELS)], macro_f1_from)


def test_one_class_alone_can_be_resampled():
    tally = tally_labels(*drawn(12), LABELS)
    got = estimate([tally], lambda c: f1_from(c)[..., 3])
    assert got.low < got.value < got.high


@pytest.mark.parametrize("clusters", [500, 25_000])
def test_25000_clips_take_no_time(clusters):
    rng = np.random.default_rng(0)
    gold, predicted = rng.choice(LABELS, (2, 25_000))
    who = rng.integers(0, clusters, 25_000) if clusters < 25_000 else np.arange(25_000)
    start = time.process_time()
    tally = tally_labels(gold, predicted, who.astype(str), LABELS)
    got = paired([tally], [tally], macro_f1_from, resamples=1000)
    assert got.value == 0.0
    assert time.process_time() - start < 2


@pytest.mark.parametrize("clusters", [500, 25_000])
def test_everything_about_a_difference_on_25000_clips_takes_no_time(clusters):
    rng = np.random.default_rng(1)
    who = rng.integers(0, clusters, 25_000) if clusters < 25_000 else np.arange(25_000)
    values = rng.random((25_000, 5))
    start = time.process_time()
    tally = tally_means(values, who.astype(str))
    found = replicates([tally], 1000, seed=0)[0]
    spread = means_from(found)[:, 0] - 0.5
    assert bootstrap_p(spread) is not None and detectable(spread, len(tally.clusters)) > 0
    assert time.process_time() - start < 2


def test_means_over_clips_are_resampled_like_everything_else():
    _, _, who = drawn(20)
    values = np.random.default_rng(20).random((600, 2))
    values[::7, 1] = np.nan
    found = estimate([tally_means(values, who)], lambda totals: means_from(totals)[..., 1], resamples=1500)
    assert found.value == pytest.approx(np.nanmean(values[:, 1]))
    rng, means, names = np.random.default_rng(3), [], np.unique(who)
    for _ in range(1500):
        chosen = np.concatenate([np.flatnonzero(who == name) for name in rng.choice(names, len(names))])
        means.append(np.nanmean(values[chosen, 1]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.004)
    assert np.isnan(means_from(tally_means(np.array([[np.nan]]), ["s"]).totals.sum(0)))


def test_the_bootstrap_p_says_what_the_interval_says():
    gold, predicted, who = drawn(21)
    for share in range(2, 40, 4):
        better = np.where(np.arange(len(gold)) % share == 0, gold, predicted)
        found = differences(*([tally_labels(gold, names, who, LABELS)] for names in (better, predicted)), macro_f1_from)
        inside = interval(found)
        assert (bootstrap_p(found) < 0.05) == (inside.low > 0 or inside.high < 0)
    same = differences(*[[tally_labels(gold, predicted, who, LABELS)]] * 2, macro_f1_from)
    assert bootstrap_p(same) == 1.0 and detectable(same, 30) is None
    assert bootstrap_p(np.array([0.3])) is None and detectable(np.array([0.3]), 30) is None
    assert bootstrap_p(np.arange(1, 1002.0)) == pytest.approx(2 / 1001), "never 0"


@pytest.mark.parametrize("clusters", [6, 40])
def test_what_is_detectable_is_found_in_eighty_of_a_hundred_sets(clusters):
    """Sets drawn with exactly the true difference that their own spread calls detectable on average."""
    from scipy.stats import t, ttest_1samp

    rng = np.random.default_rng(clusters)
    calm = [means_from(replicates([one(rng, clusters, 0.0)], 400, seed)[0])[:, 0] for seed in range(60)]
    smallest = np.mean([detectable(values, clusters) for values in calm]) * np.sqrt(clusters / (clusters - 1))
    tested = ttest_1samp(rng.normal(smallest, 1.0, (2000, clusters)), 0, axis=1).pvalue < 0.05
    assert tested.mean() == pytest.approx(0.8, abs=0.06)
    assert smallest == pytest.approx((t.ppf(0.975, clusters - 1) + t.ppf(0.8, clusters - 1)) / np.sqrt(clusters), rel=0.1)


def one(rng, clusters, shift):
    return tally_means(rng.normal(shift, 1.0, (clusters, 1)), [f"s{n}" for n in range(clusters)])


def test_holm_is_the_closed_test_of_bonferroni():
    """A comparison's adjusted p is the largest Bonferroni p of any set of comparisons that has it (Marcus 1976)."""
    for seed in range(5):
        found = np.random.default_rng(seed).random(5) ** 3
        for k, adjusted in enumerate(holm(found)):
            sets = [chosen for size in range(1, 6) for chosen in combinations(range(5), size) if k in chosen]
            assert adjusted == pytest.approx(max(min(1.0, len(chosen) * min(found[i] for i in chosen)) for chosen in sets))
    assert holm([]) == [] and holm([0.2]) == [0.2]


def test_mcnemar_agrees_with_the_binomial_sum():
    from math import comb

    gold = ["a"] * 30
    first = ["a"] * 20 + ["b"] * 10
    second = ["a"] * 8 + ["b"] * 12 + ["a"] * 4 + ["b"] * 6
    # 12 only the first, 4 only the second
    assert mcnemar(gold, first, second) == pytest.approx(2 * sum(comb(16, k) for k in range(5)) / 2**16)
    assert mcnemar(gold, first, first) == 1.0


def test_changes_add_up():
    gold, before, _ = drawn(13)
    after = drawn(14)[1]
    count = changes(gold, before, after)
    assert sum(count.values()) == len(gold)
    assert count["helped"] - count["harmed"] == int((after == gold).sum() - (before == gold).sum())


def test_what_cannot_be_measured_has_no_value():
    assert interval(np.array([np.nan, 0.5])) == Estimate(None)
    assert interval(np.array([0.5, np.nan, np.nan])) == Estimate(0.5)


def test_single_clips_are_counted_to_the_sums_that_weights_give():
    rng = np.random.default_rng(0)
    gold, predicted = (rng.choice(list("abc"), 300) for _ in range(2))
    single = tally_labels(gold, predicted, [str(n) for n in range(300)], "abc")
    # A cell that is everywhere 2 makes the same clips take the way of all other tallies.
    padded = Tally(single.clusters, np.concatenate([single.totals, np.full((300, 1, 3), 2.0)], axis=1))
    counted, weighted = (replicates([tally], 50, seed=3)[0] for tally in (single, padded))
    assert counted.dtype == weighted.dtype and np.array_equal(counted, weighted[:, :3])

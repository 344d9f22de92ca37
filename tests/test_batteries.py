"""Batteries: models that are fair, unfair, random, robust and brittle by construction, and the whole on a tiny run."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from emojudge import battery, tiny
from emojudge.aligned import Aligned, read_results
from emojudge.batteries import correctness, fairness, robustness
from emojudge.batteries.chance import fair_labels, quantiles
from emojudge.batteries.groups import groupings
from emojudge.batteries.robustness import Disturbance, compare, others, sample
from emojudge.batteries.subjects import Subject, passes, subjects
from emojudge.batteries.subjects import subject as batteries_subject
from emojudge.cache import Clip
from emojudge.errors import DataError
from emojudge.perturbations import parse
from emojudge.runs import RunFolder
from emojudge.settings.stages import EvaluationSettings
from emojudge.storage import read_json, read_jsonl
from emojudge.types import ATTRIBUTES, EMOTIONS, Utterance
from tests.made_up_run import CENTRE, made_up_run
from tests.test_cli import call, refused
from tests.test_report import read
from tests.test_tiny import PAPER

LABELS = ("Angry", "Happy", "Neutral", "Sad")
MILD = Disturbance("gain:-12", "softer", 0.05, 0.9)


def people(n, speakers=8, **about):
    """Clips of speakers in turn."""
    return [Utterance(f"c{k:04d}", speaker=f"s{k % speakers}", **{name: of[k] for name, of in about.items()}) for k in range(n)]


def subject(clips, predicted=None, scores=None, task="emotions", names=LABELS, scale=(1.0, 7.0)):
    """What a system says of `clips`."""
    values = None if task == "emotions" else np.array([[u.attributes[name] for name in names] for u in clips])
    if scores is None:
        scores = np.eye(len(names))[[names.index(label) for label in predicted]]
    gold = tuple(u.emotion for u in clips) if task == "emotions" else ()
    ids, speakers = tuple(u.id for u in clips), tuple(u.speaker for u in clips)
    one = Aligned(names, ids, speakers, scores, gold, tuple(predicted or ()), values)
    options = EvaluationSettings(resamples=100)
    return Subject(task, "audio", "test", (one,), {u.id: u for u in clips}, scale, options)


def found(rows, test, group=None, name=None):
    """The only row that is asked for."""
    [row] = [r for r in rows if r["test"] == test and group in (None, r["group"]) and name in (None, r["class"])]
    return row


def answers(gold, right, rng):
    """Labels that are right so often, else any."""
    return [g if rng.random() < right else str(rng.choice(LABELS)) for g in gold]


def verdicts(clips, predicted, groups):
    """Test → whether it passed everywhere, of one grouping."""
    one = replace(subject(clips, predicted), options=EvaluationSettings(resamples=0))
    sheet = fairness.Sheet(one, "gender", dict(zip((u.id for u in clips), groups, strict=True)))
    rows = sheet.emotions()
    return {t: all(r["passed"] for r in rows if r["test"] == t) for t in ("uar_difference", "equalised_odds_gap", "worst_group")}


# -- fairness


@pytest.mark.parametrize("right", [0.0, 0.6])
def test_a_fair_model_passes_about_nineteen_times_in_twenty(right, monkeypatch):
    monkeypatch.setattr(fairness, "fair_labels", lambda counts: fair_labels(counts, simulations=100))
    rng, runs = np.random.default_rng(1), 80
    failed = dict.fromkeys(("uar_difference", "equalised_odds_gap", "worst_group"), 0)
    for _ in range(runs):
        gold = rng.choice(LABELS, 180, p=[0.1, 0.4, 0.3, 0.2]).tolist()
        groups = rng.choice(["a", "b", "c"], 180, p=[0.5, 0.3, 0.2]).tolist()
        for test, passed in verdicts(people(180, emotion=gold), answers(gold, right, rng), groups).items():
            failed[test] += not passed
    for test, count in failed.items():  # 4 expected; a binomial of 80 and .05 is above 11 once in two thousand times
        assert count <= 11, test
    assert sum(failed.values()) >= 3, "a test that a fair model never fails has no power"


def test_an_unfair_model_fails_and_the_group_is_named():
    rng = np.random.default_rng(2)
    gold = rng.choice(LABELS, 400).tolist()
    genders = ["female" if k % 4 else "male" for k in range(400)]
    predicted = [answers([g], 0.9 if gender == "female" else 0.3, rng)[0] for g, gender in zip(gold, genders, strict=True)]
    clips = people(400, emotion=gold, gender=genders)
    rows = fairness.Sheet(subject(clips, predicted), "gender", {u.id: u.gender for u in clips}).emotions()
    male = found(rows, "uar_difference", "gender: male")
    assert male["passed"] is False and male["value"] < -0.2 and male["n"] == 100
    assert found(rows, "worst_group")["group"] == "gender: male" and not found(rows, "worst_group")["passed"]
    assert not found(rows, "equalised_odds_gap")["passed"]
    recall = [np.mean([p == "Sad" for p, u in zip(predicted, clips, strict=True) if u.emotion == "Sad" and u.gender == g])
              for g in ("female", "male")]  # fmt: skip
    assert found(rows, "recall_gap", name="Sad")["value"] == pytest.approx(recall[0] - recall[1])
    assert found(rows, "recall", "gender: male", "Sad")["value"] == pytest.approx(recall[1])
    assert male["low"] <= male["value"] <= male["high"]


def test_a_perfect_model_is_fair():
    gold = [LABELS[k % 4] for k in range(80)]
    assert set(verdicts(people(80, emotion=gold), gold, ["ab"[k // 40] for k in range(80)]).values()) == {True}


def test_equalised_odds_by_hand():
    one, two = np.array([[8, 2], [1, 9]]), np.array([[5, 5], [0, 10]])
    totals = np.stack([one, two]).astype(float)
    assert fairness.equalised_odds(totals) == pytest.approx(0.3)  # true positives .8 and .5; false ones .1 and 0, .2 and .5
    assert fairness.equalised_odds(totals[:1]) == 0.0
    few = np.stack([one, [[1, 3], [0, 10]]]).astype(float)
    assert fairness.equalised_odds(few) == pytest.approx(0.1), "four clips are too few to compare"


def test_the_simulated_model_makes_the_mistakes_of_the_tested_one():
    counts = np.array([[[30, 10], [5, 15]], [[6, 2], [1, 3]]], dtype=float)
    blocks = np.concatenate(list(fair_labels(counts, simulations=400)))
    assert blocks.shape == (400, 2, 2, 2)
    assert np.array_equal(blocks.sum(-1), np.broadcast_to(counts.sum(-1), (400, 2, 2))), "as many clips of each emotion"
    assert blocks.mean(0)[0, 0] == pytest.approx([30, 10], abs=0.6)
    assert np.array_equal(blocks, np.concatenate(list(fair_labels(counts, simulations=400)))), "the same each time"
    assert quantiles(iter([np.arange(101.0)]), lambda block: {"x": block})["x"] == 95.0


@pytest.mark.parametrize(("moved", "passed"), [(0.0, True), (0.8, False)])
def test_a_group_whose_values_come_out_higher(moved, passed):
    rng = np.random.default_rng(3)
    truth = rng.uniform(2, 6, (300, 2))
    clips = people(300, attributes=[dict(zip(("valence", "arousal"), row, strict=True)) for row in truth])
    groups = ["a" if k % 3 else "b" for k in range(300)]
    scores = 2 + 0.5 * truth + rng.normal(0, 0.5, truth.shape)
    scores[np.array(groups) == "b", 1] += moved
    one = subject(clips, scores=scores, task="attributes", names=("valence", "arousal"))
    rows = fairness.Sheet(one, "gender", dict(zip((u.id for u in clips), groups, strict=True))).attributes()
    assert found(rows, "mean_shift", "gender: b", "arousal")["passed"] is passed
    assert found(rows, "mean_shift", "gender: b", "valence")["passed"]
    error = (scores - truth)[:, 1]
    by_hand = (error[np.array(groups) == "b"].mean() - error.mean()) / 6
    assert found(rows, "mean_shift", "gender: b", "arousal")["value"] == pytest.approx(by_hand)


def test_groups_too_small_are_left_out(tmp_path):
    run = made_up_run(tmp_path, clips=300, speakers=12, tasks=("emotions",), judge=False)
    known = [u for u in read_jsonl(run.file("manifest.jsonl"), Utterance) if u.split == "test" and u.emotion]
    clips = [replace(u, gender="FM"[n % 2], speaker="rare" if n < 5 else u.speaker) for n, u in enumerate(known)]
    by = groupings(run, clips)
    sizes = {name: sorted(list(groups.values()).count(g) for g in set(groups.values())) for name, groups in by.items()}
    assert all(min(of) >= 10 for of in sizes.values()) and "rare" not in by["speaker"].values()
    assert set(by) == {"gender", "speaker", "duration"} and sum(sizes["duration"]) == len(clips)
    assert "gender" not in groupings(run, [replace(u, gender="F") for u in clips]), "one group is nothing to compare"


# -- correctness


def test_a_perfect_model_is_correct():
    gold = [LABELS[k % 4] for k in range(160)]
    rows = correctness.test(subject(people(160, emotion=gold), gold))
    assert all(row["passed"] is not False for row in rows)
    assert found(rows, "js_distance")["value"] == 0 and found(rows, "recall", name="Sad")["value"] == 1


def test_a_model_that_guesses_is_no_better_than_chance():
    rng, beaten = np.random.default_rng(4), 0
    for _ in range(60):
        gold = rng.choice(LABELS, 120).tolist()
        one = subject(people(120, emotion=gold), rng.permutation(gold).tolist())
        beaten += found(list(correctness.classes(one)), "better_than_chance")["passed"]
    assert beaten <= 9  # 3 expected; ten or more happen once in two thousand times


def test_a_model_of_one_answer_has_wrong_shares():
    gold = ["Angry"] * 30 + ["Happy"] * 70
    rows = list(correctness.shares(subject(people(100, emotion=gold), ["Happy"] * 100)))
    assert found(rows, "share_difference", name="Happy")["value"] == pytest.approx(0.3)
    assert found(rows, "share_difference", name="Angry")["passed"] is False and not found(rows, "js_distance")["passed"]
    assert found(rows, "share_difference", name="Sad")["value"] == 0


def test_speakers_in_order_and_out_of_it():
    rng = np.random.default_rng(5)
    level = np.repeat(np.linspace(2, 6, 10), 20)
    clips = [replace(u, speaker=f"s{k // 20}") for k, u in enumerate(people(200, attributes=[{"valence": v} for v in level]))]
    for scores, passed in ((level, True), (8 - level, False)):
        said = scores[:, None] + rng.normal(0, 0.1, (200, 1))
        rows = list(correctness.speaker_means(subject(clips, scores=said, task="attributes", names=("valence",))))
        assert found(rows, "speaker_ranking")["passed"] is passed is found(rows, "speaker_error")["passed"]
    assert (
        list(correctness.speaker_means(subject(clips[:60], scores=level[:60, None], task="attributes", names=("valence",)))) == []
    )


def circumplex(n=320, spread=0.3):
    """Clips whose attributes are what the literature expects of their emotions, and the values themselves."""
    rng = np.random.default_rng(6)
    emotions = [EMOTIONS[k % 8] for k in range(n)]
    values = np.array([CENTRE[e] for e in emotions]) + rng.normal(0, spread, (n, 3))
    return people(n, emotion=emotions, attributes=[dict(zip(ATTRIBUTES, row.tolist(), strict=True)) for row in values]), values


def test_attributes_that_fit_the_emotions_and_ones_that_do_not():
    clips, values = circumplex()
    one = subject(clips, scores=values, task="attributes", names=ATTRIBUTES)
    rows = list(correctness.consistency(one))
    happy = found(rows, "in_range", "known emotion: Happy, high", "valence")
    inside = np.mean([(u.attributes["valence"] - 1) / 6 >= 0.55 for u in clips if u.emotion == "Happy"])
    assert happy["value"] == inside and happy["passed"] and happy["n"] == 40
    order = found(rows, "order", "known emotion: Happy above Neutral", "valence")
    assert order["passed"] and order["value"] == pytest.approx((5.9 - 4.1) / 6, abs=0.03)
    mirrored = [
        r
        for r in correctness.consistency(replace(one, seeds=(replace(one.first, scores=8 - values),)))
        if r["class"] == "valence"
    ]
    assert {r["passed"] for r in mirrored if r["test"] == "order"} == {False}


def test_where_no_attribute_is_predicted_the_known_ones_stand_beside_the_predicted_emotions():
    clips, _ = circumplex()
    right = subject(clips, [u.emotion for u in clips], names=EMOTIONS)
    wrong = subject(clips, [{"Happy": "Sad", "Sad": "Happy"}.get(u.emotion, u.emotion) for u in clips], names=EMOTIONS)
    for one, passed in ((right, True), (wrong, False)):
        assert (
            found(list(correctness.consistency(one)), "in_range", "predicted emotion: Happy, high", "valence")["passed"] is passed
        )


# -- robustness


def test_a_robust_and_a_brittle_model():
    rng = np.random.default_rng(7)
    gold = rng.choice(LABELS, 200).tolist()
    clips = people(200, emotion=gold)
    clean = subject(clips, answers(gold, 0.8, rng))
    same = {row["test"]: row for row in compare(clean, clean, MILD)}
    assert (same["uar_change"]["value"], same["unchanged"]["value"], same["total_variation"]["value"]) == (0, 1, 0)
    assert same["uar_change"]["passed"] and same["unchanged"]["passed"] and same["total_variation"]["passed"] is None
    brittle = {row["test"]: row for row in compare(clean, subject(clips, ["Happy"] * 200), MILD)}
    before = np.mean(
        [np.mean([p == label for p, g in zip(clean.first.predicted, gold, strict=True) if g == label]) for label in LABELS]
    )
    assert brittle["uar_change"]["value"] == pytest.approx(0.25 - before) and brittle["uar_change"]["high"] < -0.05
    kept = np.mean([p == "Happy" for p in clean.first.predicted])
    assert brittle["unchanged"]["value"] == pytest.approx(kept) and brittle["total_variation"]["value"] == pytest.approx(1 - kept)
    assert {brittle[test]["passed"] for test in ("uar_change", "macro_f1_change", "unchanged")} == {False}


def test_attributes_that_move():
    clips, values = circumplex()
    clean, moved = (subject(clips, scores=s, task="attributes", names=ATTRIBUTES) for s in (values, values + [0.0, 0.29, 0.6]))
    rows = compare(clean, moved, MILD)
    assert [found(rows, "unchanged", name=name)["value"] for name in ATTRIBUTES] == [1, 1, 0]  # less than .05 of 6 is unchanged
    assert found(rows, "absolute_shift", name="dominance")["value"] == pytest.approx(0.1)
    assert (
        found(rows, "ccc_change", name="valence")["value"] == 0 and found(rows, "ccc_change", name="dominance")["value"] < -0.05
    )


def test_every_disturbance_exists_and_falls_are_steeper_the_harder_it_is():
    for one in robustness.DISTURBANCES:
        assert parse(one.change) and 0 < one.fall < 1 and 0 < one.same < 1
    noise = [one for one in robustness.DISTURBANCES if one.change.startswith("noise")]
    assert all(a.fall < b.fall and a.same > b.same for a, b in pairwise(noise))


def test_samples_are_the_same_each_time_and_whole_speakers_where_that_matters():
    clips = people(100, speakers=10)
    assert sample(clips, 30) == sample(clips[::-1], 30) and len(sample(clips, 30)) == 30
    assert len(sample(clips, 0)) == len(sample(clips, 1000)) == len(sample(clips, 0, by_speaker=True)) == 100
    whole = sample(clips, 25, by_speaker=True)
    assert len(whole) == 30 and len({u.speaker for u in clips if u.id in whole}) == 3


def test_those_who_babble_are_other_people():
    pool = {u.id: u for u in people(60, speakers=4)}
    voices = others(pool["c0000"], pool)
    assert len(voices) == 6 and not any(pool[id].speaker == "s0" for id in voices) and voices == others(pool["c0000"], dict(pool))
    assert voices != others(pool["c0004"], pool)
    alone = {"x": Utterance("x", speaker="a")}
    assert others(alone["x"], alone) == ["x"]


# -- the whole


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of both tasks with made-up predictions and a judge."""
    return made_up_run(tmp_path_factory.mktemp("run"), clips=500, speakers=24, evaluation={"resamples": 50})


def test_the_verb_on_a_made_up_run(run):
    result = call("battery", run.root, "--only", "fairness", "--only", "correctness", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert rows == read_json(run.file("battery.json"))["rows"]
    assert {(r["battery"], r["task"], r["system"]) for r in rows} == {
        (b, t, s)
        for b in ("correctness", "fairness")
        for t, s in (("emotions", "fusion"), ("emotions", "judge"), ("attributes", "fusion"))
    }
    assert len({(r["battery"], r["task"], r["system"], r["test"], r["group"], r["class"]) for r in rows}) == len(rows)
    for row in rows:
        assert row["passed"] is passes(row["value"], row["threshold"], row["sense"])
    assert call("battery", run.root, "--only", "correctness", "--strict").exit_code == 1
    assert {r["battery"] for r in read_json(run.file("battery.json"))["rows"]} == {"correctness", "fairness"}, (
        "earlier rows are kept"
    )


def test_the_page(run):
    call("battery", run.root, "--only", "fairness", "--only", "correctness")
    page, text = (run.file(name).read_text(encoding="utf-8") for name in ("battery.html", "battery.md"))
    reader = read(page)
    assert reader.open == [] and not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert "default-src 'none'" in page and not re.search(r"@import|url\((?!#)", page)
    anchors = {value[1:] for name, value in reader.attributes if name == "href"}
    assert anchors == {"correctness", "fairness", "terms"} <= set(reader.ids)
    rows = read_json(run.file("battery.json"))["rows"]
    passed, failed = (sum(row["passed"] is verdict for row in rows) for verdict in (True, False))
    assert f"{passed} of {passed + failed} tests passed" in page and f"{passed} of {passed + failed} tests passed" in text
    assert "nothing about people" in page and "nothing about people" in text
    uar = next(row for row in rows if row["test"] == "uar")
    assert f"{uar['value']:.3f} [{uar['low']:.3f}, {uar['high']:.3f}]" in page


def test_what_is_refused(run, tmp_path):
    refused(call("battery", run.root, "--only", "beauty"), "no battery", "correctness, fairness, robustness")
    refused(call("battery", tmp_path), "no run folder")
    empty = made_up_run(tmp_path / "empty", clips=40, speakers=8, judge=False, tasks=("emotions",))
    for system in ("audio", "text", "fusion"):
        empty.parts()[0].predictions("emotions", system).unlink()
    refused(call("battery", empty.root, "--only", "fairness"), "no predictions")


def test_folds_are_put_together_and_seeds_averaged(tmp_path):
    run = made_up_run(tmp_path, clips=200, speakers=12, folds=("1", "2"), seeds=(0, 1), judge=False, tasks=("emotions",))
    [one] = subjects(run)
    assert len(one.seeds) == 2 and one.seeds[0].ids == one.seeds[1].ids and len(set(one.first.ids)) == len(one.first.ids)
    assert {u.id for u in one.utterances.values() if u.emotion} >= set(one.first.ids)
    rows = correctness.test(one)
    recalls = [np.mean([p == "Sad" for p, g in zip(a.predicted, a.gold, strict=True) if g == "Sad"]) for a in one.seeds]
    assert found(rows, "recall", name="Sad")["value"] == pytest.approx(np.mean(recalls))


def test_a_fold_of_which_no_clip_was_drawn(tmp_path):
    run = made_up_run(tmp_path, clips=200, speakers=12, folds=("1", "2"), judge=False, tasks=("attributes",))
    first, second = read_results(run, "attributes")
    empty = replace(first, predictions={"audio": {}})
    one = batteries_subject([empty, second], "audio", "test")
    assert one.first.ids == second.align("audio", "test").ids and one.first.names == ATTRIBUTES


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A trained run on tiny random encoders, frozen, that hear every clip at the same level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJUDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(robustness, "DISTURBANCES", (MILD, Disturbance("babble:0+speed:1.1", "people", 0.1, 0.5)))
        file = next(path for path in PAPER if path.stem == "task1_wavlm-base-plus_roberta-base")
        changes = ('audio.train="none"', 'text.train="none"', 'audio.normalise="utterance"', 'audio.augment=["speed:0.9"]')
        with tiny.experiment(file, (*changes, "audio.average_copies=true"), tmp_path_factory.mktemp("tiny")) as work:
            work.everything()
        yield work.run


def test_robustness_end_to_end(small, monkeypatch):
    before = {path: path.read_bytes() for path in small.root.rglob("*") if path.is_file()}
    _, rows = battery.run_batteries(small.root, ["robustness"], clips=8)
    assert {(r["system"], r["group"]) for r in rows} == {
        (s, d.change) for s in ("audio", "fusion") for d in robustness.DISTURBANCES
    }
    for system in ("audio", "fusion"):  # the level is taken out before the encoder hears it
        own = {r["test"]: r for r in rows if (r["system"], r["group"]) == (system, "gain:-12")}
        assert own["unchanged"]["value"] == 1 and own["unchanged"]["n"] == 8
        assert own["total_variation"]["value"] == pytest.approx(0, abs=1e-3)
        babble = next(r for r in rows if (r["system"], r["test"]) == (system, "total_variation") and r["group"] != "gain:-12")
        assert babble["value"] > 1e-4
    assert all(path.read_bytes() == content for path, content in before.items()), "the run itself is as it was"
    monkeypatch.setattr(robustness, "predict_clips", None)  # all is there, so nothing is heard again
    assert battery.run_batteries(small.root, ["robustness"], clips=8)[1] == rows
    with pytest.raises(TypeError):
        battery.run_batteries(small.root, ["robustness"], clips=9)


def test_undisturbed_predictions_are_those_of_the_run(small):
    robustness.test(small, 8)
    [path] = [p for p in small.file("battery").glob("undisturbed-*") if len(p.read_text().splitlines()) == 8]
    stored = small.parts()[0].read_predictions("emotions", "audio")
    for row in read_jsonl(path, dict):
        assert row["scores"] == pytest.approx(stored[row["id"]].scores, abs=1e-6)


def test_recordings_that_are_gone(small, monkeypatch):
    monkeypatch.setattr(Clip, "load", lambda clip: (_ for _ in ()).throw(DataError(f"{clip.path} cannot be opened.")))
    monkeypatch.setattr(robustness, "DISTURBANCES", (Disturbance("noise:3", "noise", 0.1, 0.5),))
    with pytest.raises(DataError, match="No clip could be heard"):
        battery.run_batteries(small.root, ["robustness"], clips=8)


def test_a_run_that_only_reads_has_no_robustness(tmp_path, capsys):
    run = made_up_run(tmp_path, clips=60, speakers=8, judge=False, tasks=("attributes",), modalities=["text"])
    assert robustness.test(RunFolder.open(run.root), 5) == []
    assert "nothing in this run listens" in capsys.readouterr().err

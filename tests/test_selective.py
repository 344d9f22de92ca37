"""Risk by coverage and AUGRC against their definitions, and the report's judge section."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from emojudge.aligned import read_results
from emojudge.evaluation import evaluate
from emojudge.judged import by_label, judged_clips, risk_curves, spent
from emojudge.ledger import Ledger
from emojudge.narrative import cost_sentence
from emojudge.report import render
from emojudge.selective import risk_curve
from emojudge.storage import write_jsonl
from emojudge.types import EMOTIONS, Verdict
from tests.made_up_run import made_up_run

answers = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])), min_size=2, max_size=60)


@given(answers)
def test_augrc_is_what_its_authors_say_it_is(found):
    """Traub et al. (2024), equation 6: (1 - AUROC) acc (1 - acc) + (1 - acc)² / 2."""
    right, sure = map(np.array, zip(*found, strict=True))
    accuracy = right.mean()
    area = roc_auc_score(right, sure) if 0 < accuracy < 1 else 0.0
    expected = (1 - area) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
    assert risk_curve(right, sure).augrc == pytest.approx(expected)


@given(answers)
def test_risk_is_counted_by_hand(found):
    right, sure = map(np.array, zip(*found, strict=True))
    curve = risk_curve(right, sure)
    for threshold, coverage, risk in zip(sorted(set(sure), reverse=True), curve.coverage, curve.risk, strict=True):
        taken = sure >= threshold
        assert (coverage, risk) == (pytest.approx(taken.mean()), pytest.approx((~right[taken]).mean()))


def test_the_judge_section_has_everything(tmp_path):
    run = made_up_run(tmp_path, tasks=("emotions",), clips=500)
    (part,) = run.parts()
    asked = [u.id for u in part.manifest() if u.split == "test" and u.emotion][:30]
    write_jsonl(part.flips(), [Verdict(id, "Happy") for id in asked])
    rows = evaluate(run)
    (result,) = read_results(run, "emotions")
    clips = judged_clips([result], "test")
    table = by_label(clips, EMOTIONS)
    usable = [clip for clip in clips if clip.verdict.outcome == "ok"]
    assert sum(row[1] for row in table) == len(usable)
    assert sum(row[3] for row in table) == sum(c.verdict.label == c.utterance.emotion for c in usable)
    assert sum(row[4] - row[2] for row in table) == sum({"helped": 1, "harmed": -1}.get(c.kind, 0) for c in usable)
    curves = risk_curves(clips, "fusion")
    assert curves["judge"].risk[-1] == pytest.approx(np.mean([c.verdict.label != c.utterance.emotion for c in usable]))
    page = render(run, rows)
    for said in (
        "AUGRC",
        "Who was right, by true emotion",
        "flipped with the order",
        "Had the threshold been another",
        "In its own words",
    ):
        assert said in page


def test_costs_are_told_where_they_were_counted(tmp_path):
    run = made_up_run(tmp_path, tasks=("emotions",), clips=60)
    assert spent(run) is None and cost_sentence(None, 3, 1) == ""
    with Ledger(run.file("ledger.sqlite")):
        assert spent(run) is None  # in use
    assert spent(run)["answers"] == 0 and cost_sentence(spent(run), 3, 1) == ""
    local = {"answers": 10, "tokens": 5000, "seconds": 30.0, "dollars": 0.0}
    assert "1,000 tokens a label put right, and it spoilt as many" in cost_sentence(local, 5, 5)
    assert "no label was put right" in cost_sentence(local, 0, 2)

"""The policy: properties over all predictions, verdicts and thresholds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emojudge.refine import REASONS, refine, refine_all, sweep
from emojudge.types import Prediction, Verdict

LABELS = ("Angry", "Sad", "Happy", "Neutral")
shares = st.floats(0, 1)


@st.composite
def predictions(draw, name="a"):
    raw = draw(st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any))
    return Prediction(name, "fusion", {label: value / sum(raw) for label, value in zip(LABELS, raw, strict=True)})


verdicts = st.builds(
    Verdict,
    st.sampled_from(["a", "b"]),
    st.sampled_from([*LABELS, "Joy", None]),
    confidence=shares,
    outcome=st.sampled_from(["ok", "ok", "ok", "invalid", "refusal", "truncated", "error"]),
)


@given(predictions(), st.none() | verdicts, shares)
def test_a_refined_prediction_is_one_still(old, verdict, threshold):
    new = refine(old, verdict, threshold)
    assert (new.id, new.source) == (old.id, "judge")
    assert new.note in REASONS
    assert list(new.scores) == list(old.scores)
    assert sum(new.scores.values()) == pytest.approx(1)
    others = set(LABELS) - {old.label, new.label}
    assert {label: new.scores[label] for label in others} == {label: old.scores[label] for label in others}


@given(predictions(), st.none() | verdicts, shares)
def test_it_changes_exactly_what_the_paper_says(old, verdict, threshold):
    new = refine(old, verdict, threshold)
    usable = verdict is not None and verdict.outcome == "ok" and verdict.id == "a" and verdict.label in LABELS
    should = usable and verdict.label != old.label and verdict.confidence > threshold
    assert (new.note == "changed") == should
    assert new.label == (verdict.label if should else old.label)
    if not should:
        assert new.scores == old.scores


@pytest.mark.parametrize(
    ("verdict", "note"),
    [
        (None, "not_asked"),
        (Verdict("a", "Sad", confidence=1.0), "kept_agree"),
        (Verdict("a", "Happy", confidence=0.8), "kept_low_confidence"),
        (Verdict("a", None, outcome="invalid"), "kept_invalid"),
        (Verdict("a", "Joy", confidence=1.0), "kept_invalid"),
        (Verdict("b", "Happy", confidence=1.0), "kept_invalid"),
        (Verdict("a", "Happy", confidence=1.0, outcome="something new"), "kept_invalid"),
        (Verdict("a", None, outcome="refusal"), "kept_refusal"),
        (Verdict("a", None, outcome="truncated"), "kept_truncated"),
        (Verdict("a", None, outcome="error"), "kept_error"),
        (Verdict("a", "Happy", confidence=0.81), "changed"),
    ],
)
def test_each_reason(verdict, note):
    assert refine(Prediction("a", "fusion", {"Sad": 0.7, "Happy": 0.3}), verdict, 0.8).note == note


gates = st.fixed_dictionaries({"max_margin": st.none() | shares, "top_k": st.none() | st.integers(1, 5)})


@given(predictions(), st.none() | verdicts, shares, gates)
def test_gates_only_ever_keep_what_would_have_changed(old, verdict, threshold, gates):
    """The rule written out again, by ranks instead of counts."""
    free, gated = refine(old, verdict, threshold), refine(old, verdict, threshold, **gates)
    first, second, *_ = sorted(old.scores.values(), reverse=True)
    narrow = gates["max_margin"] is None or first - second < gates["max_margin"]
    if free.note != "changed":
        assert gated == free
    elif not narrow:
        assert gated.note == "kept_margin" and gated.scores == old.scores
    else:
        allowed = sorted(old.scores.values(), reverse=True)[: gates["top_k"]]
        inside = old.scores[verdict.label] >= allowed[-1]
        assert gated.note == ("changed" if inside else "kept_topk")
        assert gated.label == (verdict.label if inside else old.label)


def test_gates_hold_while_thresholds_are_swept():
    old = [Prediction("a", "fusion", {"Sad": 0.5, "Happy": 0.3, "Angry": 0.2})]
    found = [Verdict("a", "Angry", confidence=0.7)]
    notes = [{t: rows[0].note for t, rows in sweep(old, found, (0.6, 0.9), **gate).items()} for gate in ({}, {"top_k": 2})]
    assert notes == [{0.6: "changed", 0.9: "kept_low_confidence"}, {0.6: "kept_topk", 0.9: "kept_low_confidence"}]
    assert refine(old[0], found[0], 0.6, max_margin=0.2).note == "kept_margin"
    assert refine(old[0], found[0], 0.6, max_margin=0.21).note == "changed"


def test_a_third_label_with_an_equal_score_does_not_win():
    old = Prediction("a", "fusion", {"Angry": 0.4, "Sad": 0.4, "Happy": 0.2})
    assert refine(old, Verdict("a", "Happy", confidence=1.0), 0.5).label == "Happy"


@given(st.lists(predictions(), max_size=5), st.lists(verdicts, max_size=5))
def test_no_row_is_lost_added_or_moved(old, found):
    rows = [Prediction(str(number), p.source, p.scores) for number, p in enumerate(old)]
    new = list(refine_all(rows, found, 0.5))
    assert [p.id for p in new] == [p.id for p in rows]
    assert all(p.scores == q.scores for p, q in zip(new, rows, strict=True))  # no verdict has their ids


def test_a_higher_threshold_changes_a_subset():
    old = [Prediction(str(i), "fusion", {"Sad": 0.6, "Happy": 0.4}) for i in range(10)]
    found = [Verdict(str(i), "Happy", confidence=i / 10) for i in range(10)]
    changed = [{p.id for p in new if p.note == "changed"} for new in sweep(old, found, (0.2, 0.5, 0.8)).values()]
    assert [len(ids) for ids in changed] == [7, 4, 1]
    assert changed[0] > changed[1] > changed[2]

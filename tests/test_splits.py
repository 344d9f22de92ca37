"""Splits: nobody on two sides, nobody lost, the same for the same seed."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emojudge import splits
from emojudge.errors import DataError, LeakageError
from emojudge.types import EMOTIONS, Utterance

SPEAKERS = [f"s{number}" for number in range(12)]


@st.composite
def corpora(draw, names=SPEAKERS):
    """Corpora with at least three speakers, of any imbalance."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from([*EMOTIONS, None])), min_size=1, max_size=60))
    pairs += [(name, "Sad") for name in SPEAKERS[:3]]
    return [Utterance(f"u{n}", audio=f"wav/f{n}.wav", speaker=who, emotion=emotion) for n, (who, emotion) in enumerate(pairs)]


def homes(utterances):
    found = {}
    for item in utterances:
        found.setdefault(item.speaker or item.id, set()).add(item.split)
    return found


@settings(deadline=None, max_examples=60)
@given(
    corpora([*SPEAKERS, None]),
    st.integers(0, 3),
    st.sampled_from([(0.7, 0.15, 0.15), (0.4, 0.3, 0.3), (8, 1, 1)]),
)
def test_speaker_split(utterances, seed, shares):
    drawn = splits.speaker_split(utterances, shares, seed)
    assert [item.id for item in drawn] == [item.id for item in utterances]
    assert all(len(where) == 1 for where in homes(drawn).values())
    assert {item.split for item in drawn} == {"train", "dev", "test"}
    assert splits.speaker_split(utterances, shares, seed) == drawn


def test_speaker_split_meets_the_shares_where_it_can():
    many = [Utterance(f"{s}-{n}", speaker=f"s{s}", emotion=EMOTIONS[n % 8]) for s in range(100) for n in range(16)]
    counts = Counter(item.split for item in splits.speaker_split(many, (0.6, 0.2, 0.2), 0))
    assert counts == {"train": 960, "dev": 320, "test": 320}
    assert splits.speaker_split(many, (0.6, 0.2, 0.2), 1) != splits.speaker_split(many, (0.6, 0.2, 0.2), 0)


def test_two_speakers_cannot_be_split():
    with pytest.raises(DataError, match="at least 3 speakers, not 2"):
        splits.speaker_split([Utterance("a", speaker="x"), Utterance("b", speaker="y")], (0.7, 0.15, 0.15), 0)


@settings(deadline=None, max_examples=60)
@given(corpora(), st.sampled_from([0.0, 0.2, 0.5]), st.integers(0, 3))
def test_a_fold_by_speaker(utterances, share, seed):
    drawn = splits.apply_fold(utterances, {SPEAKERS[0]}, share, seed)
    assert {item.speaker for item in drawn if item.split == "test"} == {SPEAKERS[0]}
    assert all(len(where) == 1 for where in homes(drawn).values())
    assert ("dev" in {item.split for item in drawn}) == (share > 0)
    assert "train" in {item.split for item in drawn}


def test_a_fold_that_shares_speakers_draws_dev_by_clip():
    clips = [Utterance(f"u{n}", f"wav/f{n}.wav", speaker=f"s{n % 2}", emotion=EMOTIONS[n // 2 % 4]) for n in range(80)]
    drawn = splits.apply_fold(clips, {f"f{n}" for n in range(16)}, 0.25, 0, may_share=True)
    assert Counter(item.split for item in drawn) == {"test": 16, "train": 48, "dev": 16}
    assert set(Counter(item.emotion for item in drawn if item.split == "dev").values()) == {4}


def test_a_speaker_on_both_sides_is_refused():
    clips = [Utterance(f"u{n}", speaker=f"s{n % 2}") for n in range(8)]
    with pytest.raises(LeakageError, match=r"2 speakers \(as s0\) are on both sides"):
        splits.apply_fold(clips, {"u0", "u1"}, 0.25, 0)


@settings(deadline=None, max_examples=40)
@given(corpora(), st.sampled_from(["speaker", "session"]))
def test_one_left_out_at_a_time(utterances, by):
    utterances = [replace(u, session=f"r{int(u.speaker[1:]) // 2}") for u in utterances]
    folds = splits.group_folds(utterances, by)
    assert set(folds) == {getattr(u, by) for u in utterances}
    assert sorted(name for fold in folds.values() for name in fold) == sorted(u.id for u in utterances)
    assert splits.parted_speakers(utterances, folds) == []
    for name, test in folds.items():
        drawn = splits.apply_fold(utterances, test, 0.0, 0)
        assert {getattr(u, by) for u in drawn if u.split == "test"} == {name}
        assert name not in {getattr(u, by) for u in drawn if u.split != "test"}


def test_folds_are_numbered_where_names_are_none_for_folders():
    clips = [Utterance("a", speaker="../etc"), Utterance("b", speaker="Ann B.")]
    assert splits.group_folds(clips, "speaker") == {"1": {"a"}, "2": {"b"}}


@pytest.mark.parametrize(
    ("speakers", "sentence"),
    [
        (["a", None], r"1 utterances \(as 1\) have no speaker"),
        (["a", "a"], "here are 1;"),
        (map(str, range(101)), "here are 101;"),
    ],
)
def test_nobody_can_be_left_out(speakers, sentence):
    with pytest.raises(DataError, match=sentence):
        splits.group_folds([Utterance(str(n), speaker=who) for n, who in enumerate(speakers)], "speaker")


def test_a_fold_of_another_corpus():
    with pytest.raises(DataError, match=r"data\.folds belongs to another corpus"):
        splits.apply_fold([Utterance("a", speaker="x")], {"Actor_01"}, 0.2, 0)


@pytest.mark.parametrize("content", [{}, {"folds": {}}, {"folds": {"1": "Actor_01"}}, {"folds": {"1": []}}])
def test_a_file_without_folds(tmp_path, content):
    (tmp_path / "folds.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match="holds no folds"):
        splits.read_folds(tmp_path / "folds.json")


@pytest.mark.parametrize(("name", "count", "clips"), [("ravdess", 6, 1440), ("emodb", 5, 535)])
def test_published_folds_test_everyone_once(shared, name, count, clips):
    from emojudge import registry

    utterances = list(registry.resolve("corpora", name)[0].utterances(shared / name))
    folds = splits.read_folds(shared / name / "emobox_folds.json")
    assert len(folds) == count
    tested = Counter()
    for test in folds.values():
        drawn = splits.apply_fold(utterances, test, 0.2, 0, may_share=name == "emodb")
        assert {item.split for item in drawn} == {"train", "dev", "test"}
        tested.update(item.id for item in drawn if item.split == "test")
    assert len(tested) == clips
    assert set(tested.values()) == {1}


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 3))
def test_balanced_draw(per_class, seed):
    dev = [Utterance(f"u{n}", emotion=(*EMOTIONS, None)[n % 9]) for n in range(60)]
    drawn = splits.balanced_draw(dev, per_class, seed)
    assert set(Counter(item.emotion for item in drawn).values()) == {per_class}
    assert {item.emotion for item in drawn} == set(EMOTIONS)
    assert drawn == [item for item in dev if item in drawn] == splits.balanced_draw(dev, per_class, seed)


def test_balanced_draw_of_a_rare_class():
    with pytest.raises(DataError, match="Fear has 1 clips"):
        splits.balanced_draw([Utterance("a", emotion="Fear")], 2, 0)

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emojudge.batches import epoch_batches
from emojudge.probe import _even
from emojudge.types import Utterance

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)


def rows(sizes, unlabelled=0):
    labelled = [Utterance(f"{c}-{n}", emotion=f"class {c}") for c, size in enumerate(sizes) for n in range(size)]
    return labelled + [Utterance(f"x-{n}") for n in range(unlabelled)]


@given(SIZES, st.integers(1, 50), st.integers(0, 3))
def test_an_epoch_shows_every_clip_once(sizes, size, epoch):
    clips = rows(sizes, unlabelled=2)
    batches = epoch_batches(clips, size, seed=1, epoch=epoch, balanced=False)
    assert Counter(u.id for batch in batches for u in batch) == Counter(u.id for u in clips)
    assert all(len(batch) == size for batch in batches[:-1]) and 1 <= len(batches[-1]) <= size


@given(SIZES)
def test_balanced_draws_show_every_class_equally_often(sizes):
    drawn = [u for batch in epoch_batches(rows(sizes, unlabelled=3), 8, seed=1, epoch=1, balanced=True) for u in batch]
    classes, clips = Counter(u.emotion for u in drawn), Counter(u.id for u in drawn)
    assert len(set(classes.values())) == 1 and None not in classes
    for number in range(len(sizes)):
        often = [count for id, count in clips.items() if id.startswith(f"{number}-")]
        assert max(often) - min(often) <= 1


def test_every_class_of_every_session_counts_alike():
    clips = [replace(u, session="big" if number % 7 else "small") for number, u in enumerate(rows([60, 21]))]
    drawn = [u for batch in epoch_batches(clips, 8, seed=1, epoch=1, balanced=True, by_session=True) for u in batch]
    cells = Counter((u.session, u.emotion) for u in drawn)
    assert len(cells) == 4 and len(set(cells.values())) == 1
    weights = _even(clips, by_session=True)
    for cell in cells:
        assert sum(w for w, u in zip(weights.tolist(), clips, strict=True) if (u.session, u.emotion) == cell) == pytest.approx(1)


def test_order_is_a_function_of_seed_and_epoch():
    clips = rows([30, 20])
    assert epoch_batches(clips, 8, 0, 1, True) == epoch_batches(clips, 8, 0, 1, True)
    assert epoch_batches(clips, 8, 0, 1, False) != epoch_batches(clips, 8, 0, 2, False) != epoch_batches(clips, 8, 1, 2, False)


def test_without_any_label_balance_means_nothing():
    clips = rows([], unlabelled=5)
    assert sorted(u.id for batch in epoch_batches(clips, 2, 0, 1, True) for u in batch) == [u.id for u in clips]

"""Readers of what comes from outside, fed with mutations of good inputs; benchmarks/fuzz.py does the same for minutes."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz_targets import TARGETS

EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 1 << 16), st.integers(1, 255)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.integers(0, 64)),
        st.tuples(st.just("put"), st.integers(0, 1 << 16), st.binary(max_size=24)),
        st.tuples(st.just("again"), st.integers(0, 1 << 16), st.integers(1, 200)),
    ),
    max_size=6,
)


def edited(data, edits):
    data = bytearray(data)
    for kind, place, how in edits:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data[at] ^= how
        elif kind == "cut":
            del data[at : at + how]
        elif kind == "put":
            data[at:at] = how
        elif kind == "again":
            data[at:at] = data[at : at + how]
    return bytes(data)


def fuzzed(name, count):
    """A test of one target: its seeds as they are, bytes from nowhere, and seeds with a few edits."""
    target, seeds = TARGETS[name]

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of(st.builds(edited, st.sampled_from(seeds), EDITS), st.binary(max_size=200)))
    def test(data):
        target(data)

    for seed in seeds:
        test = example(seed)(test)
    return test


test_the_decoder_sees_nothing_that_is_not_on_the_list = fuzzed("sniffer", 300)
test_no_head_is_another_container = fuzzed("media", 50)
test_any_csv_is_a_table_or_a_sentence = fuzzed("csv_table", 150)
test_any_json_lines_are_a_table_or_a_sentence = fuzzed("json_table", 150)
test_any_rows_are_read_or_a_sentence = fuzzed("json_lines", 150)
test_no_text_leaves_its_quotes = fuzzed("prompt", 100)
test_no_answer_leaves_the_labels = fuzzed("answer", 150)
test_no_completion_is_more_than_a_verdict = fuzzed("completion", 150)
test_damaged_tensors_are_a_sentence = fuzzed("tensors", 150)
test_damaged_shards_are_left_out = fuzzed("shard", 150)


def test_every_target_is_fuzzed():
    tested = {cell.cell_contents for name, test in globals().items() if name.startswith("test_") for cell in _cells(test)}
    assert {target for target, _ in TARGETS.values()} <= tested


def _cells(test):
    inner = getattr(getattr(test, "hypothesis", None), "inner_test", test)
    return [cell for cell in inner.__closure__ or () if callable(cell.cell_contents)]


@pytest.mark.parametrize("edits", [[("flip", 0, 1)], [("cut", 0, 9), ("put", 3, b"xy")], [("again", 1, 4)]])
def test_edits_edit(edits):
    assert edited(b"0123456789", edits) != b"0123456789"

import pytest

from emojudge.aligned import read_results
from emojudge.disagreement import EACH, furthest, patterns
from emojudge.evaluation import evaluate, find
from tests.made_up_run import made_up_run

SYSTEMS = ("audio", "text", "fusion", "judge")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("run"), clips=500, speakers=24)


def test_every_clip_is_in_one_pattern_and_the_patterns_give_the_accuracies(run):
    found, rows = patterns(read_results(run, "emotions"), SYSTEMS, "test"), evaluate(run)
    total = sum(pattern.total for pattern in found)
    assert len({pattern.right for pattern in found}) == len(found)
    for place, system in enumerate(SYSTEMS):
        row = find(rows, system, "accuracy", ("emotions", "test"))
        assert total == row["n"]
        assert sum(p.total for p in found if p.right[place]) / total == pytest.approx(row["value"])
    assert [p.total for p in found] == sorted((p.total for p in found), reverse=True)


def test_cases_are_of_their_pattern_the_surest_of_each_emotion(run):
    results = read_results(run, "emotions")
    everyone = {u.id: u for u in results[0].labelled("test")}
    for pattern in patterns(results, SYSTEMS, "test"):
        shown = {case.utterance.id for case in pattern.cases}
        for case in pattern.cases:
            assert tuple(case.said[s].label == case.utterance.emotion for s in SYSTEMS) == pattern.right
        for emotion, count in pattern.counts.items():
            own = [case for case in pattern.cases if case.utterance.emotion == emotion]
            assert len(own) == min(count, EACH)
            least = min(max(case.said["judge"].scores.values()) for case in own)
            for id, rows in ((id, [results[0].predictions[s][id] for s in SYSTEMS]) for id in everyone.keys() - shown):
                alike = everyone[id].emotion == emotion and tuple(row.label == emotion for row in rows) == pattern.right
                assert not alike or max(rows[-1].scores.values()) <= least


def test_one_system_alone_has_two_patterns(run):
    assert {p.right for p in patterns(read_results(run, "emotions"), ("audio",), "test")} == {(True,), (False,)}


def test_the_furthest_are_furthest(run):
    results = read_results(run, "attributes")
    found = furthest(results, "fusion", "test", most=5)
    aligned = results[0].align("fusion", "test")
    spread = aligned.values.std(0)
    off = dict(zip(aligned.ids, ((aligned.scores - aligned.values) ** 2 / spread**2).mean(1), strict=True))
    assert [miss.utterance.id for miss in found] == sorted(off, key=off.get, reverse=True)[:5]
    assert found[0].true == pytest.approx(found[0].utterance.attributes)

import pytest
from sklearn.metrics import recall_score

from emojudge import groups
from emojudge.aligned import read_results
from emojudge.evaluation import evaluate, find
from emojudge.groups import group_scores
from emojudge.judged import read_cues
from emojudge.metrics import ccc
from emojudge.storage import read_jsonl, write_jsonl
from emojudge.types import Utterance
from tests.made_up_run import made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = made_up_run(tmp_path_factory.mktemp("run"), clips=600, speakers=22, judge=False, folds=("1", "2"))
    people = list(read_jsonl(run.file("manifest.jsonl"), Utterance))
    assert {u.gender for u in people} > {"F", "M"}
    return run


def scores(run, task, system="fusion", split="test"):
    return group_scores(read_results(run, task), system, split, read_cues(run))


def clips_of(run, task, keep):
    """True and predicted rows of the fusion on the test clips of each fold, by hand."""
    return [
        (u, result.predictions["fusion"][u.id])
        for result in read_results(run, task)
        for u in result.labelled("test")
        if u.id in result.predictions["fusion"] and keep(u)
    ]


def test_a_groups_uar_is_scikit_learns_on_its_clips(run):
    found = {(g.kind, g.name): g for g in scores(run, "emotions")}
    for gender in "FM":
        own = clips_of(run, "emotions", lambda u, gender=gender: u.gender == gender)
        gold, said = [u.emotion for u, _ in own], [p.label for _, p in own]
        group = found["Gender", gender]
        assert group.n == len(own)
        assert group.score.value == pytest.approx(recall_score(gold, said, labels=sorted(set(gold)), average="macro"))
        assert group.score.low < group.score.value < group.score.high


def test_a_groups_ccc_is_the_mean_over_attributes(run):
    speaker = next(g for g in scores(run, "attributes") if g.kind == "Speaker")
    own = clips_of(run, "attributes", lambda u: u.speaker == speaker.name)
    by_hand = [ccc([u.attributes[a] for u, _ in own], [p.scores[a] for _, p in own]) for a in ("valence", "arousal", "dominance")]
    assert speaker.score.value == pytest.approx(sum(by_hand) / 3)


def test_lengths_are_thirds_and_speakers_rise(run):
    found = scores(run, "emotions")
    lengths = [g for g in found if g.kind == "Length"]
    assert [g.name.split(",")[0] for g in lengths] == ["short", "middling", "long"]
    assert max(g.n for g in lengths) - min(g.n for g in lengths) <= 6, "but for equal lengths"
    speakers = [g.score.value for g in found if g.kind == "Speaker"]
    assert len(speakers) == 22 and speakers == sorted(speakers)


def test_of_many_speakers_both_ends_are_kept(run, monkeypatch):
    every = [g.name for g in scores(run, "emotions") if g.kind == "Speaker"]
    monkeypatch.setattr(groups, "SPEAKERS", 6)
    assert [g.name for g in scores(run, "emotions") if g.kind == "Speaker"] == every[:3] + every[-3:]


def test_groups_of_few_clips_and_lone_groups_are_left_out(run, monkeypatch):
    monkeypatch.setattr(groups, "LEAST", 10_000)
    assert scores(run, "emotions") == []


def test_text_is_parted_by_words(tmp_path):
    run = made_up_run(tmp_path, clips=200, judge=False, tasks=("emotions",))
    people = [
        Utterance(u.id, text=u.text, split=u.split, emotion=u.emotion) for u in read_jsonl(run.file("manifest.jsonl"), Utterance)
    ]
    write_jsonl(run.file("manifest.jsonl"), people)
    run.file("cues.jsonl").unlink()
    found = scores(run, "emotions")
    assert found and all(g.kind == "Length" and g.name.endswith("words") for g in found)


def test_all_clips_as_one_group_are_the_run(tmp_path):
    run = made_up_run(tmp_path, clips=300, judge=False, tasks=("emotions",))
    people = list(read_jsonl(run.file("manifest.jsonl"), Utterance))
    write_jsonl(
        run.file("manifest.jsonl"),
        [Utterance(**{f: getattr(u, f) for f in u.__slots__} | {"gender": "F" if u.split == "test" else "M"}) for u in people],
    )
    results = read_results(run, "emotions")
    both = {g.name: g for g in group_scores(results, "fusion", "dev+test", {}) if g.kind == "Gender"}
    assert both["F"].score.value == pytest.approx(find(evaluate(run), "fusion", "uar", ("emotions", "test"))["value"])

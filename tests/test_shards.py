"""Shards of recordings: whatever happens to the processes, every recording is in the results or in skipped.jsonl, once."""

import json
from pathlib import Path

import pytest

from emojudge import recordings, registry, shards
from emojudge.errors import AudioError, ConfigError, DataError, EmoJudgeError
from emojudge.shards import Marks, Shard, Task
from emojudge.timeline import Segment, Timeline


class Judge:
    """Says of every recording the same; of some it fails, by their names."""

    def __init__(self):
        self.asked = []

    def timeline(self, path, speakers):
        name = Path(path).stem
        self.asked.append(name)
        if "broken" in name:
            raise AudioError(f"{path} is broken.")
        if "odd" in name:
            raise RuntimeError("shapes do not fit")
        if "full" in name:
            raise OSError(28, "No space left on device")
        if "stopped" in name:
            raise KeyboardInterrupt
        scores = {"emotions": {"Happy": 0.75, "Sad": 0.25}}
        return Timeline(name, 2.0, [Segment(0.0, 1.5, "Hm.", scores=scores, alone=scores)], path=str(path))


@pytest.fixture
def judge(monkeypatch):
    made = Judge()
    monkeypatch.setattr(shards, "_opened", lambda run, changes: made)
    return made


@pytest.fixture
def task(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    return Task(str(tmp_path / "run"), str(tmp_path / "out"), size=2)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """An engine without processes."""
    engine = type("Engine", (), {"run": staticmethod(lambda task, rest, workers, gpus: (shards.work(task, s) for s in rest))})
    resolve = registry.resolve
    monkeypatch.setattr(registry, "resolve", lambda folder, spec: (engine, "") if spec == "here" else resolve(folder, spec))


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def files(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file() and ".work" not in path.parts}


def test_shards_hold_everything_in_the_order_of_the_list(task, judge):
    names = ["c.wav", "a.wav", "broken.wav", "odd.wav", "b.wav"]
    out = Path(task.output)
    list(shards.predict(task, names, "here"))
    assert files(out) == {f"shards/shard-00000{n}.jsonl" for n in range(3)} | {"shards.jsonl", "skipped.jsonl"}
    assert [row["file"] for n in range(3) for row in rows(out / f"shards/shard-00000{n}.jsonl")] == ["c.wav", "a.wav", "b.wav"]
    said = rows(out / "shards.jsonl")
    assert [(one["recordings"], one["segments"], one["seconds"]) for one in said] == [(2, 2, 4.0), (2, 0, 0.0), (1, 1, 2.0)]
    broken, odd = rows(out / "skipped.jsonl")
    assert broken == {"file": "broken.wav", "reason": "broken.wav is broken."}
    assert "RuntimeError: shapes do not fit" in odd["reason"] and judge.asked.count("odd") == 2


def test_what_is_done_is_not_done_again_and_what_changed_is(task, judge):
    names, out = [f"{n}.wav" for n in range(5)], Path(task.output)
    list(shards.predict(task, names, "here"))
    judge.asked.clear()
    assert list(shards.predict(task, names, "here")) == [] and judge.asked == []
    (out / "shards/shard-000001.jsonl").unlink()
    assert [one["shard"] for one in shards.predict(task, names, "here")] == [1]
    assert [one["shard"] for one in shards.predict(task, [*names[:4], "new.wav"], "here")] == [2]
    Path(task.run, "run.json").write_text('{"trained": "again"}')
    assert len(list(shards.predict(task, names[:3], "here"))) == 2
    assert files(out) == {"shards/shard-000000.jsonl", "shards/shard-000001.jsonl", "shards.jsonl"}, "the list became shorter"


def test_a_recording_that_ends_two_processes_is_left_out(task, judge):
    """Their marks are all that they leave, as after SIGKILL; tests/test_engines.py kills real ones."""
    shard = Shard(0, ["a.wav", "poison.wav", "b.wav"])
    for death in range(2):
        marks = Marks(task.file(0, "at"))
        marks.begin()
        assert marks.deadly("poison.wav") is None and marks.deaths == ({} if not death else {"poison.wav": 1})
        marks.at("poison.wav")
    record = shards.work(task, shard)
    assert record["segments"] == 2 and "poison.wav ended 2 processes" in record["skipped"]["poison.wav"]
    assert judge.asked == ["a", "b"] and not task.file(0, "at").exists()


def test_processes_that_end_before_any_recording_end_the_job(task, judge):
    for _ in range(2):
        Marks(task.file(0, "at")).begin()
    assert "fewer --workers" in shards.work(task, Shard(0, ["a.wav"]))["failed"]
    assert not task.file(0, "at").exists(), "the next job tries again"


def test_a_full_disk_is_no_recordings_fault(task, judge):
    with pytest.raises(EmoJudgeError, match="No space left"):
        list(shards.predict(task, ["a.wav", "b.wav", "full.wav", "c.wav"], "here"))
    out = Path(task.output)
    assert files(out) == {"shards/shard-000000.jsonl"} and not list(out.rglob("*.at")) and not list(out.rglob("*.part"))


def test_an_interrupt_is_no_recordings_fault(task, judge):
    with pytest.raises(KeyboardInterrupt):
        shards.work(task, Shard(0, ["stopped.wav"]))
    assert not task.file(0, "at").exists()


def test_recordings_with_files_of_their_own(task, judge, tmp_path):
    task = Task(task.run, task.output, ("jsonl", "srt"))
    out, named = Path(task.output), [tmp_path / "a.wav", tmp_path / "broken.wav", tmp_path / "b.wav"]
    list(shards.predict(task, named, "here"))
    assert files(out) == {"a.jsonl", "a.srt", "b.jsonl", "b.srt", "skipped.jsonl"} and not (out / ".each").exists()
    recordings_alone = tmp_path / "alone"
    list(recordings.predict(recordings.jobs(named, recordings_alone, task.formats), lambda path: judge.timeline(path, ""), {}))
    assert all((out / name).read_bytes() == (recordings_alone / name).read_bytes() for name in files(recordings_alone))
    judge.asked.clear()
    list(shards.predict(task, named, "here"))
    assert judge.asked == ["broken"]
    assert list(shards.predict(task, [named[0], named[2]], "here")) == [] and not (out / "skipped.jsonl").exists()


def test_memory_does_not_grow_with_the_list(task, tmp_path):
    """Shards are cut as they are taken: nothing is read ahead."""
    taken = []

    def endless():
        for number in range(10**9):
            taken.append(number)
            yield f"{number}.wav"

    cut = shards.cut(task, endless())
    assert [next(cut).number, next(cut).paths] == [0, ["2.wav", "3.wav"]] and len(taken) == 4


def test_lists_name_recordings(tmp_path, task):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").touch()
    (tmp_path / "list.txt").write_text('x y.wav\n\n{"id": "1", "audio": "z.flac"}\n')
    [first, second] = shards.cut(task, [f"@{tmp_path}/list.txt", tmp_path / "in"])
    assert first.paths == ["x y.wav", "z.flac"] and second.paths == [str(tmp_path / "in" / "a.wav")]
    with pytest.raises(DataError, match=r"no\.txt cannot be opened"):
        list(shards.cut(task, ["@no.txt"]))
    (tmp_path / "list.txt").write_text('{"id": "1"}\n')
    with pytest.raises(DataError, match="line 1 names no recording"):
        list(shards.cut(task, [f"@{tmp_path}/list.txt"]))


def test_parquet_shards_and_formats_that_cannot(task, judge):
    import pyarrow.parquet

    task = Task(task.run, task.output, ("parquet",), size=3)
    list(shards.predict(task, ["a.wav", "b.wav"], "here"))
    table = pyarrow.parquet.read_table(Path(task.output) / "shards")
    assert table.column("file").to_pylist() == ["a.wav", "b.wav"] and table.column("p_Happy").to_pylist() == [0.75, 0.75]
    for formats in (("srt",), ("jsonl", "csv")):
        with pytest.raises(ConfigError, match="one format"):
            list(shards.predict(Task(task.run, task.output, formats, size=3), ["a.wav"], "here"))

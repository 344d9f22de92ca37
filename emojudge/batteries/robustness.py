"""Robustness: what a disturbance of the recording does to the score and to the answers. The text stays as it is.

Each disturbance is heard by the models of every part, on the clips that this part is tested on; the trained fusion joins
them with the stored predictions from text. What was predicted is kept under `battery/`, named by all it was made from, so
that a battery that was interrupted goes on with the next disturbance, and one on new models begins anew.
"""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from emojudge import fusion
from emojudge.aligned import PartResults, read_results
from emojudge.batteries.subjects import SEED, Row, Subject, read_rows, subject, tested_split
from emojudge.cache import Clip
from emojudge.compare import Estimate, paired, tally_labels, tally_values
from emojudge.errors import DataError
from emojudge.features import Features
from emojudge.metrics import ccc_from, macro_f1_from, uar_from
from emojudge.modelling import predict_clips
from emojudge.progress import say
from emojudge.runs import Part, RunFolder
from emojudge.storage import digest, file_digest, write_jsonl
from emojudge.types import Prediction, Utterance

VOICES = 6
"""People who babble (ours; Derington et al. mix 4 to 7)."""
SAME = 0.05
"""An attribute that moves by less than this share of its scale is unchanged (Derington et al.)."""


@dataclass(frozen=True)
class Disturbance:
    """What is done to recordings, how much the score may fall, and how many answers must stay the same."""

    change: str
    words: str
    fall: float
    same: float


DISTURBANCES = (
    Disturbance("noise:20", "White noise, 20 dB below", 0.05, 0.9),
    Disturbance("noise:10", "White noise, 10 dB below", 0.1, 0.7),
    Disturbance("noise:0", "White noise, as loud", 0.2, 0.5),
    Disturbance("babble:20", "Six people talking, 20 dB below", 0.05, 0.9),
    Disturbance("babble:10", "Six people talking, 10 dB below", 0.1, 0.7),
    Disturbance("babble:0", "Six people talking, as loud", 0.2, 0.5),
    Disturbance("telephone", "Telephone, 300 to 3400 Hz", 0.05, 0.5),
    Disturbance("gsm", "Mobile phone, GSM", 0.05, 0.5),
    Disturbance("mulaw", "8 kHz, µ-law", 0.05, 0.5),
    Disturbance("opus:0.96", "Opus, about 12 kbit/s", 0.05, 0.9),
    Disturbance("mp3:0.9", "MP3, about 11 kbit/s", 0.05, 0.9),
    Disturbance("reverb:0.3", "Room, echo of 0.3 s", 0.05, 0.8),
    Disturbance("reverb:0.8", "Hall, echo of 0.8 s", 0.1, 0.7),
    Disturbance("gain:-12", "Softer by 12 dB", 0.02, 0.95),
    Disturbance("gain:12", "Louder by 12 dB", 0.02, 0.95),
    Disturbance("overload:0.002", "Overdriven, 0.2 % of samples cut", 0.02, 0.95),
    Disturbance("overload:0.05", "Overdriven, 5 % of samples cut", 0.1, 0.7),
    Disturbance("speed:0.9", "Played slower, 0.9 times", 0.05, 0.8),
    Disturbance("speed:1.1", "Played faster, 1.1 times", 0.05, 0.8),
    Disturbance("tilt:-3", "Duller by 3 dB an octave", 0.02, 0.8),
    Disturbance("tilt:3", "Sharper by 3 dB an octave", 0.02, 0.8),
)
"""Thresholds are those of Derington et al. at 20 dB of noise, for the phone (also for GSM and µ-law), for tilt, for small
changes (gain, a little clipping), and for simulated rooms (their share unchanged; the fall as for noise). The others are
ours: as at 20 dB for codecs; -.05 and .8 for speed; -.1 and .7 for what everybody hears (10 dB, a hall, clipping of 5 %);
-.2 and .5 where the disturbance is as loud as the voice."""


def test(run: RunFolder, clips: int) -> list[Row]:
    """Every row of every task, for what listens and for the fusion of it; none where nothing listens.

    Args:
        run: a finished run.
        clips: how many clips of the test split are taken, at random; 0 takes all.

    Raises:
        DataError: not one recording can be read.
        ModelError: a model is missing or does not fit.
    """
    listening = next((s for s in ("audio", "early") if s in run.config.systems), None)
    results: dict[str, list[PartResults]] = {task: read_results(run, task) for task in run.config.tasks}
    tested: dict[str, str] = {task: split for task in results if (split := tested_split(results[task]))}
    results = {task: found for task, found in results.items() if task in tested and listening in found[0].predictions}
    if not listening or not results:
        say("warning: nothing in this run listens, so there is no robustness to test.")
        return []
    bench = Bench(run, listening, results, tested, clips)
    clean, rows = bench.hear(""), []
    for disturbance in DISTURBANCES:
        heard = bench.hear(disturbance.change)
        for task in results:
            for system in heard[task][0].predictions:
                pair = bench.pair(clean[task], heard[task], system)
                rows += compare(*pair, disturbance)
    return rows


class Bench:
    """The models of a run, the clips they are tested on, and what was predicted so far."""

    def __init__(
        self, run: RunFolder, listening: str, results: Mapping[str, Sequence[PartResults]], tested: Mapping[str, str], clips: int
    ) -> None:
        self.run, self.listening, self.results, self.tested = run, listening, results, tested
        self.features = Features(run.config)
        pool = {u.id: u for task in results for r in results[task] for u in self._there(r)}
        whole = run.config.audio.normalise_features == "speaker"
        self.chosen = sample(list(pool.values()), clips, by_speaker=whole)
        recordings = {id: Clip(id, str(u.audio), u.start, u.end) for id, u in pool.items()}
        self.voices = {id: tuple(recordings[other] for other in others(pool[id], pool)) for id in self.chosen}
        parts = [r.part.model(task, listening) / "model.safetensors" for task in results for r in results[task]]
        self.made_from = [sorted(self.chosen), [file_digest(path) for path in parts]]

    def _there(self, result: PartResults) -> list[Utterance]:
        """The clips of a part that its model predicted and whose answer is known."""
        return [u for u in result.labelled(self.tested[result.task]) if u.id in result.predictions[self.listening]]

    def hear(self, change: str) -> dict[str, list[PartResults]]:
        """Every task's results under a change: of what listens, and of the fusion where there is one."""
        name = change.replace(":", "-") or "undisturbed"
        path = self.run.file("battery") / f"{name}-{digest([change, self.made_from])[:12]}.jsonl"
        if not path.exists():
            say(f"robustness: {change or 'undisturbed'} …")
            with tempfile.TemporaryDirectory(prefix="emojudge-") as folder:
                write_jsonl(path, self._listen(change, Path(folder)))
        rows: dict[tuple[str, str], dict[str, Prediction]] = {}
        for row in read_rows(path):
            found = rows.setdefault((row["task"], row["part"]), {})
            found[row["id"]] = Prediction(row["id"], self.listening, row["scores"])
        return {task: [self._joined(r, rows.get((task, r.part.name), {})) for r in self.results[task]] for task in self.results}

    def _listen(self, change: str, folder: Path) -> list[dict[str, Any]]:
        """Predictions of all parts under a change; recordings that cannot be read are left out."""
        heard = self.features.disturbed(change, folder, self.voices) if change else self.features
        rows = [row for task in self.results for result in self.results[task] for row in self._predict(result, heard)]
        if not rows:
            raise DataError(f"No clip could be heard: {next(iter(heard.skipped.values()), 'the model predicted none')}")
        if heard.skipped:
            say(f"warning: {len(heard.skipped)} clips could not be read (as {next(iter(heard.skipped))}) and are left out.")
        return rows

    def _predict(self, result: PartResults, features: Features) -> list[dict[str, Any]]:
        rows = [u for u in self._there(result) if u.id in self.chosen]
        about = {"task": result.task, "part": result.part.name}
        found = predict_clips(result.part, result.task, self.listening, features, rows) if rows else ()
        return [about | {"id": p.id, "scores": dict(p.scores)} for p in found]

    def _joined(self, result: PartResults, heard: Mapping[str, Prediction]) -> PartResults:
        """The part's results with new predictions of what listens, and of the fusion with the old ones of the text."""
        systems: dict[str, Mapping[str, Prediction]] = {self.listening: heard}
        if "fusion" in result.predictions:
            systems["fusion"] = fuse(result.part, result.task, {**result.predictions, self.listening: heard}, list(heard))
        return replace(result, predictions=systems)

    def pair(self, clean: Sequence[PartResults], heard: Sequence[PartResults], system: str) -> tuple[Subject, Subject]:
        """A system undisturbed and disturbed, on the clips that it answered both times."""
        both = {
            id for one, two in zip(clean, heard, strict=True) for id in one.predictions[system].keys() & two.predictions[system]
        }
        make = partial(subject, system=system, split=self.tested[clean[0].task], only=both)
        return make(clean), make(heard)


def sample(clips: Sequence[Utterance], size: int, by_speaker: bool = False) -> set[str]:
    """`size` clips at random, the same each time; all where `size` is 0 or more than there are.

    With `by_speaker` whole speakers, as many as it takes, for models that hear a clip beside the others of its speaker.
    """
    order = sorted(u.id for u in clips)
    Random(SEED).shuffle(order)
    if by_speaker:
        speaker = {u.id: u.speaker or "" for u in clips}
        rank = {name: place for place, name in enumerate(dict.fromkeys(speaker[id] for id in order))}
        order.sort(key=lambda id: rank[speaker[id]])
        size = next((n for n in range(size, len(order)) if speaker[order[n]] != speaker[order[n - 1]]), 0) if size else 0
    return set(order[:size] if size else order)


def others(u: Utterance, pool: Mapping[str, Utterance]) -> list[str]:
    """Clips of other people to babble behind `u`, drawn by its id; of itself where nobody else is there."""
    there = sorted(id for id, other in pool.items() if other.speaker != u.speaker or (not u.speaker and id != u.id))
    return Random(digest([SEED, u.id])).sample(there, min(VOICES, len(there))) or [u.id]


def fuse(part: Part, task: str, outputs: fusion.Outputs, ids: Collection[str]) -> dict[str, Prediction]:
    """What the trained fusion of a part makes of `outputs`."""
    return {p.id: p for p in fusion.load(part.fusion(task)).predict(outputs, list(ids))}


def compare(clean: Subject, heard: Subject, disturbance: Disturbance) -> list[Row]:
    """The rows of one system under one disturbance."""
    row = partial(heard.row, "robustness", group=disturbance.change)
    rows: list[Row] = []
    if heard.task == "emotions":
        for metric, score in (("uar", uar_from), ("macro_f1", macro_f1_from)):
            change = _change(clean, heard, score)
            rows.append(row(f"{metric}_change", change, threshold=-disturbance.fall, sense="least"))
        same = [np.array(a.predicted) == np.array(b.predicted) for a, b in zip(heard.seeds, clean.seeds, strict=True)]
        rows.append(row("unchanged", heard.mean([s.astype(float) for s in same]), threshold=disturbance.same, sense="least"))
        moved = [np.abs(a.scores - b.scores).sum(1) / 2 for a, b in zip(heard.seeds, clean.seeds, strict=True)]
        return [*rows, row("total_variation", heard.mean(moved))]
    for k, name in enumerate(heard.first.names):
        change = _change(clean, heard, lambda sums, k=k: ccc_from(sums[..., k, :]))
        rows.append(row("ccc_change", change, name=name, threshold=-disturbance.fall, sense="least"))
        moved = [np.abs(a.scores - b.scores)[:, k] / heard.width for a, b in zip(heard.seeds, clean.seeds, strict=True)]
        same = [(m < SAME).astype(float) for m in moved]
        rows.append(row("unchanged", heard.mean(same), name=name, threshold=disturbance.same, sense="least"))
        rows.append(row("absolute_shift", heard.mean(moved), name=name))
    return rows


def _change(clean: Subject, heard: Subject, score: Any) -> Estimate:
    """Disturbed less undisturbed, on the same clips and the same draws of speakers."""

    def tallies(one: Subject) -> list[Any]:
        if one.task == "emotions":
            return [tally_labels(a.gold, a.predicted, a.clusters, a.names) for a in one.seeds]
        return [tally_values(np.asarray(a.values), a.scores, a.clusters) for a in one.seeds]

    options = heard.options
    return paired(
        tallies(heard), tallies(clean), score, resamples=options.resamples, confidence=options.confidence, seed=options.seed
    )

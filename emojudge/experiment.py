"""An experiment from its TOML to its report: every stage of the paper in order, each done once.

Each public method of `Experiment` is a stage and a verb of the command line. Stages meet in the files of
the run folder only, so each can be run again, looked into, or replaced.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from emojudge import audio, costs, evaluation, fusion, judging, manifest, preflight, report, splits
from emojudge.config import load_config
from emojudge.cues import Quantiles, measure
from emojudge.errors import AudioError, DataError
from emojudge.features import Features
from emojudge.modelling import predict_part, settings_of, train_part
from emojudge.progress import say, track
from emojudge.prompts import version
from emojudge.refine import refine_all
from emojudge.runs import Part, RunFolder
from emojudge.settings import Config
from emojudge.settings.judge import DELIVERY
from emojudge.stages import Stages
from emojudge.storage import digest, read_json, read_jsonl, write_json, write_jsonl
from emojudge.types import ATTRIBUTES, Cues, Utterance, Verdict


class Experiment:
    """One run folder and the work that fills it."""

    def __init__(self, config: Config, root: Path) -> None:
        folds = splits.read_folds(config.data.folds_file) if config.data.folds_file else {}
        self.config = config
        self.run = RunFolder(root, config, tuple(folds))
        self.folds = folds
        self.stages = Stages(self.run)
        self.features = Features(config)
        self.systems = ("early",) if config.fusion_method == "early" else config.modalities
        self.fused = "fusion" if len(self.systems) > 1 else self.systems[0]

    @classmethod
    def open(cls, source: Path | None, changes: Sequence[str] = (), into: Path | None = None) -> "Experiment":
        """From a TOML (None: from the defaults), or from a run folder, whose recorded settings `changes` then changes."""
        if source and source.is_dir():
            return cls(load_config(changes=changes, base=RunFolder.open(source).config), source)
        config = load_config(source, changes)
        return cls(config, into or Path("runs") / config.name)

    def everything(self) -> None:
        """Do every stage that is not done.

        Raises:
            EmoJudgeError: something can be known to go wrong later; it is said before any work is done.
        """
        if not any(name.startswith("judge ") for name in self.stages.done):
            preflight.check_judge(self.config)
        preflight.check_names(self.config)
        self.prepare()
        for system in self.systems:
            self.train(system)
            self.predict(system)
        if len(self.systems) > 1:
            self.fuse()
        if self.config.judge.judge != "none" and "emotions" in self.config.tasks:
            self.cues()
            self.judge()
            self.refine()
        self.evaluate()
        self.report()

    def _work(self) -> Iterator[tuple[Part, str, str]]:
        """Every part and task, and what its stages are called."""
        for part in self.run.parts():
            for task in self.config.tasks:
                yield part, task, f"{task} {part.name}"

    def _names(self, task: str) -> tuple[str, ...]:
        """Labels, or the attributes that the corpus has."""
        if task == "emotions":
            return self.config.data.labels
        return tuple(name for name in ATTRIBUTES if any(name in u.attributes for u in self.utterances.values()))

    # -- 1 data

    def look(self) -> tuple[list[Utterance], manifest.Findings]:
        """Read and check the corpus, and say what is odd; nothing is written."""
        loaded = manifest.load(self.config.data)
        utterances = manifest.arrange(loaded, self.config.data)
        found = manifest.check(utterances, self.config.data)
        for warning in (*manifest.outside(loaded, self.config.data), *found.warnings):
            say(f"warning: {warning}")
        return utterances, found

    def prepare(self) -> manifest.Findings:
        """Read and check the corpus; write the manifest, and each fold's.

        Raises:
            DataError: something in it makes every later number wrong; it is named.
        """
        utterances, found = self.look()
        if found.errors:
            raise DataError(found.errors[0])
        made_from = digest([[asdict(u), _stat(u)] for u in utterances] + [self.config.data.model_dump(mode="json")])
        if self.stages.done.get("prepare", {}).get("made_from") == made_from and self.run.manifest_file().exists():
            return found
        write_jsonl(self.run.manifest_file(), utterances)
        for fold, test in self.folds.items():
            rows = splits.apply_fold(utterances, test, self.config.data.fold_dev_share, self.config.data.seed)
            write_jsonl(self.run.manifest_file(fold), rows)
        self.stages.done["prepare"] = {"made_from": made_from, "seconds": 0.0}
        self.stages.write(utterances=len(utterances), notice=manifest.notice(self.config.data), warnings=list(found.warnings))
        return found

    @cached_property
    def utterances(self) -> dict[str, Utterance]:
        """Every utterance of the run, by id."""
        return {u.id: u for u in read_jsonl(self.run.manifest_file(), Utterance)}

    def cues(self, again: bool = False) -> None:
        """Measure every voice and say it in words (paper 4.6)."""
        path = self.run.file("cues.jsonl")
        self.stages.do("cues", self.config.cues.model_dump(), ["prepare"], [path], partial(self._cues, path), again=again)

    def _cues(self, path: Path) -> None:
        spoken = [u for u in self.utterances.values() if u.audio]
        rows, skipped = [], {}
        for u in track(spoken, "Measuring voices", len(spoken)):
            try:
                rows.append(measure(u.id, audio.read(str(u.audio), u.start, u.end), u.text, self.config.cues))
            except AudioError as error:
                skipped[u.id] = str(error)
        train = [row for row in rows if self.utterances[row.id].split == "train"] or rows
        quantiles = Quantiles.fit(train, [self.utterances[row.id].speaker for row in train], self.config.cues)
        write_json(self.run.file("quantiles.json"), quantiles.to_json())
        write_jsonl(path, (quantiles.describe(row, self.utterances[row.id].speaker) for row in rows))
        self._skip(skipped)

    def _skip(self, skipped: dict[str, str]) -> None:
        """Add what could not be used to skipped.jsonl; the rest went on."""
        path, known = self.run.file("skipped.jsonl"), self.skipped()
        if skipped.keys() - known.keys():
            write_jsonl(path, [{"id": id, "reason": reason} for id, reason in (known | skipped).items()])
            say(f"warning: {len(skipped)} clips could not be used; {path} says why")

    # -- 3 models

    def train(self, system: str, again: bool = False) -> None:
        """Train the audio, text or early-fusion model of every part and task.

        Raises:
            ConfigError: the run has no such system.
        """
        preflight.check_system(system, self.systems)
        for part, task, name in self._work():
            about = [settings_of(system, self.features), part.seed, self.config.data.labels, self.config.data.fold_dev_share]
            done = [part.model(task, system) / "config.json"]
            self.stages.do(
                f"train {system} {name}",
                about,
                ["prepare"],
                done,
                partial(train_part, part, task, system, self._names(task), self.features),
                again=again,
            )

    def predict(self, system: str, again: bool = False) -> None:
        """Predict every utterance outside the training split with one trained model."""
        preflight.check_system(system, self.systems)
        for part, task, name in self._work():
            done = [part.predictions(task, system)]
            self.stages.do(
                f"predict {system} {name}",
                None,
                [f"train {system} {name}"],
                done,
                partial(predict_part, part, task, system, self.features),
                again=again,
            )
        self._skip(self.features.skipped)

    # -- 4 fusion

    def fuse(self, again: bool = False) -> None:
        """Fit late fusion on dev and fuse (paper 4.5)."""
        for part, task, name in self._work():
            before = [f"predict {system} {name}" for system in self.systems]
            done = [part.fusion(task), part.predictions(task, "fusion")]
            self.stages.do(
                f"fuse {name}", self.config.fusion.model_dump(), before, done, partial(self._fuse, part, task), again=again
            )

    def _fuse(self, part: Part, task: str) -> None:
        utterances, names = part.manifest(), self._names(task)
        for system in self.systems:
            preflight.made(part.predictions(task, system), f"predict RUN {system}")
        outputs = {system: part.read_predictions(task, system) for system in self.systems}
        counts = {name: float(sum(u.split == "train" and u.emotion == name for u in utterances)) for name in names}
        dev = [u for u in utterances if u.split == "dev"]
        fitted, held_out = fusion.fit(outputs, dev, task, names, self.config.fusion, counts)
        seen = set(fitted.fitted_on)
        rest = [u.id for u in utterances if u.split != "train" and u.id not in seen]
        write_jsonl(part.predictions(task, "fusion"), [*held_out, *fitted.predict(outputs, rest)])
        fusion.save(fitted, part.fusion(task))

    # -- 5 judge

    def judge(self, again: bool = False) -> None:
        """Ask the judge about the clips that `judge.ask` selects (paper 4.6)."""
        settings = self.config.judge
        for part in self.run.parts():
            name = f"emotions {part.name}"
            before = ["cues", f"{'fuse' if self.fused == 'fusion' else 'predict ' + self.fused} {name}"]
            # The threshold is applied by `refine`, so that another one asks nothing anew.
            asked = settings.model_dump(mode="json", exclude={*DELIVERY, "threshold"})
            asked["version"] = version(settings.prompt)
            self.stages.do(f"judge {name}", asked, before, [part.verdicts()], partial(self._judge, part), again=again)

    def _judge(self, part: Part) -> None:
        prompts = self.prompts(part)
        settings, ledger = self.config.judge, self.run.file("ledger.sqlite")
        opened = judging.open_judge(settings)
        write_jsonl(part.verdicts(), judging.judge(prompts, opened, ledger, len(prompts), settings))

    def prompts(self, part: Part) -> list[Any]:
        """What the judge would be asked about `part`."""
        settings, split = self.config.judge, {u.id: u.split for u in part.manifest()}
        preflight.made(part.predictions("emotions", self.fused), "run RUN")
        preflight.made(self.run.file("cues.jsonl"), "cues RUN")
        found = {system: part.read_predictions("emotions", system) for system in {*self.systems, self.fused}}
        fused = {id: p for id, p in found[self.fused].items() if split[id] in settings.splits}
        ids = judging.choose(settings.ask, fused, found.get("audio", {}), found.get("text", {}))
        cues = {row.id: row for row in read_jsonl(self.run.file("cues.jsonl"), Cues)}
        labels = self.config.data.labels
        return list(
            judging.prompts([i for i in ids if i in cues], self.utterances, cues, fused, labels=labels, settings=settings)
        )

    def estimate(self) -> list[costs.Estimate]:
        """What judging each part would take, at most; nothing is asked."""
        return [costs.estimate(self.prompts(part), self.config.judge.judge) for part in self.run.parts()]

    def refine(self, again: bool = False) -> None:
        """Apply the verdicts under the threshold; costs nothing."""
        for part in self.run.parts():
            name = f"emotions {part.name}"
            about = [self.config.judge.threshold, self.config.judge.splits]
            done = [part.predictions("emotions", "judge")]
            self.stages.do(f"refine {name}", about, [f"judge {name}"], done, partial(self._refine, part), again=again)

    def _refine(self, part: Part) -> None:
        split = {u.id: u.split for u in part.manifest()}
        before = [p for id, p in part.read_predictions("emotions", self.fused).items() if split[id] in self.config.judge.splits]
        verdicts = read_jsonl(preflight.made(part.verdicts(), "judge RUN"), Verdict)
        write_jsonl(part.predictions("emotions", "judge"), refine_all(before, verdicts, self.config.judge.threshold))

    # -- 6 evaluate and report

    def evaluate(self, allow_fitted: bool = False, again: bool = False) -> None:
        """Score every system with intervals.

        Raises:
            DataError: nothing was predicted yet.
        """
        before = [name for name in self.stages.done if name.split()[0] in ("predict", "fuse", "refine")]
        if not before:
            raise DataError(f"{self.run.root} has no predictions to score; finish it with: emojudge run {self.run.root}")
        done = [self.run.file("metrics.json")]
        about = self.config.evaluation.model_dump()
        self.stages.do("evaluate", about, before, done, partial(evaluation.evaluate, self.run, allow_fitted), again=again)

    def report(self, again: bool = False) -> Path:
        """Write report.html and tables.md."""
        path = self.run.file("report.html")
        preflight.made(self.run.file("metrics.json"), "evaluate RUN")
        self.stages.do("report", None, ["evaluate"], [path], partial(report.write, self.run), again=again)
        return path

    def results(self) -> list[dict[str, Any]]:
        """The rows of metrics.json."""
        return read_json(self.run.file("metrics.json"))["rows"]

    def skipped(self) -> dict[str, str]:
        """Utterances that could not be used, and why."""
        path = self.run.file("skipped.jsonl")
        return {row["id"]: row["reason"] for row in read_jsonl(path, dict)} if path.exists() else {}


def _stat(utterance: Utterance) -> tuple[int, int] | None:
    """Size and time of a recording: a changed file redoes what depends on it."""
    try:
        about = Path(utterance.audio).stat() if utterance.audio else None
    except OSError:
        return None
    return (about.st_size, about.st_mtime_ns) if about else None

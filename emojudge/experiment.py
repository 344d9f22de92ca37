"""An experiment from its TOML to its report: every stage of the paper in order, each done once.

Each public method of `Experiment` is a stage and a verb of the command line. Stages meet in the files of
the run folder only, so each can be run again, looked into, or replaced.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from emojudge import consult, costs, distributed, evaluation, manifest, preflight, preparation, report, typeset
from emojudge.config import load_config
from emojudge.errors import DataError
from emojudge.features import Features
from emojudge.fusing import fuse_part
from emojudge.modelling import predict_part, settings_of, train_part
from emojudge.objective import names_of
from emojudge.prompts import version
from emojudge.runs import Part, RunFolder
from emojudge.settings import Config
from emojudge.settings.judge import DELIVERY, GATES
from emojudge.stages import Stages
from emojudge.storage import read_json, read_jsonl
from emojudge.types import Utterance


class Experiment:
    """One run folder and the work that fills it."""

    def __init__(self, config: Config, root: Path) -> None:
        self.config = config
        self.stages = Stages(RunFolder(root, config, manifest.fold_names(config.data, root)))
        self.features = Features(config)
        self.systems, self.fused = config.systems, config.unjudged
        self.files: preparation.Files | None = None
        """The recordings, once `prepare` or `look` has looked at them."""

    @property
    def run(self) -> RunFolder:
        """The folder, with the folds that the manifest has."""
        return self.stages.run

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
        preflight.check_single(self.run.root, self.stages.about)
        if not any(name.startswith("judge ") for name in self.stages.done):
            preflight.check_judge(self.config)
        preflight.check_names(self.config)
        preflight.check_solver(self.config)
        self.prepare()
        if preparation.transcribed(self.config):
            self.transcribe()
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

    def names(self, task: str) -> tuple[str, ...]:
        """Labels, or the attributes that the corpus has."""
        return names_of(task, self.config, self.utterances.values())

    # -- 1 data

    def look(self) -> list[Utterance]:
        """Read and check the corpus, and say what is odd and what `prepare` will refuse; nothing is written."""
        utterances, self.files = preparation.look(self.config.data)
        return utterances

    def prepare(self) -> None:
        """Read and check the corpus; write the manifest, and each fold's.

        Raises:
            DataError: something in it makes every later number wrong; it is named.
            LeakageError: a fold has a speaker on both sides.
        """
        self.files = preparation.prepare(self.stages) or self.files
        self.__dict__.pop("utterances", None)

    def transcribe(self, again: bool = False) -> None:
        """Write down what is said in every clip (decision 25).

        Raises:
            UnknownName: `transcripts.transcribe` names no transcriber.
        """
        preparation.transcribe(self.stages, again)
        self.__dict__.pop("utterances", None)

    @cached_property
    def utterances(self) -> dict[str, Utterance]:
        """Every utterance of the run, by id."""
        return {u.id: u for u in read_jsonl(self.run.manifest_file(), Utterance)}

    def cues(self, again: bool = False) -> None:
        """Measure every voice and say it in words (paper 4.6)."""
        path = self.run.file("cues.jsonl")
        work = partial(consult.measure_voices, self.run, self.utterances)
        self.stages.do("cues", self.config.cues.model_dump(), preparation.names(self.stages), [path], work, again=again)

    # -- 3 models

    def train(self, system: str, again: bool = False) -> None:
        """Train the audio, text or early-fusion model of every part and task.

        Raises:
            ConfigError: the run has no such system.
        """
        preflight.check_system(system, self.systems)
        for job, (part, task, each) in enumerate(self._trainings()):
            if each != system:
                continue
            about = [settings_of(system, self.features), part.seed, self.config.data.labels, self.config.data.fold_dev_share]
            done = [part.model(task, system) / "config.json"]
            name = f"train {system} {task} {part.name}"
            self.stages.do(name, about, preparation.names(self.stages), done, partial(self._lead, job), again=again)
        self.run.skip(self.features.skipped)

    def _trainings(self) -> list[tuple[Part, str, str]]:
        """Every part, task and system; all processes of a distributed run number them alike."""
        return [(part, task, system) for part, task, _ in self._work() for system in self.config.systems_of(task)]

    def _lead(self, job: int) -> None:
        self._train(distributed.call(job))

    def _train(self, job: int) -> None:
        part, task, system = self._trainings()[job]
        train_part(part, task, system, self.names(task), self.features)

    def assist(self) -> None:
        """What the other processes of a distributed run do: their share of each training that the first one begins."""
        while (job := distributed.call()) != distributed.STOP:
            self.stages.run = replace(
                self.run, folds=manifest.fold_names(self.config.data, self.run.root)
            )  # the first one prepared
            self._train(job)

    def predict(self, system: str, again: bool = False) -> None:
        """Predict every utterance outside the training split with one trained model."""
        preflight.check_system(system, self.systems)
        for part, task, name in self._work():
            if system not in self.config.systems_of(task):
                continue
            done = [part.predictions(task, system)]
            self.stages.do(
                f"predict {system} {name}",
                None,
                [f"train {system} {name}"],
                done,
                partial(predict_part, part, task, system, self.features),
                again=again,
            )
        self.run.skip(self.features.skipped)

    # -- 4 fusion

    def fuse(self, again: bool = False) -> None:
        """Fit late fusion on dev and fuse (paper 4.5)."""
        for part, task, name in self._work():
            if len(self.config.systems_of(task)) < len(self.systems):
                continue  # this task is left to one of them
            before = [f"predict {system} {name}" for system in self.systems]
            done = [part.fusion(task), part.predictions(task, "fusion")]
            self.stages.do(
                f"fuse {name}", self.config.fusion.model_dump(), before, done, partial(self._fuse, part, task), again=again
            )

    def _fuse(self, part: Part, task: str) -> None:
        for system in self.systems:
            preflight.made(part.predictions(task, system), f"predict RUN {system}")
        outputs = {system: part.read_predictions(task, system) for system in self.systems}
        fuse_part(part, task, outputs, self.names(task), self.config.fusion, "fusion")

    # -- 5 judge

    def judge(self, again: bool = False, frozen: bool = False) -> None:
        """Ask the judge about the clips that `judge.ask` selects (paper 4.6); frozen: take recorded answers only."""
        settings = self.config.judge
        for part in self.run.parts():
            name = f"emotions {part.name}"
            before = ["cues", f"{'fuse' if self.fused == 'fusion' else 'predict ' + self.fused} {name}"]
            # Gates are applied by `refine`, so that others ask nothing anew.
            asked = settings.model_dump(mode="json", exclude={*DELIVERY, *GATES, "policy"})
            asked["version"] = version(settings.prompt)
            self.stages.do(f"judge {name}", asked, before, [part.verdicts()], partial(self._judge, part, frozen), again=again)

    def prompts(self, part: Part) -> list[Any]:
        """What the judge would be asked about `part`."""
        return consult.prompts(self.run, part, self.utterances, self.systems, self.fused)

    def _judge(self, part: Part, frozen: bool) -> None:
        consult.ask(self.run, part, self.prompts(part), frozen)

    def estimate(self) -> list[costs.Estimate]:
        """What judging each part would take, at most; nothing is asked."""
        return [costs.estimate(self.prompts(part), self.config.judge.judge) for part in self.run.parts()]

    def refine(self, again: bool = False) -> None:
        """Apply the verdicts by `judge.policy`; costs nothing."""
        for part in self.run.parts():
            name = f"emotions {part.name}"
            about = [self.config.judge.gates, self.config.judge.splits, self.config.judge.policy, self.config.fusion.model_dump()]
            done = [part.predictions("emotions", "judge")]
            self.stages.do(
                f"refine {name}",
                about,
                [f"judge {name}"],
                done,
                partial(consult.refine_part, self.run, part, self.fused),
                again=again,
            )

    # -- 6 evaluate and report

    def evaluate(self, allow_fitted: bool = False, again: bool = False) -> None:
        """Score every system with intervals, and write the tables.

        Raises:
            DataError: nothing was predicted yet.
        """
        before = [name for name in self.stages.done if name.split()[0] in ("predict", "fuse", "refine")]
        if not before:
            raise DataError(f"{self.run.root} has no predictions to score; finish it with: emojudge run {self.run.root}")
        done = [self.run.file("metrics.json")]
        about = self.config.evaluation.model_dump()
        self.stages.do("evaluate", about, before, done, partial(self._evaluate, allow_fitted), again=again)

    def _evaluate(self, allow_fitted: bool) -> None:
        typeset.write(self.run, evaluation.evaluate(self.run, allow_fitted))

    def report(self, again: bool = False, embed_audio: int = 0) -> Path:
        """Write report.html, in which at most `embed_audio` clips can be heard, the tables and model_card.md."""
        path = self.run.file("report.html")
        preflight.made(self.run.file("metrics.json"), "evaluate RUN")
        self.stages.do("report", None, ["evaluate"], [path], partial(report.write, self.run, embed_audio), again=again)
        return path

    def results(self) -> list[dict[str, Any]]:
        """The rows of metrics.json."""
        return read_json(self.run.file("metrics.json"))["rows"]

    def skipped(self) -> dict[str, str]:
        """Utterances that could not be used, and why."""
        return self.run.skipped()

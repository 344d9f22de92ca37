"""An experiment from its TOML to its report: every stage of the paper in order, each done once."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from emojudge import evaluation, features, fusion, judging, manifest, report, splits
from emojudge.cues import measure_all
from emojudge.errors import ConfigError, DataError
from emojudge.inference import predict
from emojudge.models import EmotionModel, ModelCard, load, trained_encoders
from emojudge.progress import say
from emojudge.refine import refine
from emojudge.registry import resolve
from emojudge.runs import Part, RunFolder
from emojudge.settings import Config
from emojudge.stages import Stages
from emojudge.storage import digest, read_jsonl, write_json, write_jsonl
from emojudge.training import Examples, target, train
from emojudge.types import ATTRIBUTES, Prediction, Utterance, Verdict


class Experiment:
    """One run folder and the work that fills it; each public method is a stage and a verb of the command line."""

    def __init__(self, config: Config, root: Path) -> None:
        folds = list(splits.read_folds(config.data.folds)) if config.data.folds else []
        self.config = config
        self.run = RunFolder(root, config, folds)
        self.stages = Stages(self.run)
        self.features = features.Features(config)
        self.systems = ("early",) if config.fusion_method == "early" else config.modalities

    def everything(self) -> dict[str, Any]:
        """Run every stage that is not done."""
        self.prepare()
        for system in self.systems:
            self.train(system)
            self.predict(system)
        self.fuse()
        if self.config.judge.judge != "none":
            self.cues()
            self.judge()
            self.refine()
        return self.evaluate()

    # -- 1 data

    def prepare(self) -> manifest.Findings:
        """Read and check the corpus; write the manifest, and each fold's.

        Raises:
            DataError: something in it makes every later number wrong; it is named.
        """
        utterances = manifest.read(self.config.data)
        found = manifest.check(utterances, self.config.data)
        for warning in found.warnings:
            say(f"warning: {warning}")
        if found.errors:
            raise DataError(found.errors[0])
        write_jsonl(self.run.manifest_file(), utterances)
        if self.config.data.folds:
            for fold, test in splits.read_folds(self.config.data.folds).items():
                rows = splits.apply_fold(utterances, test, self.config.data.fold_dev_share, self.config.data.seed)
                write_jsonl(self.run.manifest_file(fold), rows)
        corpus, _ = resolve("corpora", self.config.data.corpus)
        self.stages.done["prepare"] = {"made_from": manifest_digest(utterances), "seconds": 0.0}
        self.stages.write(utterances=len(utterances), notice=getattr(corpus, "NOTICE", ""))
        return found

    @cached_property
    def utterances(self) -> dict[str, Utterance]:
        """Every utterance of the run, by id."""
        return {u.id: u for u in read_jsonl(self.run.manifest_file(), Utterance)}

    def cues(self, again: bool = False) -> None:
        """Measure every voice and say it in words (paper 4.6)."""

        def work() -> None:
            spoken = [u for u in self.utterances.values() if u.audio]
            rows, quantiles, skipped = measure_all(spoken, self.config.cues)
            write_jsonl(self.run.file("cues.jsonl"), rows)
            write_json(self.run.file("quantiles.json"), quantiles)
            self._skip(skipped)

        self.stages.do("cues", self.config.cues.model_dump(), ["prepare"], [self.run.file("cues.jsonl")], work, again)

    # -- 3 models

    def train(self, system: str, again: bool = False) -> None:
        """Train the audio, text or early-fusion model of every part and task."""
        for part, task in self._work():
            outputs = [part.model(task, system) / "config.json"]
            settings = self._settings(system) | {"task": task, "seed": part.seed, "labels": self.config.data.labels}
            self.stages.do(
                f"train {system} {task} {part.name}", settings, ["prepare"], outputs, lambda p=part, t=task: self._train(p, t, system), again
            )

    def _train(self, part: Part, task: str, system: str) -> None:
        utterances = part.manifest()
        names = self.config.data.labels if task == "emotions" else ATTRIBUTES
        examples = Examples(*([u for u in utterances if u.split == split and target(u, task, names)] for split in ("train", "dev")))
        if not examples.train:
            raise DataError(f"No training clip has {task}; check data.labels and the splits with: emojudge stats {self.run.root}")
        sources, encoders, normaliser = self._sources(system, examples.train)
        examples = Examples(*([u for u in rows if self._readable(u, sources)] for rows in (examples.train, examples.dev)))
        card = ModelCard(
            task,
            tuple(names),
            tuple(sources),
            {m: self._settings(m)[m] for m in sources},
            {m: encoders[m].fingerprint for m in sources},
            {m: (encoders[m].layers, encoders[m].size) for m in sources},
            normaliser,
            digest([u.id for u in examples.train]),
        )
        best = train(EmotionModel(card, trained_encoders(card, encoders)), sources, examples, part.model(task, system), part.seed)
        say(f"  best on dev: {best:.3f}")

"""The run folder: where each stage finds and leaves its files.

::

    runs/demo/
      run.json                       resolved config, versions, machine, digests, what each stage was made from
      manifest.jsonl  cues.jsonl     every utterance; its voice measured
      transcripts.jsonl              what a transcriber heard, where `transcripts.transcribe` names one
      quantiles.json                 what counts as loud, high or fast, from the training split
      skipped.jsonl                  what could not be read, and why
      ledger.sqlite                  what the judge was asked and answered
      [fold-1/] [seed-0/]            one part per fold and seed; neither level where there is only one
        emotions/                    or attributes/
          audio/  text/              config.json  model.safetensors  log.jsonl
          fusion.json
          predictions/               audio.jsonl  text.jsonl  fusion.jsonl  judge.jsonl
          verdicts.jsonl             the judge's answers
          calibration.json           the calibrated judge's weights
          decisions.json             temperature, priors, sets of labels … as fitted on dev
      metrics.json                   rows {system, task, split, metric, class, value, low, high, n, part}
      report.html  model_card.md  tables.md  tables.tex  tables/

With folds, `fold-1/manifest.jsonl` holds that fold's splits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.errors import DataError
from emojudge.progress import say
from emojudge.settings import Config
from emojudge.storage import read_json, read_jsonl, write_jsonl
from emojudge.types import Prediction, Transcript, Utterance, transcript

SYSTEMS = ("audio", "text", "early", "fusion", "ensemble", "judge", "threshold", "calibrated")
"""Every source of predictions, in the order of the stages; the last two are the judge by the policy that was not chosen."""

JUDGED = ("judge", "threshold", "calibrated")


@dataclass(frozen=True)
class Part:
    """One training: a fold and a seed."""

    folder: Path
    manifest_file: Path
    seed: int
    fold: str | None = None

    @property
    def name(self) -> str:
        """How tables call it, as "fold-1/seed-0"."""
        return f"fold-{self.fold}/seed-{self.seed}" if self.fold else f"seed-{self.seed}"

    def manifest(self) -> list[Utterance]:
        """The utterances with the splits of this part."""
        return list(read_jsonl(self.manifest_file, Utterance))

    def model(self, task: str, modality: str) -> Path:
        """Folder of a trained model."""
        return self.folder / task / modality

    def fusion(self, task: str) -> Path:
        """The fitted fusion."""
        return self.folder / task / "fusion.json"

    def calibration(self) -> Path:
        """The fitted weights of the calibrated judge."""
        return self.folder / "emotions" / "calibration.json"

    def decisions(self) -> Path:
        """What was fitted on dev to decide by the system that is not judged."""
        return self.folder / "emotions" / "decisions.json"

    def verdicts(self, task: str = "emotions") -> Path:
        """The judge's answers."""
        return self.folder / task / "verdicts.jsonl"

    def flips(self) -> Path:
        """The judge's answers where it was asked with the labels in another order."""
        return self.folder / "emotions" / "flips.jsonl"

    def predictions(self, task: str, system: str) -> Path:
        """One system's predictions on every split."""
        return self.folder / task / "predictions" / f"{system}.jsonl"

    def read_predictions(self, task: str, system: str) -> dict[str, Prediction]:
        """Predictions by utterance id; empty where the system did not run."""
        path = self.predictions(task, system)
        return {row.id: row for row in read_jsonl(path, Prediction)} if path.exists() else {}


@dataclass(frozen=True)
class RunFolder:
    """A run on disk; `folds` names its folds, and is empty where there are none."""

    root: Path
    config: Config
    folds: Sequence[str] = ()

    @classmethod
    def open(cls, root: str | Path) -> "RunFolder":
        """Open a run that exists.

        Raises:
            DataError: the folder holds no run.json, or one that this version cannot read.
        """
        root = Path(root)
        if not (root / "run.json").exists():
            raise DataError(f"{root} is no run folder (it has no run.json); make one with: emojudge run EXPERIMENT.toml")
        about = read_json(root / "run.json")
        try:
            return cls(root, Config.model_validate(about["config"]), tuple(about.get("folds", ())))
        except (KeyError, ValueError):
            raise DataError(
                f"{root / 'run.json'} holds no settings that this version of EmoJudge knows; make the run again from its TOML."
            ) from None

    def file(self, name: str) -> Path:
        """A file at the top of the folder."""
        return self.root / name

    def manifest_file(self, fold: str | None = None) -> Path:
        """The manifest, or a fold's own."""
        return self.root / f"fold-{fold}" / "manifest.jsonl" if fold else self.root / "manifest.jsonl"

    def transcripts(self) -> dict[str, Transcript]:
        """What a transcriber heard, by utterance id; empty where none is named."""
        path = self.file("transcripts.jsonl")
        named = self.config.transcripts.transcribe != "none" and path.exists()
        return {row["id"]: transcript(row) for row in read_jsonl(path, dict[str, Any])} if named else {}

    def skipped(self) -> dict[str, str]:
        """Utterances that could not be used, and why."""
        path = self.file("skipped.jsonl")
        return {row["id"]: row["reason"] for row in read_jsonl(path, dict[str, str])} if path.exists() else {}

    def skip(self, reasons: Mapping[str, str]) -> None:
        """Add what could not be used to skipped.jsonl; the rest goes on."""
        known = self.skipped()
        if reasons.keys() - known.keys():
            write_jsonl(self.file("skipped.jsonl"), [{"id": i, "reason": reason} for i, reason in {**known, **reasons}.items()])
            say(f"warning: {len(reasons)} clips could not be used; {self.file('skipped.jsonl')} says why")

    def parts(self) -> list[Part]:
        """Every fold × seed."""
        return [self._part(fold, seed) for fold in (self.folds or (None,)) for seed in self.config.seeds]

    def _part(self, fold: str | None, seed: int) -> Part:
        folder = self.root / f"fold-{fold}" if fold else self.root
        if len(self.config.seeds) > 1:
            folder = folder / f"seed-{seed}"
        return Part(folder, self.manifest_file(fold), seed, fold)

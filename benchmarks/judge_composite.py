"""What the offline judge is worth on composite, by both policies: all is chosen on dev, test is looked at once.

    emojudge run experiments/composite.toml --set judge.judge=none && emojudge cues runs/composite
    python benchmarks/judge_composite.py runs/composite          # the tables, from the recorded answers: no model is needed
    python benchmarks/judge_composite.py runs/composite --ask    # ask what is not recorded (stop it at any time), and record it

Clips are asked about in the order of their fused margins, the smallest first: they matter most. Answers are found by the digest
of their request. Where one is missing (not asked yet, or this machine's features differ), the line that needs it says so.
"""

import argparse
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from emojudge import consult, handover, judging
from emojudge.calibrated import calibrate
from emojudge.compare import changes, mcnemar, paired, proportion, tally_labels
from emojudge.errors import DataError
from emojudge.experiment import Experiment
from emojudge.judges.replay import recorded
from emojudge.metrics import macro_f1, macro_f1_from
from emojudge.prompts import Prompt
from emojudge.refine import margin, refine_all, sweep
from emojudge.selective import risk_curve
from emojudge.storage import read_jsonl, write_jsonl
from emojudge.tables import Table, to_markdown
from emojudge.types import Prediction, Verdict

RECORDED = Path(__file__).resolve().parents[1] / "experiments" / "recorded" / "composite_qwen.jsonl"
JUDGE = "local:qwen"
WAYS = ("blind", "paper", "few_shot", "probabilities")
"""Prompt files; confidence is the label's log-probability."""

COMPARED = 0.2
"""Ways are compared on the dev clips whose fused margin is below this."""

PAPERS = 0.8
THRESHOLDS = [n / 20 for n in range(20)]
MARGINS = (0.1, 0.2, 0.3, 0.5)
ASKS = ("all", "conflict", *(f"margin:{m}" for m in MARGINS))


@dataclass(frozen=True)
class Study:
    """A finished, unjudged run, and what its clips' judge has answered."""

    work: Experiment
    verdicts: dict[str, Verdict]

    @cached_property
    def fused(self) -> dict[str, Prediction]:
        """What the judge is to better, on dev (out-of-fold) and test."""
        [part] = self.work.run.parts()
        return part.read_predictions("emotions", self.work.fused)

    @cached_property
    def questions(self) -> dict[str, list[Prompt]]:
        """By way, about every clip of dev and test, the smallest fused margin first."""
        return {way: sorted(self._ask(way), key=lambda prompt: margin(self.fused[prompt.id])) for way in WAYS}

    def _ask(self, way: str, **changes: Any) -> list[Prompt]:
        about = {"prompt": way, "confidence_from": "logprobs", "ask": "all", "splits": ("dev", "test"), **changes}
        config = self.work.config.model_copy(update={"judge": self.work.config.judge.model_copy(update=about)})
        run = replace(self.work.run, config=config)
        return consult.prompts(run, run.parts()[0], self.work.utterances, self.work.systems, self.work.fused)

    def turned(self, way: str) -> list[Prompt]:
        """The questions that compare ways once more, with the labels in another order."""
        compared = set(self.compared)
        return [p for p in self._ask(way, splits=("dev",), flip_share=1.0) if p.turned and p.id in compared]

    @cached_property
    def compared(self) -> list[str]:
        """The clips that ways are compared on."""
        return self.clips("dev", f"margin:{COMPARED}")

    def answered(self, way: str, ids: Iterable[str]) -> dict[str, Verdict]:
        """What was answered about those clips, by id; some may be missing."""
        wanted = set(ids)
        keys = {prompt.id: prompt.key(JUDGE) for prompt in self.questions[way] if prompt.id in wanted}
        return {id: replace(self.verdicts[key], id=id) for id, key in keys.items() if key in self.verdicts}

    def clips(self, split: str, ask: str = "all") -> list[str]:
        """Ids of a split that `ask` selects."""
        [part] = self.work.run.parts()
        known = {u.id for u in self.work.utterances.values() if u.split == split and u.emotion}
        of_split = {id: p for id, p in self.fused.items() if id in known}
        audio, text = (part.read_predictions("emotions", system) for system in ("audio", "text"))
        return judging.choose(ask, of_split, audio, text)

    def gold(self, ids: Iterable[str]) -> list[str]:
        """The true labels."""
        return [str(self.work.utterances[id].emotion) for id in ids]

    def score(self, rows: Sequence[Prediction]) -> float:
        """Macro-F1 of predictions."""
        return macro_f1(self.gold(row.id for row in rows), [row.label for row in rows], self.work.config.data.labels)


def ask(study: Study, prompts: Sequence[Prompt], ledger: Path) -> None:
    """Ask the offline judge what is neither recorded nor in the ledger, and keep all in `study`."""
    opened = judging.open_judge(study.work.config.judge.model_copy(update={"judge": "local", "confidence_from": "logprobs"}))
    new = [prompt for prompt in prompts if prompt.key(JUDGE) not in study.verdicts]
    for verdict in judging.judge(new, opened, ledger, len(new)):
        study.verdicts[verdict.key] = verdict


def record(ledger: Path, path: Path) -> None:
    """Add the ledger's answers to the recording, without what may tell of the clips."""
    with tempfile.TemporaryDirectory() as folder:
        handover.record(ledger, Path(folder) / "new.jsonl", bare=True)
        files = [file for file in (path, Path(folder) / "new.jsonl") if file.exists()]
        rows = {row["key"]: row for file in files for row in read_jsonl(file, dict[str, Any])}
    write_jsonl(path, (rows[key] for key in sorted(rows)))


def best_threshold(study: Study, way: str, ask: str) -> tuple[float, float]:
    """Dev's macro-F1 at the threshold that is best there, and that threshold; of equals the highest, which changes least."""
    rows = [study.fused[id] for id in study.clips("dev")]
    swept = sweep(rows, list(study.answered(way, study.clips("dev", ask)).values()), THRESHOLDS)
    return max((study.score(new), threshold) for threshold, new in swept.items())


def compare_ways(study: Study) -> Table:
    """Every way on the same dev clips: how often it is right, how well its confidence tells, and what it could bring."""
    ids = study.compared
    before = study.score([study.fused[id] for id in study.clips("dev")])
    shown = {id: study.fused[id].label for id in ids}
    lines = [["(fusion)", *_about(study, shown, [max(study.fused[id].scores.values()) for id in ids], shown), "–", "–"]]
    for way in WAYS:
        found = study.answered(way, ids)
        if len(found) < len(ids):
            lines.append([way, f"{len(found)} of {len(ids)}", *["–"] * 5])
            continue
        told = _about(study, {id: v.label for id, v in found.items()}, [v.confidence for v in found.values()], shown)
        score, threshold = best_threshold(study, way, f"margin:{COMPARED}")
        lines.append([way, *told, f"{threshold:g}", f"{score - before:+.3f}"])
    headers = ["Prompt", "Asked", "Right", "As predicted", "AUGRC", "Best threshold", "Δ macro-F1 of dev"]
    return Table(f"Prompts, on the dev clips with a fused margin below {COMPARED}", headers, lines)


def _about(study: Study, labels: Mapping[str, str | None], sure: Sequence[float], shown: Mapping[str, str]) -> list[str]:
    """How many labels there are, are right, and are those that were predicted; and AUGRC."""
    right = [label == study.work.utterances[id].emotion for id, label in labels.items()]
    agree = sum(label == shown[id] for id, label in labels.items())
    return [str(len(labels)), str(sum(right)), str(agree), f"{risk_curve(right, sure).augrc:.3f}"]


def chosen_way(study: Study) -> str:
    """The way that is best on dev; of equals the one that is right more often."""
    ids = study.compared

    def merit(way: str) -> tuple[float, int]:
        right = sum(v.label == study.work.utterances[id].emotion for id, v in study.answered(way, ids).items())
        return best_threshold(study, way, f"margin:{COMPARED}")[0], right

    asked = [way for way in WAYS if len(study.answered(way, ids)) == len(ids)]
    return max(asked, key=merit, default=WAYS[0])


def complete(study: Study, way: str, ask: str) -> bool:
    """Whether all that `ask` selects on dev and test is answered."""
    ids = [*study.clips("dev", ask), *study.clips("test", ask)]
    return len(study.answered(way, ids)) == len(ids)


def policies(study: Study, way: str) -> Table:
    """Both policies for each choice of whom to ask: chosen on dev, and what they do on test."""
    margins = [ask for ask in ASKS if ask.startswith("margin") and complete(study, way, ask)]
    best = max(margins, key=lambda ask: best_threshold(study, way, ask)[0], default="margin:0.1")
    lines = []
    for ask in ("all", "conflict", best):
        ids = [*study.clips("dev", ask), *study.clips("test", ask)]
        found = study.answered(way, ids)
        if len(found) < len(ids):
            lines.append([ask, f"({len(found)} of {len(ids)} answered)", *["–"] * 9])
            continue
        for name, threshold in (("the paper's", PAPERS), ("dev's", best_threshold(study, way, ask)[1])):
            judged = {row.id: row for row in refine_all(study.fused.values(), found.values(), threshold)}
            lines.append([ask, f"threshold {threshold:g} ({name})", *figures(study, ask, judged)])
        lines.append([ask, *by_weights(study, ask, list(found.values()))])
    what = ["Changed", "Helped", "Harmed", "Moved", "Macro-F1", "Δ to fusion", "p"]
    return Table(f"Test, asked with the prompt {way}", ["Asked", "Policy", "Asked of test", "Δ dev", *what], lines)


def by_weights(study: Study, ask: str, found: Sequence[Verdict]) -> list[str]:
    """The calibrated policy and its cells."""
    config = study.work.config
    try:
        weighed = calibrate(study.fused, found, list(study.work.utterances.values()), config.data.labels, config.fusion)
    except DataError:
        return ["calibrated (too few on dev)", *["–"] * 9]
    name = "calibrated" if weighed.used else "calibrated (not used: dev gains nothing)"
    return [name, *figures(study, ask, {row.id: row for row in weighed.predictions})]


def figures(study: Study, ask: str, after: Mapping[str, Prediction]) -> list[str]:
    """One line's cells on test, and the gain on dev before them."""
    names, options = study.work.config.data.labels, study.work.config.evaluation
    dev, test = study.clips("dev"), study.clips("test")
    gain = study.score([after[id] for id in dev]) - study.score([study.fused[id] for id in dev])
    gold, old, new = study.gold(test), [study.fused[id].label for id in test], [after[id].label for id in test]
    speakers = [str(study.work.utterances[id].speaker) for id in test]
    tallies = ([tally_labels(gold, labels, speakers, names)] for labels in (new, old))
    found = paired(*tallies, macro_f1_from, resamples=options.resamples, seed=options.seed)
    did = changes(gold, old, new)
    return [
        f"{len(study.clips('test', ask)) / len(test):.0%}",
        f"{gain:+.4f}",
        str(len(test) - did["kept"]),
        *(str(did[kind]) for kind in ("helped", "harmed", "moved")),
        f"{macro_f1(gold, new, names):.3f}",
        f"{found.value:+.3f} [{found.low:.3f}, {found.high:.3f}]",
        f"{mcnemar(gold, new, old):.2f}",
    ]


def flips(study: Study, way: str) -> str:
    """How often another order of the labels made another answer."""
    turned = [(p.id, v.label) for p in study.turned(way) if (v := study.verdicts.get(p.key(JUDGE)))]
    usual = study.answered(way, [id for id, _ in turned])
    flipped = proportion(sum(usual[id].label != label for id, label in turned if id in usual), len(usual))
    if flipped.value is None:
        return "Order of the labels: not asked."
    return f"Order of the labels: {flipped.value:.1%} of {len(usual)} answers flip [{flipped.low:.1%}, {flipped.high:.1%}]."


def tables(study: Study) -> str:
    """Everything as Markdown: ways compared, then dev's choice and every way that was asked about all clips."""
    made, chosen = [to_markdown(compare_ways(study))], chosen_way(study)
    for way in WAYS:
        if way == chosen or complete(study, way, "all"):
            made += [to_markdown(policies(study, way)), f"{flips(study, way)}\n"]
    return "\n".join(made)


def ask_all(study: Study, ledger: Path) -> None:
    """Every way on the clips that compare them, then the best way: on those in another order, and on all, by margin."""
    for way in WAYS:
        ask(study, [prompt for prompt in study.questions[way] if prompt.id in study.compared], ledger)
    ask(study, study.turned(chosen_way(study)), ledger)
    ask(study, study.questions[chosen_way(study)], ledger)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path, nargs="?", default=Path("runs/composite"))
    options.add_argument("--ask", action="store_true")
    options.add_argument("--recorded", type=Path, default=RECORDED)
    given = options.parse_args()
    if not (given.run / "cues.jsonl").exists():
        print(f"{given.run} is not there, or has no cues.jsonl; the first lines of {__file__} say how to make it.")
        return
    study = Study(Experiment.open(given.run), recorded(given.recorded) if given.recorded.exists() else {})
    if given.ask:
        ledger = given.run / "judge_composite.sqlite"
        try:
            ask_all(study, ledger)
        finally:
            record(ledger, given.recorded)
    print(tables(study))


if __name__ == "__main__":
    main()

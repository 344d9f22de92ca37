"""What the offline judge is worth on composite, by both policies: all is chosen on dev, test is looked at once.

    emojudge run experiments/composite.toml --set judge.judge=none && emojudge cues runs/composite
    python benchmarks/judge_composite.py runs/composite          # the tables, from the recorded answers: no model is needed
    python benchmarks/judge_composite.py runs/composite --ask    # ask what is not recorded (stop it at any time), and record it

Clips are asked about in the order of their fused margins, the smallest first: they matter most. Answers are found by the digest
of their request. Where one is missing (not asked yet, or this machine's features differ), the line that needs it says so.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from emojudge import consult, judging
from emojudge.calibrated import calibrate
from emojudge.compare import changes, mcnemar, paired, proportion, tally_labels
from emojudge.experiment import Experiment
from emojudge.handover import record
from emojudge.judges.replay import recorded
from emojudge.metrics import macro_f1, macro_f1_from
from emojudge.prompts import Prompt
from emojudge.refine import margin, refine_all, sweep
from emojudge.selective import risk_curve
from emojudge.tables import Table, to_markdown
from emojudge.types import Prediction, Verdict

RECORDED = Path(__file__).resolve().parents[1] / "experiments" / "recorded" / "composite_qwen.jsonl"
JUDGE = "local:qwen"
WAYS = ("blind", "paper", "few_shot", "probabilities")
"""Prompt files; confidence is the label's log-probability."""

COMPARED = 0.2
"""Ways are compared on the dev clips whose fused margin is below this."""

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
        """The same questions about a fifth of dev, with the labels in another order."""
        return [prompt for prompt in self._ask(way, splits=("dev",), flip_share=0.2) if prompt.turned]

    def answered(self, way: str, ids: Iterable[str]) -> dict[str, Verdict]:
        """What was answered about those clips, by id; some may be missing."""
        wanted = set(ids)
        keys = {prompt.id: prompt.key(JUDGE) for prompt in self.questions[way] if prompt.id in wanted}
        return {id: replace(self.verdicts[key], id=id) for id, key in keys.items() if key in self.verdicts}

    def clips(self, split: str, ask: str = "all") -> list[str]:
        """Ids of a split that `ask` selects."""
        [part] = self.work.run.parts()
        of_split = {id: p for id, p in self.fused.items() if self.work.utterances[id].split == split}
        audio, text = (part.read_predictions("emotions", system) for system in ("audio", "text"))
        return judging.choose(ask, of_split, audio, text)

    def gold(self, ids: Iterable[str]) -> list[str]:
        """The true labels."""
        return [str(self.work.utterances[id].emotion) for id in ids]

    def score(self, rows: Sequence[Prediction]) -> float:
        """Macro-F1 of predictions."""
        return macro_f1(self.gold(row.id for row in rows), [row.label for row in rows], self.work.config.data.labels)


def ask(study: Study, prompts: Sequence[Prompt], ledger: Path) -> None:
    """Ask the offline judge what the ledger does not know, and keep all in `study`."""
    opened = judging.open_judge(study.work.config.judge.model_copy(update={"judge": "local", "confidence_from": "logprobs"}))
    for verdict in judging.judge(prompts, opened, ledger, len(prompts)):
        study.verdicts[verdict.key] = verdict


def best_threshold(study: Study, way: str, ask: str) -> tuple[float, float]:
    """Dev's macro-F1 at the threshold that is best there, and that threshold; of equals the highest, which changes least."""
    rows = [study.fused[id] for id in study.clips("dev")]
    swept = sweep(rows, list(study.answered(way, study.clips("dev", ask)).values()), THRESHOLDS)
    return max((study.score(new), threshold) for threshold, new in swept.items())


def compare_ways(study: Study) -> Table:
    """Every way on the same dev clips: how often it is right, how well its confidence tells, and what it could bring."""
    ids = study.clips("dev", f"margin:{COMPARED}")
    before = study.score([study.fused[id] for id in study.clips("dev")])
    lines = []
    for way in WAYS:
        found = study.answered(way, ids)
        right = [v.label == study.work.utterances[id].emotion for id, v in found.items()]
        if len(found) < len(ids):
            lines.append([way, f"{len(found)} of {len(ids)}", *["–"] * 5])
            continue
        agree = sum(v.label == study.fused[id].label for id, v in found.items())
        score, threshold = best_threshold(study, way, f"margin:{COMPARED}")
        augrc = risk_curve(right, [v.confidence for v in found.values()]).augrc
        lines.append(
            [way, str(len(ids)), str(sum(right)), str(agree), f"{augrc:.3f}", f"{threshold:g}", f"{score - before:+.3f}"]
        )
    fused = [study.fused[id] for id in ids]
    right = [row.label == study.work.utterances[row.id].emotion for row in fused]
    augrc = risk_curve(right, [max(row.scores.values()) for row in fused]).augrc
    lines.append(["(fusion)", str(len(ids)), str(sum(right)), str(len(ids)), f"{augrc:.3f}", "–", "–"])
    headers = ["Prompt", "Asked", "Right", "As predicted", "AUGRC", "Best threshold", "Δ macro-F1 of dev"]
    return Table(f"Prompts, on the dev clips with a fused margin below {COMPARED}", headers, lines)


def chosen_way(study: Study) -> str:
    """The way that is best on dev; of equals the first."""
    ids = study.clips("dev", f"margin:{COMPARED}")
    asked = [way for way in WAYS if len(study.answered(way, ids)) == len(ids)] or [WAYS[0]]
    return max(asked, key=lambda way: best_threshold(study, way, f"margin:{COMPARED}")[0])


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
        if not complete(study, way, ask):
            ids = [*study.clips("dev", ask), *study.clips("test", ask)]
            lines.append([ask, f"({len(study.answered(way, ids))} of {len(ids)} answered)", *["–"] * 9])
            continue
        found = [*study.answered(way, study.clips("dev", ask)).values(), *study.answered(way, study.clips("test", ask)).values()]
        _, threshold = best_threshold(study, way, ask)
        weighed = calibrate(
            study.fused, found, list(study.work.utterances.values()), study.work.config.data.labels, study.work.config.fusion
        )
        made = {
            f"threshold {threshold:g}": list(refine_all(study.fused.values(), found, threshold)),
            "calibrated" + ("" if weighed.used else " (not used)"): weighed.predictions,
        }
        lines += [[ask, name, *figures(study, ask, {row.id: row for row in rows})] for name, rows in made.items()]
    what = ["Changed", "Helped", "Harmed", "Moved", "Macro-F1", "Δ to fusion", "p"]
    headers = ["Asked", "Policy", "Asked of test", "Δ dev", *what]
    return Table(f"Test, asked with the prompt {way}", headers, lines)


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
        f"{gain:+.3f}",
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
    """Everything as Markdown."""
    way = chosen_way(study)
    return "\n".join([to_markdown(compare_ways(study)), to_markdown(policies(study, way)), flips(study, way)])


def ask_all(study: Study, ledger: Path) -> None:
    """Every way on the clips that compare them, then the best way on all, by margin, then a fifth of dev in another order."""
    compared = set(study.clips("dev", f"margin:{COMPARED}"))
    for way in WAYS:
        ask(study, [prompt for prompt in study.questions[way] if prompt.id in compared], ledger)
    ask(study, study.questions[chosen_way(study)], ledger)
    ask(study, study.turned(chosen_way(study)), ledger)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path)
    options.add_argument("--ask", action="store_true")
    options.add_argument("--recorded", type=Path, default=RECORDED)
    given = options.parse_args()
    study = Study(Experiment.open(given.run), recorded(given.recorded) if given.recorded.exists() else {})
    if given.ask:
        ledger = given.run / "judge_composite.sqlite"
        try:
            ask_all(study, ledger)
        finally:
            record(ledger, given.recorded, bare=True)
    print(tables(study))


if __name__ == "__main__":
    main()

"""What the judge did, clip by clip: for the report's examples and its threshold sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emojudge import refine
from emojudge.aligned import PartResults
from emojudge.compare import change
from emojudge.costs import Budget
from emojudge.errors import JudgeError
from emojudge.evaluation import read_verdicts, shown_to_judge
from emojudge.ledger import Ledger
from emojudge.metrics import macro_f1
from emojudge.runs import RunFolder
from emojudge.selective import RiskCurve, risk_curve
from emojudge.storage import read_jsonl
from emojudge.types import Cues, Utterance, Verdict


@dataclass(frozen=True)
class Judged:
    """One labelled clip the judge was asked about.

    `shown` is the label it was shown, `final` what stands after it, `kind` what that did: "helped",
    "harmed", "moved" or "kept"; `sure` is the score of the shown label; `opinions` are the labels of the models that were fused.
    """

    utterance: Utterance
    verdict: Verdict
    opinions: dict[str, str]
    shown: str
    final: str
    note: str
    kind: str
    sure: float

    @property
    def disagreed(self) -> bool:
        """Whether the judge would have had another label, however sure it was."""
        return self.verdict.label not in (None, self.shown)


def judged_clips(results: Sequence[PartResults], split: str) -> list[Judged]:
    """Every clip of `split` that the judge was asked about, in the first seed's parts."""
    clips = []
    first = results[0].part.seed if results else None
    for result in results:
        if result.part.seed != first or "judge" not in result.predictions:
            continue
        verdicts = {verdict.id: verdict for verdict in read_verdicts(result)}
        rows = result.predictions
        shown = rows[shown_to_judge(list(rows))]
        for u in result.labelled(split):
            if u.id in verdicts and u.id in shown and u.id in rows["judge"]:
                before, after = shown[u.id].label, rows["judge"][u.id]
                sure = shown[u.id].scores[before]
                opinions = {name: rows[name][u.id].label for name in ("audio", "text") if name in rows and u.id in rows[name]}
                kind = change(str(u.emotion), before, after.label)
                clips.append(Judged(u, verdicts[u.id], opinions, before, after.label, after.note, kind, sure))
    return clips


def examples(clips: Sequence[Judged], each: int = 3) -> list[Judged]:
    """Some of each kind, the surest first; of those that were kept, first where the judge disagreed."""
    chosen = []
    for kind in ("helped", "harmed", "kept"):
        of_kind = [clip for clip in clips if clip.kind == kind and clip.verdict.outcome == "ok"]
        chosen += sorted(of_kind, key=lambda c: (not c.disagreed, -c.verdict.confidence, c.utterance.id))[:each]
    return chosen


def by_label(clips: Sequence[Judged], labels: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """For each true label: clips that the judge answered about, shown rightly, named rightly by the judge, right in the end."""
    rows = []
    for label in labels:
        own = [clip for clip in clips if clip.utterance.emotion == label and clip.verdict.outcome == "ok"]
        given = [(clip.shown, clip.verdict.label, clip.final) for clip in own]
        shown, judge, final = (sum(names[k] == label for names in given) for k in range(3))
        rows.append((label, len(own), shown, judge, final))
    return rows


def risk_curves(clips: Sequence[Judged], shown: str) -> dict[str, RiskCurve]:
    """Of the clips that the judge answered about: how wrong its surest labels are, beside the surest of the system `shown`."""
    answered = [clip for clip in clips if clip.verdict.outcome == "ok"]
    gold = [clip.utterance.emotion for clip in answered]
    judge = [clip.verdict.label == truth for clip, truth in zip(answered, gold, strict=True)]
    before = [clip.shown == truth for clip, truth in zip(answered, gold, strict=True)]
    return {
        shown: risk_curve(before, [clip.sure for clip in answered]),
        "judge": risk_curve(judge, [clip.verdict.confidence for clip in answered]),
    }


def spent(run: RunFolder) -> dict[str, float] | None:
    """Dollars, tokens and seconds of all answers in the run's ledger; None where there is none, or it is in use."""
    path = run.file("ledger.sqlite")
    if not path.exists():
        return None
    try:
        with Ledger(path) as book:
            totals, budget = book.totals(), Budget(run.config.judge, book.used())
    except JudgeError:
        return None
    return {"dollars": budget.dollars, "tokens": budget.tokens, "seconds": totals["seconds"], "answers": totals["answers"]}


def sweep(results: Sequence[PartResults], split: str, steps: int = 41) -> list[tuple[float, float]]:
    """Macro-F1 had the judge's label been taken above each threshold, through the same gates; nothing is asked.

    A mean over the first seed's parts. At 1 no label changes, so the last value is the unjudged one.
    """
    thresholds = np.linspace(0, 1, steps).tolist()
    curves = []
    for result in (r for r in results if r.part.seed == results[0].part.seed and "judge" in r.predictions):
        before, verdicts = shown_to_judge(list(result.predictions)), read_verdicts(result)
        shown, rows = result.align(before, split), result.predictions[before]
        if shown.ids:
            gates = {name: value for name, value in result.config.judge.gates.items() if name != "threshold"}
            swept = refine.sweep([rows[clip] for clip in shown.ids], verdicts, thresholds, **gates)
            curves.append([macro_f1(shown.gold, [p.label for p in new], shown.names) for new in swept.values()])
    return list(zip(thresholds, np.mean(curves, axis=0).tolist(), strict=True)) if curves else []


def read_cues(run: RunFolder) -> dict[str, Cues]:
    """Measured voices by clip; none where the stage did not run."""
    path = run.file("cues.jsonl")
    return {cues.id: cues for cues in read_jsonl(path, Cues)} if path.exists() else {}

"""What the judge did, clip by clip: for the report's examples and its threshold sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emojudge import refine
from emojudge.aligned import PartResults
from emojudge.compare import change
from emojudge.evaluation import read_verdicts, shown_to_judge
from emojudge.metrics import macro_f1
from emojudge.runs import RunFolder
from emojudge.storage import read_jsonl
from emojudge.types import Cues, Utterance, Verdict


@dataclass(frozen=True)
class Judged:
    """One labelled clip the judge was asked about.

    `shown` is the label it was shown, `final` what stands after it, `kind` what that did: "helped",
    "harmed", "moved" or "kept"; `opinions` are the labels of the models that were fused.
    """

    utterance: Utterance
    verdict: Verdict
    opinions: dict[str, str]
    shown: str
    final: str
    note: str
    kind: str

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
                opinions = {name: rows[name][u.id].label for name in ("audio", "text") if name in rows and u.id in rows[name]}
                kind = change(str(u.emotion), before, after.label)
                clips.append(Judged(u, verdicts[u.id], opinions, before, after.label, after.note, kind))
    return clips


def examples(clips: Sequence[Judged], each: int = 3) -> list[Judged]:
    """Some of each kind, the surest first; of those that were kept, first where the judge disagreed."""
    chosen = []
    for kind in ("helped", "harmed", "kept"):
        of_kind = [clip for clip in clips if clip.kind == kind and clip.verdict.outcome == "ok"]
        chosen += sorted(of_kind, key=lambda c: (not c.disagreed, -c.verdict.confidence, c.utterance.id))[:each]
    return chosen


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

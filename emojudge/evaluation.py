"""Score a run: `metrics.json`, a flat list of rows that any tool can read (paper 3.2, decisions 20–24).

A row is `{system, task, split, metric, class, value, low, high, n, part}`. `part` is "" for the whole run:
the mean over its folds and seeds; with several seeds such a row also has `sd`, over seeds. `system` is
"fusion-audio" for the difference of two systems on the same clips, "fusion+temperature" for a system's probabilities as
`emojudge.decisions` make them, and "" for facts about the split.
"""

from collections.abc import Iterator, Mapping, Sequence

from emojudge import agreement
from emojudge.aligned import PartResults, check_unfitted, read_results
from emojudge.compare import Estimate, changes, proportion
from emojudge.deciding import Decided, decide
from emojudge.progress import say
from emojudge.runs import JUDGED, SYSTEMS, RunFolder
from emojudge.sheet import Row, Sheet
from emojudge.storage import read_json, read_jsonl, write_json
from emojudge.types import Verdict

PAIRS = (
    ("judge", "fusion"),
    ("judge", "early"),
    ("judge", "threshold"),
    ("judge", "calibrated"),
    ("threshold", "fusion"),
    ("calibrated", "fusion"),
    ("fusion", "audio"),
    ("fusion", "text"),
    ("fusion", "early"),
    ("early", "audio"),
    ("early", "text"),
)
"""Which systems are compared, where a run has both: each with what it was made from."""


def evaluate(run: RunFolder, allow_fitted: bool = False) -> list[Row]:
    """Score every system, task and split of `run`, and write `metrics.json`.

    Args:
        run: a run folder with predictions.
        allow_fitted: also score clips that a system was fitted on.

    Raises:
        LeakageError: a split holds clips that the fusion or the judge was fitted on, or is the training split.
        ModelError: the systems do not share one label set.
        DataError: a file is missing or damaged, or some parts have not been predicted.
    """
    rows: list[Row] = []
    for task in run.config.tasks:
        results = read_results(run, task)
        decided = _decide(results)
        for split in run.config.evaluation.splits:
            rows += _split_rows(results, split, decided, allow_fitted)
    notice = read_json(run.file("run.json")).get("notice", "")
    write_json(run.file("metrics.json"), {"rows": rows, "notice": notice})
    return rows


def _decide(results: Sequence[PartResults]) -> Mapping[str, Decided]:
    """Decisions by the most joint system before the judge, for each part; none where a part has no dev to fit them on."""
    systems = [s for s in SYSTEMS if s not in JUDGED and s in results[0].predictions]
    if results[0].task != "emotions" or not systems:
        return {}
    found = {result.part.name: made for result in results if (made := decide(result, systems[-1]))}
    if len(found) < len(results):
        say(
            "temperature, priors, label sets and abstention are left out: they are fitted on dev, which is too small or not there"
        )
        return {}
    return found


def _split_rows(results: Sequence[PartResults], split: str, decided: Mapping[str, Decided], allow_fitted: bool) -> list[Row]:
    """All rows of one task and split."""
    sheet = Sheet(results, split)
    rows = [sheet.row("", "unlabelled", Estimate(len({u.id for r in results for u in r.unlabelled(split)})))]
    present = [s for s in SYSTEMS if any(s in r.predictions and r.align(s, split).ids for r in results)]
    for system in present:
        if not allow_fitted:
            for result in results:
                check_unfitted(result, system, split)
        rows += sheet.system(system)
    pairs = [row for first, second in PAIRS if {first, second} <= {*present} for row in sheet.pair(first, second)]
    rows += [*pairs, *sheet.holm(pairs)]
    for system in {made.system for made in decided.values()} & {*present}:
        rows += sheet.decided(system, decided)
    for system in (system for system in JUDGED if system in present):
        rows += judge_rows(sheet, shown_to_judge(present), system)
    rows += human_rows(sheet)
    return [*rows, *flip_rows(sheet)] if "judge" in present else rows


def shown_to_judge(systems: Sequence[str]) -> str:
    """Whose label the judge was shown: the most joint system there is.

    >>> shown_to_judge(["audio", "text", "fusion", "judge"])
    'fusion'
    """
    return next(system for system in ("fusion", "early", "audio", "text", "judge") if system in systems)


def find(rows: Sequence[Row], system: str, metric: str, where: tuple[str, str], name: str = "") -> Row | None:
    """The whole run's row for a system, metric, (task, split) and class, if it has a value.

    >>> about = {"system": "audio", "metric": "uar", "task": "emotions", "split": "test", "class": "", "part": ""}
    >>> find([about | {"value": 0.5}], "audio", "uar", ("emotions", "test"))["value"]
    0.5
    """
    about = {"system": system, "metric": metric, "task": where[0], "split": where[1], "class": name, "part": ""}
    return next((row for row in rows if row["value"] is not None and about.items() <= row.items()), None)


def judge_rows(sheet: Sheet, shown: str, system: str) -> list[Row]:
    """How many clips were asked about, and what that did by one policy; summed over folds, the mean over seeds."""
    both = [r.predictions[system].keys() & r.predictions[shown].keys() for r in sheet.results]
    count = {"asked": 0, "helped": 0, "harmed": 0, "moved": 0, "kept": 0}
    for result, before, after in zip(sheet.results, sheet.align(shown, both), sheet.align(system, both), strict=True):
        count["asked"] += len({verdict.id for verdict in read_verdicts(result)} & set(after.ids))
        for name, number in changes(after.gold, before.predicted, after.predicted).items():
            count[name] += number
    n = sum(count.values()) - count["asked"]
    rows = [sheet.row(system, name, Estimate(number / sheet.seeds), n // sheet.seeds) for name, number in count.items()]
    return [*rows, sheet.row(system, "coverage", Estimate(count["asked"] / n), n // sheet.seeds)]


def flip_rows(sheet: Sheet) -> Iterator[Row]:
    """How often the judge's label was another with the labels in another order; nothing where it was not asked."""
    pairs = []
    for result in sheet.results:
        of_split = {u.id for u in result.labelled(sheet.split)}
        usual = {verdict.id: verdict.label for verdict in read_verdicts(result)}
        path = result.part.flips()
        turned = read_jsonl(path, Verdict) if path.exists() else ()
        pairs += [(usual[v.id], v.label) for v in turned if v.id in of_split and v.label and usual.get(v.id)]
    if pairs:
        flipped = proportion(sum(a != b for a, b in pairs), len(pairs), sheet.options.confidence)
        yield sheet.row("judge", "order_flips", flipped, len(pairs))


def human_rows(sheet: Sheet) -> Iterator[Row]:
    """What one rater scores by the others, as the system "human"; nothing where nobody was asked twice."""
    everyone = {u.id: u for result in sheet.results for u in result.labelled(sheet.split)}
    labels = sheet.results[0].config.data.labels if everyone else ()
    for row in agreement.rows(list(everyone.values()), labels):
        if row["task"] == sheet.task:
            yield sheet.row("human", row["metric"], Estimate(row["value"]), row["n"], name=row["class"])


def read_verdicts(result: PartResults) -> list[Verdict]:
    """The judge's answers of one part; none where it was not asked."""
    path = result.part.verdicts(result.task)
    return list(read_jsonl(path, Verdict)) if path.exists() else []

"""Results in plain words, so that a report can be read without knowing what a confidence interval is for."""

from collections.abc import Iterable, Mapping, Sequence

from emojudge.evaluation import Row, find
from emojudge.runs import JUDGED, RunFolder
from emojudge.settings import Config
from emojudge.tables import SHORT, systems
from emojudge.types import Utterance

ALONE = ("audio", "text", "ensemble")
"""Systems that are spoken of in the singular."""


def main_split(config: Config, rows: Sequence[Row], task: str) -> str | None:
    """The split a reader cares for: test where it was scored, else the last that was."""
    scored = [split for split in config.evaluation.splits if systems(rows, task, split)]
    return "test" if "test" in scored else scored[-1] if scored else None


def verdict(run: RunFolder, rows: Sequence[Row]) -> str:
    """The whole run in a sentence or two."""
    sentences: list[str] = []
    for task in run.config.tasks:
        split = main_split(run.config, rows, task)
        present = [s for s in systems(rows, task, split) if s not in JUDGED] if split else []
        if split and present:
            sentences.append(_how_good(rows, present[-1], (task, split), first=not sentences))
    judge = judge_sentence(run.config, rows)
    return " ".join([*sentences, judge]) if sentences else "Nothing could be scored: no clip of these splits has a known answer."


def _how_good(rows: Sequence[Row], system: str, where: tuple[str, str], first: bool) -> str:
    """What the most joint unjudged system achieves."""
    doer = {"audio": "The voice alone", "text": "The text alone", "ensemble": "The ensemble"}.get(
        system, "Voice and text together"
    )
    right, score = find(rows, system, "accuracy", where), find(rows, system, "macro_f1", where)
    if right and score:
        verb = "finds" if system in ALONE else "find"
        share = f"{right['value'] * 100:.0f} % of {score['n']:,} {where[1]} clips"
        return f"{doer} {verb} the emotion of {share} (macro-F1 {_with_interval(score)})."
    score = find(rows, system, "ccc", where, "mean")
    if score is None:
        return ""
    opening = f"{doer} reach" + ("es" if system in ALONE else "") if first else "For the attributes, the mean CCC is"
    return f"{opening} a mean CCC of {_with_interval(score)}." if first else f"{opening} {_with_interval(score)}."


def _with_interval(row: Row) -> str:
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f}, interval {row['low']:.3f} to {row['high']:.3f}"


def judge_sentence(config: Config, rows: Sequence[Row]) -> str:
    """What asking the judge changed, and whether that can be told from chance; "" where nobody was asked."""
    split = main_split(config, rows, "emotions")
    if split is None or find(rows, "judge", "coverage", ("emotions", split)) is None:
        return ""
    values = {name: find(rows, "judge", name, ("emotions", split)) for name in ("helped", "harmed", "moved")}
    helped, harmed, moved = (row["value"] if row else 0 for row in values.values())
    changed = helped + harmed + moved
    if not changed:
        return "The judge changed no label."
    row = next(
        (r for name in ("fusion", "early") if (r := find(rows, f"judge-{name}", "macro_f1_difference", ("emotions", split)))),
        None,
    )
    effect = "" if row is None else {1: ": a gain", -1: ": a loss", 0: ": no difference that can be told from chance"}[side(row)]
    return f"The judge changed {_count(changed, 'label')}, {helped:g} for the better and {harmed:g} for the worse{effect}."


def resampled(config: Config, people: Iterable[Utterance]) -> str:
    """What intervals resample, in the plural; clips whose speaker or session nobody knows stand for themselves.

    >>> resampled(Config(), [Utterance("a", speaker="s1")]), resampled(Config(), [Utterance("a")])
    ('speakers', 'clips')
    """
    cluster = config.evaluation.cluster
    return f"{cluster}s" if cluster != "item" and any(u.speaker for u in people) else "clips"


def cost_sentence(spent: Mapping[str, float] | None, helped: float, harmed: float) -> str:
    """What the judge's answers took, and for each label put right; "" where nobody counted.

    >>> cost_sentence({"answers": 40, "tokens": 40_000, "seconds": 90.0, "dollars": 0.5}, helped=8, harmed=3)
    'All 40 answers of this run took 40,000 tokens, 90 seconds and $0.50: $0.06 a label put right, $0.10 net of those it spoilt.'
    """
    if not spent or not spent["answers"]:
        return ""
    took = f"All {spent['answers']:,.0f} answers of this run took {spent['tokens']:,.0f} tokens, {spent['seconds']:,.0f} seconds"
    if not helped:
        return f"{took} and ${spent['dollars']:.2f}; no label was put right."
    unit, form = ("dollars", "${:.2f}") if spent["dollars"] else ("tokens", "{:,.0f} tokens")
    each = f"{form.format(spent[unit] / helped)} a label put right"
    net = f"{form.format(spent[unit] / (helped - harmed))} net of those it spoilt" if helped > harmed else "and it spoilt as many"
    return f"{took} and ${spent['dollars']:.2f}: {each}, {net}."


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def side(row: Row) -> int:
    """1 where the whole interval is above 0, −1 where it is below, else 0.

    >>> side({"low": 0.01, "high": 0.2}), side({"low": -0.1, "high": 0.2}), side({"low": None, "high": None})
    (1, 0, 0)
    """
    if row["low"] is None:
        return 0
    return int(row["low"] > 0) - int(row["high"] < 0)


def difference(row: Row, confidence: float = 0.95) -> str:
    """A paired difference in words.

    >>> difference({"system": "fusion-audio", "metric": "macro_f1_difference", "value": 0.061, "low": 0.032, "high": 0.09})
    'Fusion beats audio by 6.1 points (95 % interval +3.2 to +9.0).'
    """
    first, second = row["system"].split("-")
    names = SHORT[first], SHORT[second].lower()
    digits, factor, unit = (1, 100, " points") if row["metric"] == "macro_f1_difference" else (3, 1, "")
    value = f"{abs(row['value']) * factor:.{digits}f}{unit}"
    if row["low"] is None:
        order = "more" if row["value"] >= 0 else "less"
        return f"{names[0]} scores {value} {order} than {names[1]}; too few speakers for an interval."
    low, high = (f"{row[end] * factor:+.{digits}f}".replace("-", "−") for end in ("low", "high"))
    span = f"({confidence * 100:g} % interval {low} to {high})"
    if side(row) > 0:
        return f"{names[0]} beats {names[1]} by {value} {span}."
    if side(row) < 0:
        return f"{names[0]} falls short of {names[1]} by {value} {span}."
    sign = "+" if row["value"] >= 0 else "−"
    return f"{names[0]} and {names[1]} cannot be told apart: {sign}{value} {span}."

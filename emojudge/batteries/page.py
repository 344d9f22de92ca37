"""The batteries' results as one HTML file that needs nothing else, and as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emojudge.batteries import BATTERIES
from emojudge.batteries.robustness import DISTURBANCES
from emojudge.batteries.subjects import Row
from emojudge.errors import MissingExtra
from emojudge.exhibits import Scale
from emojudge.runs import RunFolder
from emojudge.storage import read_json
from emojudge.tables import SHORT, Table, to_markdown

TITLES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("correctness", "uar"): ("Over all", "UAR, at least one half"),
    ("correctness", "better_than_chance"): ("Over all", "UAR, better than guessing"),
    ("correctness", "recall"): ("Recall of each emotion", ""),
    ("correctness", "precision"): ("Precision of each emotion", ""),
    ("correctness", "share_difference"): ("Predicted less true share of each emotion", ""),
    ("correctness", "js_distance"): ("Distance of the predicted distribution from the true one", "Jensen–Shannon"),
    ("correctness", "speaker_error"): ("How far a speaker’s average is off", ""),
    ("correctness", "speaker_ranking"): ("Whether speakers keep their order", "rank correlation"),
    ("correctness", "speaker_ccc"): ("Whether speakers keep their order", "CCC"),
    ("correctness", "ccc"): ("Agreement with the true values", "CCC"),
    ("correctness", "pearson"): ("Agreement with the true values", "Pearson’s r"),
    ("correctness", "absolute_error"): ("Errors, in shares of the scale", "mean absolute error"),
    ("correctness", "mean_difference"): ("Errors, in shares of the scale", "mean error"),
    ("correctness", "in_range"): ("Clips within the range expected of their emotion", ""),
    ("correctness", "order"): ("Attributes in the order expected of the emotions", ""),
    ("fairness", "uar_difference"): ("UAR of each group less that of all clips", ""),
    ("fairness", "ccc_difference"): ("CCC of each group less that of all clips", ""),
    ("fairness", "mean_shift"): ("Shift of each group’s values against all clips, in shares of the scale", ""),
    ("fairness", "worst_group"): ("Largest differences between groups", "UAR of the worst group"),
    ("fairness", "recall_gap"): ("Largest differences between groups", "recall"),
    ("fairness", "precision_gap"): ("Largest differences between groups", "precision"),
    ("fairness", "equalised_odds_gap"): ("Largest differences between groups", "equalised odds"),
    ("robustness", "uar_change"): ("Change of UAR", ""),
    ("robustness", "macro_f1_change"): ("Change of macro-F1", ""),
    ("robustness", "ccc_change"): ("Change of CCC", ""),
    ("robustness", "unchanged"): ("Share of the answers that stay the same", ""),
    ("robustness", "total_variation"): ("How far the probabilities move (total variation)", ""),
    ("robustness", "absolute_shift"): ("How far the values move, in shares of the scale", ""),
}
"""Of a battery's tests: the title they stand under, and what tells them apart there."""

WORDS = {one.change: one.words for one in DISTURBANCES}

MOST = 24
"""Rows of a plot; of more, those furthest beyond their threshold."""


def html(run: RunFolder, rows: Sequence[Row]) -> str:
    """The page.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtra("The batteries' page", "report") from None
    loader = PackageLoader("emojudge")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return environment.get_template("battery.html.jinja").render(contents(run, rows))


def contents(run: RunFolder, rows: Sequence[Row]) -> dict[str, Any]:
    """Everything the template shows."""
    there = [name for name in BATTERIES if any(row["battery"] == name for row in rows)]
    of = {name: [row for row in rows if row["battery"] == name] for name in there}
    return {
        "name": run.config.name,
        "corpus": run.config.data.corpus,
        "notice": read_json(run.file("run.json")).get("notice", ""),
        "lead": lead(of),
        "confidence": f"{run.config.evaluation.confidence * 100:g} %",
        "batteries": [
            {"name": name, **counts(of[name]), "said": said(name, of[name]), "blocks": blocks(of[name])} for name in there
        ],
        "missing": [name for name in BATTERIES if name not in there],
    }


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many tests passed, failed, and how many figures are only told."""
    verdicts = [row["passed"] for row in rows]
    return {"passed": verdicts.count(True), "failed": verdicts.count(False), "told": verdicts.count(None)}


def lead(of: Mapping[str, Sequence[Row]]) -> str:
    """The whole in a sentence.

    >>> lead({"fairness": [{"passed": True}, {"passed": False}, {"passed": None}]})
    '1 of 2 tests passed: fairness 1 of 2.'
    """
    found = {name: counts(rows) for name, rows in of.items()}
    each = ", ".join(f"{name} {c['passed']} of {c['passed'] + c['failed']}" for name, c in found.items())
    passed, all_ = sum(c["passed"] for c in found.values()), sum(c["passed"] + c["failed"] for c in found.values())
    return f"{passed} of {all_} tests passed: {each}." if all_ else "Nothing could be tested."


def summary(rows: Sequence[Row]) -> Table:
    """Passed and failed by battery, task and system."""
    found = _by(rows, "battery", "system", "task")
    lines = [[battery, f"{SHORT[name]}, {task}", *map(str, counts(own).values())] for (battery, name, task), own in found.items()]
    return Table("Batteries", ["Battery", "System", "Passed", "Failed", "Only told"], lines)


def _by(rows: Sequence[Row], *keys: str) -> dict[tuple[str, ...], list[Row]]:
    """Rows that agree in some of their fields, in the order they come."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def said(battery: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What a reader should take away: for each system a sentence, and what failed, the furthest beyond its threshold first."""
    found = []
    for (system, task), own in _by(rows, "system", "task").items():
        bad: dict[str, list[str]] = {}
        for row in sorted((row for row in own if row["passed"] is False), key=excess, reverse=True):
            bad.setdefault(_kind(row), []).append(_told(row))
        tested = sum(row["passed"] is not None for row in own)
        sentence = f"{SHORT[system]}, {task}: {sum(map(len, bad.values())) or 'none'} of {tested} failed."
        worst_ = f" {worst(own)}" if battery == "robustness" else ""
        found.append({"sentence": sentence + worst_, "failed": [(kind, _few(labels)) for kind, labels in bad.items()]})
    return found


def _kind(row: Row) -> str:
    """What failed."""
    title = TITLES[row["battery"], row["test"]][0]
    return f"{title}, by {row['group'].partition(':')[0]}" if row["battery"] == "fairness" else title


def _told(row: Row) -> str:
    """Where it failed."""
    label = _label(row)
    if row["test"] in ("in_range", "order"):
        return f"{row['class']} of {label}"
    return label if not row["class"] or row["class"] in label else f"{label} ({row['class']})"


def _few(labels: Sequence[str]) -> str:
    """The first four, and how many more.

    >>> _few(["a", "b", "a", "c", "d", "e"])
    'a; b; c; d; and 1 more'
    """
    labels = list(dict.fromkeys(labels))
    return "; ".join([*labels[:4], *([f"and {len(labels) - 4} more"] if len(labels) > 4 else [])])


def worst(rows: Sequence[Row]) -> str:
    """The disturbance that costs most, in a sentence; "" where there is none."""
    changes = [row for row in rows if row["test"] in ("uar_change", "ccc_change") and row["value"] is not None]
    if not changes:
        return ""
    row = min(changes, key=lambda row: row["value"])
    [same] = [r["value"] for r in rows if (r["test"], r["group"], r["class"]) == ("unchanged", row["group"], row["class"])]
    what = "UAR" if row["test"] == "uar_change" else f"the CCC of {row['class']}"
    where = _words(row["group"])
    return f"The worst is “{where}”: {what} changes by {signed(row)}, and {same * 100:.0f} % of the answers stay."


def excess(row: Row) -> float:
    """How far beyond its threshold a value is; negative where it keeps to it."""
    value, limit = row["value"], row["threshold"]
    if value is None or limit is None:
        return float("-inf")
    return {"least": limit - value, "most": value - limit, "within": abs(value) - limit}[row["sense"]]


def signed(row: Row) -> str:
    """A value as printed, with its interval.

    >>> signed({"value": -0.25, "low": -0.3, "high": -0.2})
    '−0.250 [−0.300, −0.200]'
    """
    if row["value"] is None:
        return "–"
    ends = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.3f}{ends}".replace("-0.000", "0.000").replace("-", "−")


def limit(row: Row) -> str:
    """A threshold as printed.

    >>> limit({"threshold": 0.05, "sense": "within"}), limit({"threshold": -0.05, "sense": "least"})
    ('±0.050', '≥ −0.050')
    """
    if row["threshold"] is None:
        return ""
    sign = {"least": "≥ ", "most": "≤ ", "within": "±"}[row["sense"]]
    return f"{sign}{row['threshold']:.3f}".replace("-", "−")


def _words(change: str) -> str:
    """A disturbance as a person says it."""
    return WORDS.get(change, change)


def _label(row: Row) -> str:
    """What tells a row from the others under its title."""
    _, words = TITLES[row["battery"], row["test"]]
    if row["battery"] == "robustness":
        return _words(row["group"])
    group = row["group"].partition(": ")[2] if row["battery"] == "fairness" or row["test"] in ("in_range", "order") else ""
    label = ", ".join(part for part in (words, group, "" if group else str(row["class"])) if part)
    return label[:1].upper() + label[1:]


def _title(row: Row) -> tuple[str, str, str, str]:
    """Rows with the same title stand together: system, title, grouping, class."""
    title, _ = TITLES[row["battery"], row["test"]]
    grouped = row["battery"] == "fairness" or row["test"] in ("in_range", "order")
    grouping = row["group"].partition(":")[0] if grouped else ""
    by_class = row["battery"] == "robustness" or (grouped and ":" in row["group"] and row["test"] != "worst_group")
    return (f"{SHORT[row['system']]}, {row['task']}", title, grouping, row["class"] if by_class else "")


def blocks(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plots, each with the rows that stand under one title, in the order they come."""
    found: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        if (row["battery"], row["test"]) in TITLES:
            found.setdefault(_title(row), []).append(row)
    return [_block(title, own) for title, own in found.items()]


def _block(key: tuple[str, str, str, str], rows: Sequence[Row]) -> dict[str, Any]:
    system, title, *about = key
    shown = [row for row in rows if row["value"] is not None]
    if len(shown) > MOST:
        shown = sorted(shown, key=excess, reverse=True)[:MOST]
    scale = Scale.around([0.0, *(end for row in shown for end in _ends(row))])
    lines = [_line(row, scale) for row in shown]
    return {
        "system": system,
        "title": title,
        "of": ", ".join(filter(None, about)),
        "rows": lines,
        "left_out": len(rows) - len(shown),
        "axis": scale.axis(),
        "zero": scale.at(0.0),
        **counts(rows),
    }


def _ends(row: Row) -> Iterator[float]:
    yield from (row[key] for key in ("value", "low", "high", "threshold") if row[key] is not None)
    if row["sense"] == "within" and row["threshold"] is not None:
        yield -row["threshold"]


def _line(row: Row, scale: Scale) -> dict[str, Any]:
    threshold = row["threshold"]
    limits = [] if threshold is None else [threshold, -threshold] if row["sense"] == "within" else [threshold]
    verdict = {True: "passes", False: "fails", None: ""}[row["passed"]]
    about = {"label": _label(row) or row["system"], "value": signed(row), "limit": limit(row), "n": row["n"], "verdict": verdict}
    return about | scale.marks(row) | {"limits": [scale.at(one) for one in limits]}


def _said(about: Mapping[str, Any]) -> str:
    failed = "".join(f"- {kind}: {labels}\n" for kind, labels in about["failed"])
    return f"{about['sentence']}\n" + (f"\n{failed}" if failed else "")


def markdown(run: RunFolder, rows: Sequence[Row]) -> str:
    """The same as Markdown tables."""
    about = contents(run, rows)
    parts = [
        f"# Batteries of {about['name']}\n",
        *([f"**{about['notice']}**\n"] if about["notice"] else []),
        f"{about['lead']}\n",
    ]
    for battery in about["batteries"]:
        parts += [f"## {battery['name'].capitalize()}\n", *map(_said, battery["said"])]
        for block in battery["blocks"]:
            lines = [[line["label"], line["value"], line["limit"], line["verdict"], str(line["n"])] for line in block["rows"]]
            title = f"{block['system']}: {block['title']}" + (f" ({block['of']})" if block["of"] else "")
            note = f"{block['left_out']} more are in battery.json." if block["left_out"] else ""
            parts.append(to_markdown(Table(title, ["", "Value", "Threshold", "Verdict", "Clips"], lines, note)))
    return "\n".join(parts)

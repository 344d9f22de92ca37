"""The tables of an appendix: each label, confusions, probabilities, decisions, and what leaving clips unanswered is worth."""

from collections.abc import Iterator, Sequence

import numpy as np

from emojudge.decisions import KINDS
from emojudge.evaluation import Row, find
from emojudge.metrics import confusion_shares
from emojudge.runs import JUDGED
from emojudge.settings import Config
from emojudge.tables import METRICS, SHORT, Table, number, p_value, plain, systems

PROBABILITIES = {
    "top2": "Top-2 accuracy",
    "nll": "NLL",
    "brier": "Brier",
    "ece": "ECE",
    "classwise_ece": "Class-wise ECE",
    "augrc": "AUGRC",
    "js_distance": "JS distance to votes",
    "kl_to_votes": "KL to votes",
}
"""Scores of probabilities, and how a person writes them."""

DECIDED = {
    "temperature": "temperature",
    "vector": "vector scaling",
    "natural": "prior of train",
    "uniform": "uniform prior",
    "declared": "declared prior",
    "offsets": "offsets for macro-F1",
}
"""What `emojudge.decisions.KINDS` are to a reader."""


def details(config: Config, rows: Sequence[Row]) -> Iterator[Table]:
    """Every table of every split that has rows."""
    for split in config.evaluation.splits:
        where = ("emotions", split)
        if "emotions" in config.tasks and systems(rows, *where):
            made = [label_table(config, rows, split), probability_table(rows, split), decision_table(rows, split)]
            made += [risk_table(config, rows, split), *(confusion_table(config, rows, split, s) for s in systems(rows, *where))]
            yield from (table for table in made if table.rows)
        if "attributes" in config.tasks and systems(rows, "attributes", split):
            yield attribute_table(rows, split)


def label_table(config: Config, rows: Sequence[Row], split: str) -> Table:
    """F1 of each label with its interval, precision and recall, by each system."""
    where = ("emotions", split)
    present = systems(rows, *where)
    lines = []
    for label in config.data.labels:
        cells = []
        for system in present:
            f1, precision, recall = (find(rows, system, metric, where, label) for metric in ("f1", "precision", "recall"))
            cells += [number(f1, interval=True), f"{number(precision)} / {number(recall)}"]
        lines.append([label, *cells])
    headers = ["Label", *(f"{SHORT[system]} {what}" for system in present for what in ("F1", "P / R"))]
    return Table(f"Emotions, {split}: each label", headers, lines)


def confusion_table(config: Config, rows: Sequence[Row], split: str, system: str) -> Table:
    """Clips by true label (row) and given label (column), and their share of the row."""
    about = {"system": system, "task": "emotions", "split": split, "metric": "confusion", "part": ""}
    names = config.data.labels
    found = {row["class"]: row["value"] for row in rows if about.items() <= row.items()}
    counts = np.array([[found.get(f"{gold} > {given}", 0.0) for given in names] for gold in names])
    lines = [
        [gold, *(f"{count:g} ({share:.0%})" for count, share in zip(*pair, strict=True))]
        for gold, *pair in zip(names, counts, confusion_shares(counts), strict=True)
    ]
    note = "Rows are true labels, columns given ones; in brackets the share of the row."
    return Table(f"Emotions, {split}: confusions of {SHORT[system]}", ["True label", *names], lines, note)


def probability_table(rows: Sequence[Row], split: str) -> Table:
    """How good the probabilities are, of each system that has any."""
    where = ("emotions", split)
    present = [system for system in systems(rows, *where) if system not in JUDGED]
    keys = [key for key in PROBABILITIES if any(find(rows, system, key, where) for system in present)]
    lines = [[SHORT[system], *(number(find(rows, system, key, where), interval=True) for key in keys)] for system in present]
    return Table(f"Emotions, {split}: probabilities", ["System", *(PROBABILITIES[key] for key in keys)], lines)


def decision_table(rows: Sequence[Row], split: str) -> Table:
    """The system before the judge with its probabilities changed in each way; none where there was no dev to fit them on."""
    where = ("emotions", split)
    present = [(system, kind) for system in SHORT for kind in KINDS if find(rows, f"{system}+{kind}", "nll", where)]
    lines = []
    for system, kind in [*((system, "") for system in dict(present)), *present]:
        name = f"{system}+{kind}" if kind else system
        pair = f"{name}-{system}"
        change = number(find(rows, pair, "macro_f1_difference", where), interval=True)
        scores = [number(find(rows, name, key, where)) for key in ("uar", "nll", "brier", "ece", "classwise_ece")]
        best = number(find(rows, name, "macro_f1", where))
        title = f"{SHORT[system]}, {DECIDED[kind]}" if kind else SHORT[system]
        lines.append([title, best, change, p_value(find(rows, pair, "holm_p", where)), *scores])
    headers = ["System", METRICS["macro_f1"], "Change", "Holm p", METRICS["uar"], "NLL", "Brier", "ECE", "Class-wise ECE"]
    note = "Fitted on dev; on dev itself, without the clip's speaker."
    return Table(f"Emotions, {split}: decisions fitted on dev", headers, lines, note)


def risk_table(config: Config, rows: Sequence[Row], split: str) -> Table:
    """Sets of labels, clips left unanswered, and the share of wrong answers among the surest clips."""
    where, options = ("emotions", split), config.evaluation
    system = next((system for system in SHORT if find(rows, system, "set_coverage", where)), "")
    told = {
        "set_coverage": f"Sets that hold the true label (meant: {options.coverage:.0%})",
        "set_size": "Labels in a set",
        "answered": f"Clips answered (meant: {1 - options.abstain:.0%})",
        "answered_accuracy": "Accuracy where answered",
    }
    lines = [[text, number(find(rows, system, key, where), interval=True)] for key, text in told.items() if system]
    risks = [row for row in rows if (row["system"], row["metric"], row["split"]) == (system, "risk", split)]
    lines += [[f"Wrong among the surest {row['class']}", plain(row["value"])] for row in risks]
    return Table(f"Emotions, {split}: sets of labels and abstention ({SHORT.get(system, '')})", ["", "Value"], lines)


def attribute_table(rows: Sequence[Row], split: str) -> Table:
    """CCC, Pearson's r and error of each attribute, with intervals."""
    where = ("attributes", split)
    names = dict.fromkeys(row["class"] for row in rows if (row["task"], row["split"], row["metric"]) == (*where, "ccc"))
    lines = [
        [
            f"{SHORT[system]}, {name}",
            *(number(find(rows, system, key, where, name), interval=True) for key in ("ccc", "pearson", "rmse")),
        ]
        for system in systems(rows, *where)
        for name in names
    ]
    return Table(f"Attributes, {split}: every score", ["System", "CCC", "Pearson's r", "RMSE"], lines)

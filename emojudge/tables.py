"""Tables in the shape of the paper's Tables 1 and 2, as plain data: the report, Markdown and the terminal all print them."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from typing import Any

from emojudge.errors import ConfigError
from emojudge.evaluation import PAIRS, Row, find
from emojudge.runs import JUDGED, SYSTEMS
from emojudge.scorecard import PAIRED
from emojudge.settings import Config
from emojudge.types import ATTRIBUTES

METRICS = {"macro_f1": "Macro-F1", "uar": "UAR", "accuracy": "Accuracy", "weighted_f1": "Weighted F1"}
"""Scores of emotions, and how a person writes them."""

SHORT = {"audio": "Audio", "text": "Text", "early": "Early fusion", "fusion": "Fusion", "ensemble": "Ensemble"} | {
    "judge": "Judged",
    "threshold": "Judged by threshold",
    "calibrated": "Judged, calibrated",
}
"""What a reader should know the systems as."""

HUMAN = "One rater, by the others"
"""How a table calls the human ceiling (`emojudge.agreement`)."""


@dataclass(frozen=True)
class Table:
    """Strings to print; the first column is a name, the others are figures."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def to_markdown(table: Table) -> str:
    r"""The table as GitHub Markdown.

    >>> print(to_markdown(Table("Two", ["System", "F1"], [["a|b", "0.5"]])))
    ### Two
    <BLANKLINE>
    | System | F1 |
    | :-- | --: |
    | a\|b | 0.5 |
    <BLANKLINE>
    """
    rule = [":--"] + ["--:"] * (len(table.headers) - 1)
    lines = [" | ".join(cell.replace("|", r"\|") for cell in row) for row in (table.headers, rule, *table.rows)]
    note = [table.note, ""] if table.note else []
    return "\n".join([f"### {table.title}", "", *(f"| {line} |" for line in lines), "", *note])


def result_tables(config: Config, rows: Sequence[Row]) -> list[Table]:
    """Results by task and split, differences, and the judge: all that settings and rows alone can tell."""
    made: list[Table | None] = []
    for task in config.tasks:
        for split in config.evaluation.splits:
            made += [
                results_table(config, rows, task, split),
                pearson_table(config, rows, split) if task == "attributes" else None,
            ]
        made.append(differences_table(config, rows, task))
    return [table for table in (*made, judge_table(config, rows)) if table and table.rows]


def number(row: Row | None, interval: bool = False, digits: int = 3) -> str:
    """A value as printed, with the spread over seeds and the interval where there are such.

    >>> number({"value": 0.5, "low": 0.4, "high": 0.6}, interval=True)
    '0.500 [0.400, 0.600]'
    """
    if row is None or row["value"] is None:
        return "–"
    text = f"{row['value']:.{digits}f}"
    if row.get("sd") is not None:
        text += f" ± {row['sd']:.{digits}f}"
    if interval and row["low"] is not None:
        text += f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
    return text


def plain(value: float | None, digits: int = 3) -> str:
    """A published or a bare number as printed."""
    return "–" if value is None else f"{value:.{digits}f}"


def system_name(config: Config, system: str) -> str:
    """What a reader should know a system as.

    >>> system_name(Config(), "audio")
    'Audio (hf_speech:microsoft/wavlm-large)'
    """
    made_of = {"audio": config.audio.encoder, "text": config.text.encoder, "judge": config.judge.judge}
    return f"{SHORT[system]} ({made_of[system]})" if system in made_of else SHORT[system]


def systems(rows: Sequence[Row], task: str, split: str) -> list[str]:
    """The systems scored there, in the order of the stages."""
    return [system for system in SYSTEMS if any((r["system"], r["task"], r["split"]) == (system, task, split) for r in rows)]


def published(config: Config, task: str, split: str) -> list[dict[str, Any]]:
    """Rows of `published.toml` for the corpus that `evaluation.published` names; none where it names none."""
    return published_rows(config.evaluation.published, task, split) if config.evaluation.published else []


def published_rows(corpus: str, task: str, split: str) -> list[dict[str, Any]]:
    """Rows of `published.toml`.

    Raises:
        ConfigError: nothing is published there for that corpus.
    """
    known = tomllib.loads(files("emojudge").joinpath("published.toml").read_text(encoding="utf-8"))["row"]
    if corpus not in {row["corpus"] for row in known}:
        names = ", ".join(sorted({row["corpus"] for row in known}))
        raise ConfigError(f"{corpus!r} has no published figures; there are some for {names}.")
    return [row for row in known if (row["corpus"], row["task"], row["split"]) == (corpus, task, split)]


def headline_table(config: Config, rows: Sequence[Row], task: str) -> Table:
    """The paper's Table 2: what each system is made of, and its scores on every split; published systems below."""
    splits = [split for split in config.evaluation.splits if systems(rows, task, split)]
    present = {name: None for split in splits for name in systems(rows, task, split)}
    keys = [("macro_f1", ""), ("accuracy", "")] if task == "emotions" else [("ccc", name) for name in (*ATTRIBUTES, "mean")]
    columns = [
        (split, Column(METRICS.get(metric, name.capitalize()), metric, name, (metric, name) == PAIRED[task][:2]))
        for split, (metric, name) in product(splits, keys)
    ]
    lines = [
        [*_made_of(config, system), *(number(find(rows, system, c.metric, (task, s), c.name), c.interval) for s, c in columns)]
        for system in present
    ]
    theirs: dict[str, dict[str, Any]] = {}
    for split in splits:
        for row in published(config, task, split):
            theirs.setdefault(row["system"], {})[split] = row["scores"]
    lines += [
        [name, "", "", "", *(plain(found.get(split, {}).get(c.key)) for split, c in columns)]
        for name, found in theirs.items()
        if any(c.key in found.get(split, {}) for split, c in columns)
    ]
    headers = ["System", "Audio", "Text", "Judge", *(f"{split}: {c.header}" for split, c in columns)]
    return Table(f"{task.capitalize()}: every system on every split", headers, lines)


def _made_of(config: Config, system: str) -> list[str]:
    """A system's name, encoders and judge."""
    parts = {"audio": ("audio",), "text": ("text",)}.get(system, config.modalities)
    if system == "ensemble":
        return [SHORT[system], *("several" if name in config.modalities else "–" for name in ("audio", "text")), "–"]
    audio, text = (getattr(config, name).encoder if name in parts else "–" for name in ("audio", "text"))
    return [SHORT[system], audio, text, config.judge.judge if system in JUDGED else "–"]


def results_table(config: Config, rows: Sequence[Row], task: str, split: str) -> Table:
    """The paper's Table 2 for one task and split, published rows below ours."""
    others = published(config, task, split)
    if task == "emotions":
        keys = [key for key in METRICS if key != "weighted_f1" or any(key in row["scores"] for row in others)]
        columns = [Column(METRICS[key], key, interval=key == "macro_f1") for key in keys]
    else:
        present = {row["class"] for row in rows if row["metric"] == "ccc" and row["split"] == split}
        columns = [Column(f"CCC {name}", "ccc", name, name == "mean") for name in (*ATTRIBUTES, "mean") if name in present]
    return _fill(f"{task.capitalize()}, {split}", columns, rows, config, (task, split))


def pearson_table(config: Config, rows: Sequence[Row], split: str) -> Table | None:
    """Correlations, where others have published those instead of concordance."""
    others = published(config, "attributes", split)
    if not any(key.startswith("pearson") for row in others for key in row["scores"]):
        return None
    columns = [Column(f"r {name}", "pearson", name, interval=True) for name in ATTRIBUTES]
    return _fill(f"Attributes, {split}: Pearson's r", columns, rows, config, ("attributes", split))


@dataclass(frozen=True)
class Column:
    """One score as a column of a results table."""

    header: str
    metric: str
    name: str = ""
    interval: bool = False

    @property
    def key(self) -> str:
        """What `published.toml` calls it."""
        return f"{self.metric}.{self.name}" if self.name else self.metric


def _fill(title: str, columns: Sequence[Column], rows: Sequence[Row], config: Config, where: tuple[str, str]) -> Table:
    """One line a system, ours first."""
    ours = [
        [system_name(config, system), *(number(find(rows, system, c.metric, where, c.name), c.interval) for c in columns)]
        for system in systems(rows, *where)
    ]
    human = [number(find(rows, "human", c.metric, where, c.name)) for c in columns]
    ours += [[HUMAN, *human]] if any(cell != "–" for cell in human) else []
    known = [row for row in published(config, *where) if any(c.key in row["scores"] for c in columns)]
    theirs = [[row["system"], *(plain(row["scores"].get(c.key)) for c in columns)] for row in known]
    sources = "; ".join(dict.fromkeys(row["source"] for row in known))
    notes = [f"Mean ± s.d. over {len(config.seeds)} seeds."] if len(config.seeds) > 1 else []
    notes += [f"Below ours, as published: {sources}."] if sources else []
    return Table(title, ["System", *(column.header for column in columns)], ours + theirs, " ".join(notes))


def differences_table(config: Config, rows: Sequence[Row], task: str) -> Table:
    """Every pair on every split: the difference with its interval, how likely by chance, and what could have been shown."""
    metric, name, _ = PAIRED[task]
    tests = ["bootstrap_p", "holm_p", *(["mcnemar_p"] if task == "emotions" else [])]
    lines = []
    for split, (first, second) in product(config.evaluation.splits, PAIRS):
        pair, where = f"{first}-{second}", (task, split)
        row = find(rows, pair, f"{metric}_difference", where, name)
        if row:
            found = [find(rows, pair, test, where, "" if test == "mcnemar_p" else name) for test in tests]
            cells = [number(row, interval=True), *map(p_value, found), number(find(rows, pair, "detectable", where, name))]
            lines.append([f"{SHORT[first]} − {SHORT[second]}, {split}", *cells])
    title = f"Difference in {'macro-F1' if task == 'emotions' else 'mean CCC'}"
    headers = ["Pair", title, *(P_VALUES[test] for test in tests), "Shows from"]
    note = (
        "p: of no difference, resampling speakers; Holm: the same, adjusted for all pairs of a split. Shows from: a set like "
        f"this one finds a true difference of that size in {config.evaluation.power:.0%} of cases."
    )
    return Table(f"{task.capitalize()}: differences on the same clips", headers, lines, note)


P_VALUES = {"bootstrap_p": "p", "holm_p": "Holm p", "mcnemar_p": "McNemar p"}
"""Tests of a difference, and how a person writes them."""


def p_value(row: Row | None) -> str:
    """As printed: never 0.000.

    >>> p_value({"value": 1e-9}), p_value({"value": 0.25}), p_value(None)
    ('< 0.001', '0.250', '–')
    """
    if row is None:
        return "–"
    return f"{row['value']:.3f}" if row["value"] >= 0.001 else "< 0.001"


def judge_table(config: Config, rows: Sequence[Row]) -> Table:
    """What asking the judge did to the labels."""
    keys = ("asked", "helped", "harmed", "moved")
    lines = []
    for split, system in product(config.evaluation.splits, JUDGED):
        where = ("emotions", split)
        coverage = find(rows, system, "coverage", where)
        if coverage:
            counts = [f"{row['value']:g}" if (row := find(rows, system, key, where)) else "–" for key in keys]
            policy = config.judge.policy if system == "judge" else system
            lines.append([f"{split}, {policy}", f"{coverage['value']:.1%}", *counts])
    headers = ["Split, policy", "Coverage", "Asked", "Helped", "Harmed", "Moved"]
    return Table("The judge", headers, lines, "Helped: wrong → right. Harmed: right → wrong. Moved: wrong → another wrong.")

"""Tables in the shape of the paper's Tables 1 and 2, as plain data: the report, Markdown and the terminal all print them."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import product
from typing import Any

from emojudge.checks import look
from emojudge.errors import ConfigError
from emojudge.evaluation import PAIRS, Row, find
from emojudge.inspection import Recording
from emojudge.runs import JUDGED, SYSTEMS, RunFolder
from emojudge.settings import Config
from emojudge.splits import draw_digest
from emojudge.statistics import table1
from emojudge.storage import read_jsonl
from emojudge.types import ATTRIBUTES, Utterance

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

AGREEMENT = {
    "raters": "Raters a clip",
    "unanimous": "Clips on which all agree",
    "entropy": "Entropy of the votes (bits)",
    "sd": "Standard deviation among raters",
    "alpha": "Krippendorff's alpha",
    "macro_f1": f"{HUMAN}: macro-F1",
    "uar": f"{HUMAN}: UAR",
    "accuracy": f"{HUMAN}: accuracy",
    "ccc": f"{HUMAN}: CCC",
    "macro_f1_to_label": "One rater, by the corpus's label: macro-F1",
    "uar_to_label": "One rater, by the corpus's label: UAR",
    "accuracy_to_label": "One rater, by the corpus's label: accuracy",
    "ccc_to_label": "One rater, by the corpus's value: CCC",
}
"""Measures of agreement, in the order of the table."""


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


def tables(run: RunFolder, rows: Sequence[Row]) -> list[Table]:
    """Results by task and split, differences, the judge, and the data; whatever `rows` hold.

    Args:
        run: the run, for its settings and manifest.
        rows: what `emojudge.evaluation.evaluate` returned.
    """
    made = []
    for task in run.config.tasks:
        for split in run.config.evaluation.splits:
            made += [
                results_table(run.config, rows, task, split),
                pearson_table(run.config, rows, split) if task == "attributes" else None,
            ]
        made.append(differences_table(run.config, rows, task))
    made += [judge_table(run.config, rows), data_table(list(read_jsonl(run.manifest_file(), Utterance)), run.config)]
    return [table for table in made if table and table.rows]


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
    """Rows of `published.toml` for the corpus that `evaluation.published` names; none where it names none.

    Raises:
        ConfigError: nothing is published there for that corpus.
    """
    corpus = config.evaluation.published
    if corpus is None:
        return []
    known = tomllib.loads(files("emojudge").joinpath("published.toml").read_text(encoding="utf-8"))["row"]
    if corpus not in {row["corpus"] for row in known}:
        names = ", ".join(sorted({row["corpus"] for row in known}))
        raise ConfigError(f"evaluation.published = {corpus!r} has no published figures; there are some for {names}.")
    return [row for row in known if (row["corpus"], row["task"], row["split"]) == (corpus, task, split)]


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
    theirs = [
        [row["system"], *(f"{row['scores'][c.key]:.3f}" if c.key in row["scores"] else "–" for c in columns)] for row in known
    ]
    sources = "; ".join(dict.fromkeys(row["source"] for row in known))
    notes = [f"Mean ± s.d. over {len(config.seeds)} seeds."] if len(config.seeds) > 1 else []
    notes += [f"Below ours, as published: {sources}."] if sources else []
    return Table(title, ["System", *(column.header for column in columns)], ours + theirs, " ".join(notes))


def differences_table(config: Config, rows: Sequence[Row], task: str) -> Table:
    """Every pair on every split: the difference with its interval, and for labels the exact McNemar p."""
    emotions = task == "emotions"
    metric, name = ("macro_f1_difference", "") if emotions else ("ccc_difference", "mean")
    lines = []
    for split in config.evaluation.splits:
        for first, second in PAIRS:
            pair, where = f"{first}-{second}", (task, split)
            row = find(rows, pair, metric, where, name)
            if row:
                p = [p_value(find(rows, pair, "mcnemar_p", where))] if emotions else []
                lines.append([f"{SHORT[first]} − {SHORT[second]}, {split}", number(row, interval=True), *p])
    headers = ["Pair", f"Difference in {'macro-F1' if emotions else 'mean CCC'}", *(["McNemar p"] if emotions else [])]
    return Table(f"{task.capitalize()}: differences on the same clips", headers, lines)


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


def data_table(people: Sequence[Utterance], config: Config, heard: Mapping[str, Recording] | None = None) -> Table:
    """The paper's Table 1: share of each label in each split; clips, speakers and hours below. With folds, the whole."""
    form = {"share": "{:.2%}", "count": "{:,.0f}", "hours": "{:.2f}"}
    if config.data.folds:
        people = [replace(u, split="all") for u in people]
    heard = look(people) if heard is None else heard
    rows = [row for row in table1(people, config.data.labels, heard) if any(row.values.values())]
    headers = ["Label", *(rows[0].values if rows else ())]
    lines = [[row.name, *(form[row.unit].format(value) for value in row.values.values())] for row in rows]
    notes = ["Shares are of the clips that have a label."] if any(row.unit == "share" for row in rows) else []
    if config.data.dev2:
        notes.append(f"dev+dev2 is dev before the draw; the digest of dev2's ids is {draw_digest(people, 'dev2')[:16]}.")
    return Table(f"The data ({config.data.corpus})", headers, lines, " ".join(notes))


def agreement_table(rows: Sequence[Row]) -> Table:
    """How far raters agree (`emojudge.agreement.rows`): a line a measure, a column for emotions and each attribute."""
    columns = list(dict.fromkeys((row["task"], row["class"]) for row in rows))
    known = {(row["metric"], row["task"], row["class"]): row["value"] for row in rows}
    lines = []
    for metric, name in AGREEMENT.items():
        values = [known.get((metric, *column)) for column in columns]
        if any((metric, *column) in known for column in columns):
            lines.append([name, *("–" if value is None else f"{value:.3f}" for value in values)])
    missing = any(row["metric"] == "alpha" and row["value"] is None for row in rows)
    notes = [f"Of {max(row['n'] for row in rows):,} clips that several raters judged."]
    notes += ["Alpha needs: pip install 'emojudge[agreement]'."] if missing else []
    return Table("How far raters agree", ["Measure", *(name or "emotion" for _, name in columns)], lines, " ".join(notes))

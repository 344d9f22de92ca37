"""Tables about a corpus: the paper's Table 1, and how far raters agree."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from emojudge.checks import look
from emojudge.evaluation import Row
from emojudge.inspection import Recording
from emojudge.settings import Config
from emojudge.splits import draw_digest
from emojudge.statistics import table1
from emojudge.tables import HUMAN, Table
from emojudge.types import Utterance

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

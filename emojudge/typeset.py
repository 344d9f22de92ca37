"""Every table of a run as Markdown, LaTeX and CSV: `tables.md`, `tables.tex` and `tables/*.csv`."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from emojudge.corpus_tables import data_table
from emojudge.details import details
from emojudge.evaluation import Row
from emojudge.runs import RunFolder
from emojudge.storage import atomic, read_json, read_jsonl
from emojudge.tables import Table, headline_table, result_tables, to_markdown
from emojudge.types import Utterance

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"} | {"<": "$<$", ">": "$>$", "|": r"\textbar{}"}
LATEX |= {"−": "$-$", "–": "--", "±": r"$\pm$", "Δ": r"$\Delta$", "→": r"$\rightarrow$", "≥": r"$\geq$"}
"""What LaTeX would misread, and the signs that our tables use and its fonts may lack."""

NUMBER = re.compile(r"[-+]?[\d.,]+%?( ± [\d.]+)?( \[[-\d., ]+\])?")
"""A cell that our own figures make; a spreadsheet cannot run it."""


def write(run: RunFolder, rows: Sequence[Row]) -> None:
    """Write every table of an evaluated run in three forms; tables/ holds what is current, and nothing else."""
    scored = {task: {row["split"] for row in rows if row["task"] == task} for task in run.config.tasks}
    # Of a single split it would say what its table of results says.
    headlines = [headline_table(run.config, rows, task) for task, splits in scored.items() if len(splits) > 1]
    made = [*headlines, *tables(run, rows), *details(run.config, rows)]
    notice = read_json(run.file("run.json")).get("notice", "")
    markdown = [f"**{notice}**\n"] if notice else []
    _write(run.file("tables.md"), "\n".join([*markdown, *map(to_markdown, made)]))
    latex = [f"% {notice}"] if notice else []
    _write(run.file("tables.tex"), "\n".join([r"% needs \usepackage{booktabs}", *latex, "", *map(to_latex, made)]))
    folder = run.file("tables")
    stale = set(folder.glob("*.csv")) - {folder / f"{slug(table.title)}.csv" for table in made}
    for table in made:
        write_csv(table, folder / f"{slug(table.title)}.csv")
    for path in stale:
        path.unlink()


def tables(run: RunFolder, rows: Sequence[Row]) -> list[Table]:
    """Results by task and split, differences, the judge, and the data; whatever `rows` hold.

    Args:
        run: the run, for its settings and manifest.
        rows: what `emojudge.evaluation.evaluate` returned.
    """
    data = data_table(list(read_jsonl(run.manifest_file(), Utterance)), run.config)
    return [table for table in (*result_tables(run.config, rows), data) if table.rows]


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def slug(title: str) -> str:
    """A title as the name of a file or label.

    >>> slug("Emotions, test: Pearson's r")
    'emotions-test-pearson-s-r'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def to_latex(table: Table) -> str:
    r"""The table for the package booktabs, first column left, others right, with a caption, a label and its note.

    >>> print(to_latex(Table("Two", ["System", "F1"], [["a_b", "0.5 ± 0.1"]])))
    \begin{table}
    \centering
    \caption{Two}
    \label{tab:two}
    \begin{tabular}{lr}
    \toprule
    System & F1 \\
    \midrule
    a\_b & 0.5 $\pm$ 0.1 \\
    \bottomrule
    \end{tabular}
    \end{table}
    <BLANKLINE>
    """
    head, *body = (" & ".join(map(escape, line)) + r" \\" for line in (table.headers, *table.rows))
    note = [rf"\par\smallskip\footnotesize {escape(table.note)}"] if table.note else []
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape(table.title)}}}", rf"\label{{tab:{slug(table.title)}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(table.headers) - 1)}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *note, r"\end{table}", ""])


def escape(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    >>> escape("50% of a_b & c\\d")
    '50\\% of a\\_b \\& c\\textbackslash{}d'
    """
    return "".join(LATEX.get(sign, sign) for sign in " ".join(text.split()))


def write_csv(table: Table, path: Path) -> None:
    """The cells as printed, UTF-8; what a spreadsheet might take for a formula gets an apostrophe before it."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([harmless(cell) for cell in line] for line in (table.headers, *table.rows))


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs.

    >>> harmless("=1+1"), harmless("-0.026 [-0.049, 0.002]"), harmless("+cmd")
    ("'=1+1", '-0.026 [-0.049, 0.002]', "'+cmd")
    """
    return f"'{cell}" if cell.lstrip()[:1] in tuple("=+-@＝＋－＠") and not NUMBER.fullmatch(cell) else cell

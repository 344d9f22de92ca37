"""Every table of a run in three forms."""

import csv
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emojudge.details import confusion_table, details, label_table
from emojudge.evaluation import evaluate, find
from emojudge.tables import Table, headline_table
from emojudge.typeset import escape, harmless, slug, tables, to_latex, write, write_csv
from tests.made_up_run import made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("run"), clips=300, evaluation={"resamples": 50, "published": "msp_podcast"})


@pytest.fixture(scope="module")
def rows(run):
    return evaluate(run)


def test_every_table_is_written_three_times_and_nothing_old_stays(run, rows):
    run.file("tables").mkdir(exist_ok=True)
    (run.file("tables") / "of-yesterday.csv").write_text("old")
    write(run, rows)
    made = [*tables(run, rows), *details(run.config, rows)]
    markdown, latex = (run.file(name).read_text(encoding="utf-8") for name in ("tables.md", "tables.tex"))
    files = {path.stem for path in run.file("tables").glob("*.csv")}
    headlines = {"emotions-every-system-on-every-split", "attributes-every-system-on-every-split"}
    assert files == {slug(table.title) for table in made} | headlines, "each title makes a file of its own"
    for table in made:
        assert f"### {table.title}\n" in markdown and rf"\caption{{{escape(table.title)}}}" in latex
        with (run.file("tables") / f"{slug(table.title)}.csv").open(encoding="utf-8", newline="") as stream:
            found = list(csv.reader(stream))
        assert found == [list(table.headers), *(list(row) for row in table.rows)], "our own figures need no apostrophe"
    assert "nothing about people" in markdown.split("###")[0] and "nothing about people" in latex.split(r"\begin{table}")[0]


def test_latex_has_as_many_cells_as_columns(run, rows):
    for table in [*tables(run, rows), *details(run.config, rows)]:
        body = to_latex(table).split(r"\toprule")[1].split(r"\bottomrule")[0]
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) == len(table.rows) + 1
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(table.headers) - 1 for line in lines)


@given(st.text(max_size=40))
def test_no_text_can_command_latex_or_a_spreadsheet(text):
    told = escape(text)
    plain = re.sub(
        r"\\text(backslash|asciitilde|asciicircum|bar)\{\}|\\[&%$#_{}]|\$(-|<|>|\\pm|\\Delta|\\rightarrow|\\geq)\$", "", told
    )
    assert not set(plain) & set("\\&%$#_{}~^<>|\n")
    cell = harmless(text)
    assert cell == text or cell == f"'{text}"
    assert not re.match(r"\s*[=@]", cell) and not re.match(r"\s*[-+]\s*[A-Za-z(]", cell)


def test_formulas_of_others_are_only_text(tmp_path):
    hostile = [
        '=HYPERLINK("http://x")',
        "+1+cmd|' /C calc'!A0",
        "-2+3+cmd|x",
        "@SUM(A1)",
        "\t=1",
        "−0.5",
        "-0.026 [-0.049, 0.002]",
    ]
    write_csv(Table("x", ["name", "value"], [[cell, "-0.5"] for cell in hostile]), tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as stream:
        found = [row[0] for row in csv.reader(stream)][1:]
    assert found == [*(f"'{cell}" for cell in hostile[:5]), *hostile[5:]]


def test_the_headline_is_the_papers_table(run, rows):
    table = headline_table(run.config, rows, "emotions")
    assert table.headers[:4] == ["System", "Audio", "Text", "Judge"]
    assert [header.split()[0] for header in table.headers[4:]] == ["dev:", "dev:", "test:", "test:"]
    made = {row[0]: row for row in table.rows}
    assert made["Audio"][1:4] == ["whisper:base", "–", "–"] and made["Judged"][1:4] == [
        "whisper:base",
        run.config.text.encoder,
        "local",
    ]
    row = find(rows, "judge", "macro_f1", ("emotions", "test"))
    assert made["Judged"][4:7] == ["–", "–", f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"]
    assert made["WavLM-Large + RoBERTa-Large, judged"][4:] == ["0.429", "0.467", "0.339", "0.363"]
    named = headline_table(run.config, rows, "attributes")
    paper = next(row for row in named.rows if row[0] == "WavLM-Large + RoBERTa-Large")
    assert dict(zip(named.headers, paper, strict=True))["dev: Valence"] == "0.668", "by name, not by the paper's headings"


def test_details_hold_what_the_rows_say(run, rows):
    table = label_table(run.config, rows, "test")
    sad = next(row for row in table.rows if row[0] == "Sad")
    f1 = find(rows, "audio", "f1", ("emotions", "test"), "Sad")
    assert sad[1] == f"{f1['value']:.3f} [{f1['low']:.3f}, {f1['high']:.3f}]"
    counts = confusion_table(run.config, rows, "test", "fusion")
    diagonal = sum(float(row[k + 1].split()[0]) for k, row in enumerate(counts.rows))
    accuracy = find(rows, "fusion", "accuracy", ("emotions", "test"))
    assert diagonal == pytest.approx(accuracy["value"] * accuracy["n"])
    for row in counts.rows:
        assert sum(float(cell.split("(")[1].rstrip("%)")) for cell in row[1:]) == pytest.approx(100, abs=4)

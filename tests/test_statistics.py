"""Table 1, against the paper's own and a real corpus's."""

import pytest

from emojudge import manifest
from emojudge.checks import look
from emojudge.config import load_config
from emojudge.corpus_tables import data_table
from emojudge.settings import DataSettings
from emojudge.statistics import table1
from emojudge.types import EMOTIONS, Utterance

COUNTS = dict(zip(EMOTIONS, (5836, 2341, 6344, 987, 326, 542, 1459, 7423), strict=True))
"""Of MSP-Podcast's Development split, by the eight emotions (design/FORMATS.md)."""

PAPER = {"Angry": 23.11, "Sad": 9.27, "Happy": 25.12, "Surprise": 3.91, "Fear": 1.29, "Disgust": 2.15, "Contempt": 5.78} | {
    "Neutral": 29.39
}
"""Percentages of the paper's Table 1, column Development."""


def test_table_1(shared):
    chosen = DataSettings(corpus="ravdess", root=shared / "ravdess", labels=("Sad", "Neutral"))
    table = table1(found := manifest.read(chosen), chosen.labels, look(found))
    values = {row.name: row.values for row in table}
    assert values["Sad"] == pytest.approx({"train": 2 / 3, "dev": 2 / 3, "test": 2 / 3})
    assert values["Total files"] == {"train": 960, "dev": 240, "test": 240}
    assert values["No label"] == {"train": 768, "dev": 192, "test": 192}
    assert values["Speakers"] == {"train": 16, "dev": 4, "test": 4}
    assert sum(values["Hours"].values()) == pytest.approx(1.48, abs=0.02)


def test_the_papers_table_1_is_of_dev_before_the_draw_and_its_count_of_dev_after_it():
    dev = [Utterance(f"{name}{n}", text="x", split="dev", emotion=name) for name, count in COUNTS.items() for n in range(count)]
    before = {row.name: row.values for row in table1(dev, EMOTIONS)}
    assert before["Total files"] == {"dev": 25258}
    assert {name: round(100 * before[name]["dev"], 2) for name in EMOTIONS} == PAPER
    config = load_config(changes=["data.dev2=295"])
    table = data_table(manifest.arrange(dev, config.data), config)
    assert list(table.headers) == ["Label", "dev", "dev+dev2", "dev2"]
    rows = {name: cells for name, *cells in table.rows}
    assert rows["Total files"] == ["22,898", "25,258", "2,360"], "22,898, which the paper prints, is 2,360 short"
    assert {rows[name][2] for name in EMOTIONS} == {"12.50%"}
    assert rows["Fear"][:2] == ["0.14%", "1.29%"], "31 clips of Fear stay in dev"
    assert "digest of dev2's ids" in table.note

import itertools
import re
import sys
import time
from html.parser import HTMLParser

import pytest

from emojudge.aligned import read_results
from emojudge.config import load_config
from emojudge.errors import MissingExtra
from emojudge.evaluation import evaluate, find
from emojudge.exhibits import Scale, calibration
from emojudge.figures import training_curves
from emojudge.judged import examples, judged_clips, sweep
from emojudge.narrative import difference, judge_sentence, verdict
from emojudge.report import changed_settings, render, stage_seconds, write
from emojudge.storage import read_json, read_jsonl, write_json, write_jsonl
from emojudge.types import Utterance
from tests.made_up_run import INJECTION, made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = made_up_run(tmp_path_factory.mktemp("run"), clips=500, speakers=24, evaluation={"published": "msp_podcast"})
    people = list(read_jsonl(run.file("manifest.jsonl"), Utterance))
    vile = [Utterance(**{f: getattr(u, f) for f in u.__slots__} | {"text": INJECTION}) for u in people]
    write_jsonl(run.file("manifest.jsonl"), vile)  # whatever clip becomes an example carries it
    return run


@pytest.fixture(scope="module")
def page(run):
    evaluate(run)
    return write(run).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects tags and attributes, and notices elements that are not closed in order."""

    VOID = {"meta", "link", "img", "br", "hr", "input", "path", "use", "stop"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.elements = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]
        self.elements.append((tag, dict(attributes), tuple(self.open)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_is_well_formed_and_its_anchors_exist(page):
    reader = read(page)
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids), "figures must not share ids"
    anchors = {value[1:] for name, value in reader.attributes if name in ("href", "xlink:href") and value.startswith("#")}
    assert anchors and anchors <= set(reader.ids)


def test_transcripts_cannot_act(page):
    assert "&lt;script&gt;" in page
    reader = read(page)
    assert "script" not in reader.tags
    assert "default-src 'none'" in page
    assert not any(name.startswith("on") for name, _ in reader.attributes)


def test_nothing_is_fetched(page):
    reader = read(page)
    assert not {"link", "img", "iframe", "object", "embed"} & set(reader.tags)
    assert not any(
        name in ("src", "srcset", "poster", "action") or (name.endswith("href") and not value.startswith("#"))
        for name, value in reader.attributes
    )
    assert not re.search(r"@import|url\((?!#)", page)


def test_headings_go_down_by_one_and_the_page_has_its_landmarks(page):
    reader = read(page)
    levels = [int(tag[1]) for tag in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert reader.tags.count("main") == 1 and "nav" in reader.tags and 'lang="en"' in page
    first = next((tag, about) for tag, about, _ in reader.elements if tag == "a")
    assert first == ("a", {"class": "skip", "href": "#start"}), "the first stop of the keyboard skips to the results"


def test_everything_has_a_name(page):
    elements = read(page).elements
    regions = []
    for tag, about, within in elements:
        if tag == "svg":
            assert about["role"] == "img" and len(about["aria-label"]) > 30, "a figure says what it shows"
        if about.get("role") == "region":
            regions.append(about["aria-label"])
            assert about["tabindex"] == "0", "what scrolls can be reached by keyboard"
        if tag == "table" and "matrix" not in about.get("class", ""):
            after = elements[elements.index((tag, about, within)) + 1]
            assert after[0] == "caption"
        if tag == "th":
            assert about.get("scope") in ("col", "row")
        if tag == "input":
            assert within[-1] == "label"
    assert len(set(regions)) == len(regions)


def test_tables_scroll_inside_their_box(page):
    for tag, about, within in read(page).elements:
        if tag == "table" and about.get("class") not in (None, "stages"):
            assert "div" in within or "details" in within
    assert page.count('class="scroll"') >= page.count('<table class="ladder"')


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def mixed(one, two, share):
    return "#" + "".join(
        f"{round(int(one[k : k + 2], 16) * share + int(two[k : k + 2], 16) * (1 - share)):02x}" for k in (1, 3, 5)
    )


def test_text_stands_out_in_light_and_dark(page):
    light, dark = (
        dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6}|\.\d+%)", block))
        for block in re.findall(r":root \{(.*?)\}", page, re.DOTALL)[:2]
    )
    for mode in (light, dark):
        for text in ("ink", "muted", "warn"):
            for back in ("page", "surface", "soft"):
                assert contrast(mode[text], mode[back]) >= 4.5, (text, back)
        for system in ("audio", "text", "early", "fusion", "judge", "harm"):
            assert contrast(mode[system], mode["page"]) >= 3, system  # marks, beside their names
        for system in ("audio", "text", "early", "fusion", "judge"):
            for share in (0.25, 0.5, 0.75, 1):
                cell = mixed(mode[system], mode["soft"], share * float(mode["depth"][:-1]))
                assert contrast(mode["ink"], cell) >= 4.5, (system, share)


def test_the_filter_has_a_rule_for_every_emotion(run, page):
    ids = [about["id"] for tag, about, _ in read(page).elements if tag == "input"]
    assert ids == ["truth-all", *(f"truth-{k}" for k in range(len(run.config.data.labels)))]
    assert all(f":has(#{id}:checked)" in page for id in ids[1:])
    shown = {about["data-truth"] for tag, about, _ in read(page).elements if tag == "tr" and "data-truth" in about}
    assert shown <= {str(k) for k in range(len(run.config.data.labels))} and len(shown) > 1


def test_scores_after_temperature_scaling_are_shown_where_a_run_has_them(run, page):
    assert "temperature-scaled" in page
    rows = read_json(run.file("metrics.json"))["rows"]
    results, present = read_results(run, "emotions"), ["audio", "fusion", "judge"]
    plain = calibration(run.config, [row for row in rows if "+" not in row["system"]], results, "test", present)
    about = calibration(run.config, rows, results, "test", present)
    assert [name for name, _, _ in plain["scores"]] == ["Audio", "Fusion"] == list(about["series"])
    scaled = find(rows, "fusion+temperature", "ece", ("emotions", "test"))
    assert about["scores"][:2] == plain["scores"] and about["scores"][2][:2] == ("Fusion, temperature-scaled", "fusion")
    assert about["scores"][2][2][0] == f"{scaled['value']:.3f}"


def test_audio_is_inside_only_where_it_is_asked_for(run, page, tmp_path, monkeypatch):
    assert "<audio" not in page and "media-src" not in page
    monkeypatch.setattr(
        "emojudge.report.players", lambda clips, most: {clip.id: "data:audio/flac;base64,AAAA" for clip in clips[:most]}
    )
    loud = render(run, read_json(run.file("metrics.json"))["rows"], embed_audio=2)
    assert "; media-src data:" in loud
    players = [about for tag, about, _ in read(loud).elements if tag == "audio"]
    assert len(players) == 2 and all(about["src"].startswith("data:audio/flac") and about["aria-label"] for about in players)


def test_six_folds_and_two_seeds_make_a_small_page_soon(tmp_path):
    run = made_up_run(tmp_path, clips=720, speakers=48, folds=tuple("123456"), seeds=(0, 1), tasks=("emotions",), judge=False)
    evaluate(run)
    started = time.process_time()
    size = write(run).stat().st_size
    assert size < 3_000_000 and time.process_time() - started < 20
    assert (run.root / "model_card.md").exists()


def test_the_page_is_small_and_the_same_each_time(run, page):
    assert len(page.encode()) < 3_000_000
    assert render(run, read_json(run.file("metrics.json"))["rows"]) == page


def test_the_page_says_what_the_rows_say(run, page):
    rows = read_json(run.file("metrics.json"))["rows"]
    for system in ("audio", "text", "fusion", "judge"):
        assert f"{find(rows, system, 'macro_f1', ('emotions', 'test'))['value']:.3f}" in page
    assert "nothing about people" in page
    assert difference(find(rows, "fusion-audio", "macro_f1_difference", ("emotions", "test"))) in page
    assert "Challenge baseline" in page and "Interspeech 2025" in page
    assert "2 min 8 s" in page
    written = (run.root / "tables.md").read_text(encoding="utf-8")
    assert written.startswith("**The corpus is synthetic") and "\n### Emotions, dev\n" in written


def test_colours_are_the_pages_own(page):
    figures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert "var(--judge)" in figures and "var(--audio)" in figures
    assert not re.search(r"#0102[0-9a-f]{2}", figures)
    assert "<style" not in figures, "a figure's style would reach the whole page"


@pytest.mark.parametrize(
    "options",
    [
        {"judge": False},
        {"tasks": ("attributes",), "judge": False},
        {"folds": ("1", "2"), "seeds": (0, 1), "tasks": ("emotions",)},
        {"speakers": 1, "evaluation": {"splits": ("test",)}, "tasks": ("emotions",)},
        {"evaluation": {"resamples": 0}},
    ],
    ids=["no judge", "attributes", "folds and seeds", "one speaker", "no intervals"],
)
def test_every_kind_of_run_has_a_page(tmp_path, options):
    run = made_up_run(tmp_path, clips=200, **options)
    rows = evaluate(run)
    assert read(render(run, rows)).open == []


def test_a_run_with_nothing_to_score_says_so(tmp_path):
    run = made_up_run(tmp_path, clips=30, evaluation={"splits": ("test",)})
    people = [Utterance(u.id, u.audio, u.text, split="test") for u in read_jsonl(run.file("manifest.jsonl"), Utterance)]
    write_jsonl(run.file("manifest.jsonl"), people)
    assert "Nothing could be scored" in render(run, evaluate(run))


def test_a_run_without_logs_cues_or_stages_has_a_page(tmp_path):
    run = made_up_run(tmp_path, clips=100, tasks=("emotions",))
    for path in [run.file("cues.jsonl"), *run.root.rglob("log.jsonl")]:
        path.unlink()
    about = read_json(run.file("run.json"))
    write_json(run.file("run.json"), {"config": about["config"], "folds": []})
    assert "No training log was kept" in render(run, evaluate(run))


def test_without_the_extra_there_is_one_sentence(run, page, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"emojudge\[report\]"):
        render(run, [])


def row(low, value, high, metric="macro_f1_difference", system="fusion-audio"):
    return {"system": system, "metric": metric, "value": value, "low": low, "high": high}


def test_differences_in_words():
    assert difference(row(0.032, 0.061, 0.09)) == "Fusion beats audio by 6.1 points (95 % interval +3.2 to +9.0)."
    assert (
        difference(row(-0.02, 0.01, 0.04)) == "Fusion and audio cannot be told apart: +1.0 points (95 % interval −2.0 to +4.0)."
    )
    assert difference(row(-0.09, -0.061, -0.03)).startswith("Fusion falls short of audio by 6.1 points")
    assert difference(row(None, -0.061, None)).startswith("Fusion scores 6.1 points less than audio; too few")
    assert difference(row(0.01, 0.03, 0.05, "ccc_difference")) == "Fusion beats audio by 0.030 (95 % interval +0.010 to +0.050)."


def test_the_verdict_speaks_of_every_task_and_the_judge(run, page):
    rows = read_json(run.file("metrics.json"))["rows"]
    text = verdict(run, rows)
    assert "% of" in text and "macro-F1" in text and "mean CCC" in text and judge_sentence(run.config, rows) in text


def test_examples_are_some_of_each_kind(run):
    clips = judged_clips(read_results(run, "emotions"), "test")
    chosen = examples(clips, each=2)
    assert {clip.kind for clip in chosen} >= {"helped", "kept"} and len(chosen) <= 6
    for clip in chosen:
        assert (clip.final == clip.utterance.emotion) == (
            clip.kind == "helped" or (clip.kind == "kept" and clip.shown == clip.utterance.emotion)
        )


def test_the_sweep_meets_the_judged_and_the_unjudged_score(run, page):
    rows = read_json(run.file("metrics.json"))["rows"]
    points = dict(sweep(read_results(run, "emotions"), "test"))
    assert points[1.0] == pytest.approx(find(rows, "fusion", "macro_f1", ("emotions", "test"))["value"])
    near = min(points, key=lambda t: abs(t - run.config.judge.threshold))
    assert points[near] == pytest.approx(find(rows, "judge", "macro_f1", ("emotions", "test"))["value"])


def test_scales_hold_their_values():
    scale = Scale.around([-0.013, 0.286])
    assert scale.ticks[0] <= -0.013 and scale.ticks[-1] >= 0.286 and 0.0 in scale.ticks
    assert scale.at(scale.low) == 0 and scale.at(scale.high) == 100
    assert Scale.around([0.5]).ticks


def test_settings_that_differ_from_the_paper_are_listed():
    changed = {key: here for key, here, _ in changed_settings(load_config(changes=["audio.train=none", "judge.judge=local"]))}
    assert changed == {"audio.train": "none", "judge.judge": "local"}


def test_without_dev_clips_no_score_is_drawn():
    rows = [{"step": 1, "loss": 1.5, "score": -1.5}, {"step": 2, "loss": 1.2, "score": -1.2}]
    assert "Dev macro-F1" not in training_curves({"audio": [rows]}, "macro-F1")
    assert "Dev macro-F1" in training_curves({"audio": [[*rows, {"step": 3, "loss": 1.0, "score": 0.4}]]}, "macro-F1")


def test_stages_may_be_seconds_or_more():
    assert [s["seconds"] for s in stage_seconds({"a": 2, "b": {"seconds": 4.0}, "c": {"digest": "x"}})] == [2.0, 4.0]

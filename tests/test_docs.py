"""What the documents say is so: links, commands, settings, examples, generated pages."""

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from typer.main import get_command

from emojudge import judging, tiny_checkpoints
from emojudge.cli import app
from emojudge.config import all_keys, load_config
from emojudge.errors import ConfigError
from emojudge.prompts import build
from emojudge.settings import AudioSettings, Config, JudgeSettings, TranscriptSettings
from emojudge.types import Cues, Transcript

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("notes/*.md")])
EXPERIMENTS = sorted(ROOT.glob("experiments/**/*.toml"))
COMMAND = get_command(app)
KEYS = set(all_keys())
SECTIONS = {key.split(".")[0] for key in KEYS if "." in key}
FILES = {"json", "jsonl", "toml", "txt", "md", "py", "sqlite", "html", "safetensors"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
experiments = pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda path: path.stem)


def blocks(text):
    """(language, content) of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def prose(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def spans(text):
    """What stands between single backticks outside of blocks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(text))


def commands(page):
    """Every `emojudge …` that could be typed, in blocks, in backticks, and in an experiment's comments."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".toml":
        return re.findall(r"^#\s*(emojudge .*)$", text, flags=re.MULTILINE)
    lines = [line for _, block in blocks(text) for line in block.splitlines() if re.match(r"(\$ )?emojudge ", line)]
    return [*(line.removeprefix("$ ") for line in lines), *(span for span in spans(text) if re.match(r"emojudge \w[^…]*$", span))]


def parse(line):
    """Parse a command without running it; gives the verb and its parameters."""
    _, *words = shlex.split(line, comments=True)
    context = COMMAND.make_context("emojudge", list(words))
    name, verb, rest = COMMAND.resolve_command(context, words)
    if len(words) == 1:  # the verb is only spoken of
        return name, {}
    return name, verb.make_context(name, rest, parent=context).params


def slugs(page):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_is_something_to_check():
    assert len(PAGES) > 5
    assert sum(len(commands(page)) for page in PAGES) > 15


@pages
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert not anchor or anchor in slugs(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", [*PAGES, *EXPERIMENTS], ids=lambda path: path.name)
def test_commands_can_be_typed(page):
    for line in commands(page):
        _, parameters = parse(line)
        base = parameters.get("source") or parameters.get("run")
        known = base and base.suffix == ".toml" and (ROOT / base).exists()
        load_config(ROOT / base if known else None, parameters.get("set") or ())


def test_a_wrong_command_would_be_found():
    with pytest.raises(Exception, match="No such option"):
        parse("emojudge run x.toml --sett a=1")
    with pytest.raises(Exception, match="No such command"):
        parse("emojudge walk x.toml")


@pages
def test_settings_named_in_documents_exist(page):
    for span in spans(page.read_text(encoding="utf-8")):
        key, equals, _ = span.partition(" = ")
        if not re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)?", key) or key.split(".")[-1] in FILES:
            continue
        section, dot, _ = key.partition(".")
        if dot and section in SECTIONS:
            assert key in KEYS, f"there is no setting {key}"
        if equals and (key in KEYS or section in SECTIONS):
            load_config(changes=[span])


@pages
def test_experiments_in_documents_load(page, tmp_path):
    for language, block in blocks(page.read_text(encoding="utf-8")):
        if language == "toml" and SECTIONS & set(re.findall(r"^\[(\w+)\]$", block, re.MULTILINE)):
            (tmp_path / "x.toml").write_text(block, encoding="utf-8")
            assert load_config(tmp_path / "x.toml") != Config()


@experiments
def test_experiments_load(file):
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    assert load_config(file).name == content["name"] == file.stem


@pages
def test_python_in_documents_compiles(page):
    for language, block in blocks(page.read_text(encoding="utf-8")):
        if language == "python":
            compile(block, page.name, "exec")


def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current():
    for path, text in generate().pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date; run: make docs"


def test_a_stale_page_is_refused(monkeypatch, capsys):
    module = generate()
    monkeypatch.setattr(module, "pages", lambda: {ROOT / "docs" / "cli.md": "something else"})
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    assert module.main() == 1
    assert "docs/cli.md is out of date" in capsys.readouterr().err
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") != "something else"


def test_every_setting_is_explained():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(KEYS)
    assert all(len(told) > 5 for _, told in rows)


# -- what docs/judge.md says is tested


def named_tests(heading):
    """The rows of a table in docs/judge.md: what is held, and the tests named for it, as files and beginnings of their names."""
    section = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if re.match(r"\| [^-|]", line)]
    file, name = r"(?:benchmarks/)?\w+\.py", r"\b[a-z]+(?:_[a-z]+)+\b(?!\.py)"
    return [(row[0], re.findall(file, row[-1]), re.findall(name, row[-1])) for row in rows]


@pytest.mark.parametrize("heading", ["What is held, and by which test", "Faults, and their tests"])
def test_the_tests_named_for_the_judge_exist(heading):
    code = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py")}
    rows = named_tests(heading)
    assert len(rows) > 20
    for what, files, names in rows:
        assert files or names, f"{what}: no test is named"
        for file in files:
            assert (ROOT / file).exists() or file in code, f"{what}: there is no {file}"
        for name in names:
            assert any(f"def test_{name}" in text for text in code.values()), f"{what}: there is no test {name}"


def test_every_point_of_the_judges_specification_has_its_line():
    held = [what for what, _, _ in named_tests("What is held, and by which test")]
    assert held == [str(number) for number in range(1, 24)]


# -- the examples of docs/extend.md are run


def example(title):
    """The module under a heading of docs/extend.md."""
    section = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    code = next(block for language, block in blocks(section) if language == "python")
    module = ModuleType(title.replace(" ", "_"))
    exec(compile(code, "docs/extend.md", "exec"), module.__dict__)
    return module


def test_the_example_corpus(tmp_path):
    (tmp_path / "wav").mkdir()
    for name in ("b_W_1", "a_N_1"):
        (tmp_path / "wav" / f"{name}.wav").touch()
    first, second = example("Add a corpus").utterances(tmp_path)
    assert (first.id, first.speaker, first.emotion) == ("a_N_1", "a", "Neutral")
    assert second.emotion == "Angry"


def test_the_example_encoder():
    encoder = example("Add an encoder").open("8", AudioSettings(train="none"))
    clips = {name: np.random.default_rng(size).normal(size=size).astype("f4") for name, size in [("a", 1000), ("b", 4000)]}
    frames, mask = encoder.encode(list(clips.values()))
    assert frames.shape == (2, encoder.layers, 13, encoder.size)
    assert mask.sum(1).tolist() == [4, 13]
    alone, _ = encoder.encode([clips["a"]])
    assert torch.equal(alone[0], frames[0, :, :4])
    encoder.prepare(AudioSettings(train="none"))
    with pytest.raises(ConfigError, match="cannot learn"):
        encoder.prepare(AudioSettings(train="all"))


def test_the_example_transcriber(tmp_path):
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    (tmp_path / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    model = tiny_checkpoints.tiny_wav2vec2(tmp_path)
    Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json")).save_pretrained(model)
    torch.manual_seed(0)
    Wav2Vec2ForCTC.from_pretrained(model, pad_token_id=0).save_pretrained(model)
    ctc = example("Add a transcriber").open(str(model), TranscriptSettings(device="cpu"))
    clips = [np.random.default_rng(size).normal(0, 0.1, size).astype("f4") for size in (8000, 16000)] + [np.zeros(100, "f4")]
    found = ctc.transcribe(clips)
    assert found[0].text and found[0].confidence > 0 and found[2] == Transcript()
    assert found == ctc.transcribe(clips[::-1])[::-1] and ctc.fingerprint


def test_the_example_engine(monkeypatch):
    engine = example("Add an engine")
    monkeypatch.setattr(engine, "work", lambda task, shard: {"shard": shard})
    assert list(engine.run(None, iter([0, 1]), 1, 0.0)) == [{"shard": 0}, {"shard": 1}]


def test_the_example_judge(tmp_path, monkeypatch):
    settings = JudgeSettings()
    prompts = [
        build(id, text, Cues(id, 1.0), shown="Sad", labels=("Sad", "Happy"), settings=settings)
        for id, text in [("a", "I won!"), ("b", "Hm.")]
    ]
    answers = iter(["happy", "bored"])
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    person = example("Add a judge").open("ann", settings)
    found = list(judging.judge(prompts, person, tmp_path / "ledger.sqlite"))
    assert [(v.id, v.label, v.outcome, v.judge) for v in found] == [
        ("a", "Happy", "ok", "person:ann"),
        ("b", None, "invalid", "person:ann"),
    ]
    assert list(judging.judge(prompts, person, tmp_path / "ledger.sqlite")) == found, "asked twice"

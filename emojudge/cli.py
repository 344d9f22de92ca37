"""The command line: one verb per stage. Each imports its stage when called, so that --help answers at once."""

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from emojudge.distributed import together
from emojudge.output import print_json, show_comparison, show_data, show_mappings, show_plan, show_run
from emojudge.verbs import Corpus, Into, Json, Picture, Run, Set, Source, System, app, experiment, lost, verb


def tiny_experiment(source: Path | None, changes: list[str] | None, into: Path | None = None) -> Any:
    """The same, shrunk, for a `with`."""
    from emojudge.tiny import experiment

    return experiment(source, changes or [], into)


@verb
def run(
    source: Source,
    into: Into = None,
    set: Set = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="Try every stage in small: random tiny encoders, a few clips.")] = False,
    json: Json = False,
) -> int:
    """Do a whole experiment, from corpus to report. What is done already is skipped."""
    opened = tiny_experiment(source, set, into) if tiny else nullcontext(experiment(source, set, into))
    with opened as work, together(work.assist) as leads:
        if not leads:
            return 0
        work.everything()
    show_run(work, json)
    return lost(work)


@verb
def ablate(source: Source, into: Into = None, set: Set = None, json: Json = False) -> None:
    """Run an experiment and every variant in its [ablations], and compare them on the same clips."""
    from emojudge.ablation import ablate

    tables, lines = ablate(source, set or [], into)
    show_comparison(tables, lines, json)


@verb
def ensemble(
    into: Annotated[Path, typer.Argument(help="The run folder to fill.", show_default=False)],
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders, two or more.", show_default=False)],
    set: Set = None,
    json: Json = False,
) -> None:
    """Fuse the predictions of several runs, cross-fitted on dev, or averaged where there is no dev."""
    from emojudge.ensemble import ensemble

    work, tables, lines = ensemble(into, runs, set or [])
    show_comparison(tables, lines, json)
    print(f"Report: {work.run.file('report.html')}", file=sys.stderr if json else sys.stdout)


@verb
def prepare(source: Corpus = None, into: Into = None, set: Set = None, json: Json = False) -> None:
    """Read and check a corpus; write its manifest and splits."""
    work = experiment(source, set, into)
    work.prepare()
    show_data(work, work.utterances.values(), json)


@verb
def transcribe(run: Run, set: Set = None) -> None:
    """Write down what is said in every clip of a prepared run, with times, as transcripts.transcribe says.

    What was heard before, in this run or another, is not heard again.
    """
    work = experiment(run, set)
    work.prepare()
    work.transcribe(again=True)


@verb
def stats(source: Corpus = None, set: Set = None, picture: Picture = None, json: Json = False) -> None:
    """Count emotions, speakers and hours per split (paper Table 1), and say how far raters agree.

    The picture shows labels by split, durations, attributes and agreement. Nothing else is written.
    """
    work = experiment(source, set)
    utterances = list(work.utterances.values()) if source and source.is_dir() else work.look()
    if picture:
        from emojudge.portrait import save

        save(picture, utterances, work.config, work.files)
    show_data(work, utterances, json)


@verb
def cues(run: Run, set: Set = None) -> int:
    """Measure every voice: loudness, pitch, duration and rate, in numbers and words."""
    work = experiment(run, set)
    work.cues(again=True)
    return lost(work)


@verb
def train(run: Run, system: System, set: Set = None) -> int:
    """Train one model of a prepared run."""
    work = experiment(run, set)
    with together(work.assist) as leads:
        if leads:
            work.train(system, again=True)
        return lost(work) if leads else 0


@verb
def fuse(run: Run, set: Set = None) -> None:
    """Fit the fusion on dev predictions and fuse."""
    experiment(run, set).fuse(again=True)


@verb
def judge(
    run: Run,
    set: Set = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count requests, tokens and cost; ask nothing.")] = False,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Take recorded answers only; one that is missing is an error.")
    ] = False,
    json: Json = False,
) -> None:
    """Ask the judge about the clips that judge.ask selects. Nothing is asked twice."""
    work = experiment(run, set)
    if dry_run:
        estimates = work.estimate()
        print_json([asdict(one) for one in estimates]) if json else print("\n".join(map(str, estimates)))
    else:
        work.judge(again=True, frozen=frozen)


@verb
def refine(run: Run, set: Set = None) -> None:
    """Apply the verdicts by judge.policy and its gates. Nothing is asked, so it costs nothing."""
    experiment(run, set).refine(again=True)


@verb
def evaluate(
    run: Run,
    set: Set = None,
    allow_fitted: Annotated[bool, typer.Option("--allow-fitted", help="Also score clips that the fusion was fitted on.")] = False,
    json: Json = False,
) -> None:
    """Score every system with intervals, and write metrics.json."""
    work = experiment(run, set)
    work.evaluate(allow_fitted=allow_fitted, again=True)
    show_run(work, json)


@verb
def report(
    run: Run,
    embed_audio: Annotated[
        int,
        typer.Option(
            "--embed-audio", min=0, help="Let the page play at most N of its clips; many may not be passed on.", metavar="N"
        ),
    ] = 0,
) -> None:
    """Write report.html, tables.md and model_card.md."""
    print(experiment(run, None).report(again=True, embed_audio=embed_audio))


@verb
def submit(
    run: Run,
    split: Annotated[str, typer.Option("--split", help="Whose clips are handed in.")] = "test3",
    system: Annotated[str | None, typer.Option("--system", help="Whose predictions; without it, the last stage's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Which training, of several seeds.")] = None,
    json: Json = False,
) -> None:
    """Write the files of the Interspeech 2025 challenge, one a task, and check them against the manifest."""
    from emojudge.submission import submit

    show_mappings({"submission": submit(experiment(run, None).run, split, system, seed)}, json)


@verb
def say(
    clip: Annotated[Path, typer.Argument(help="A recording.", show_default=False)],
    run: Annotated[Path, typer.Option("--run", help="The run, or bundle, whose models speak.")] = Path("base"),
    text: Annotated[str | None, typer.Option("--text", help="What is said; without it, it is transcribed.")] = None,
    set: Set = None,
    json: Json = False,
) -> None:
    """Explain one clip, stage by stage.

    Shows the cues in words, both models, the fusion, the judge's verdict and reason, and seconds per stage.
    """
    from emojudge.pipeline import EmoJudge

    told = EmoJudge.load(run, set or []).explain(clip, text)
    if json:
        print_json(asdict(told))
    else:
        from emojudge.display import show_explanation

        show_explanation(told)


@verb
def list_(
    folder: Annotated[
        str | None, typer.Argument(help="corpora, transcribers, encoders, judges, writers, engines, prompts.")
    ] = None,
    json: Json = False,
) -> None:
    """Name every corpus, transcriber, encoder, judge, output format, engine and prompt."""
    from emojudge.catalogue import catalogue

    show_mappings(catalogue(folder), json)


@verb
def dev_server(
    port: Annotated[int, typer.Option("--port", help="On loopback; 0 takes a free one.")] = 8000,
    script: Annotated[Path | None, typer.Option("--script", help="A TOML of [[faults]]: see docs/judge.md.")] = None,
) -> None:
    """Run a test double of an OpenAI-compatible service: no model answers, nothing costs money. Stop it with Ctrl-C."""
    from emojudge.devserver import serve

    serve(port, script)


@verb
def doctor(
    plan: Annotated[Path | None, typer.Option("--plan", help="An experiment (TOML) whose memory to plan.")] = None,
    set: Set = None,
    json: Json = False,
) -> None:
    """Say what is installed, what is missing, and how to get it; or the memory that an experiment's training needs."""
    if plan:
        show_plan(plan, set, json)
        return
    from emojudge.catalogue import installed

    show_mappings({"EmoJudge": installed()}, json)


from emojudge import (  # noqa: E402 (they register their verbs)
    battery_verbs,  # noqa: F401
    bundle_verbs,  # noqa: F401
    comparison_verbs,  # noqa: F401
    export_verbs,  # noqa: F401
    handover_verbs,  # noqa: F401
    recording_verbs,  # noqa: F401
    service_verbs,  # noqa: F401
)


def main() -> None:
    """Entry point of the `emojudge` command."""
    app()

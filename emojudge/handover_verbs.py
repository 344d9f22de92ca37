"""Verbs for a judge elsewhere: what is under way, and questions and answers as files."""

from pathlib import Path
from typing import Annotated

import typer

from emojudge.output import show_mappings
from emojudge.verbs import Json, Run, Set, experiment, verb

Lines = Annotated[Path, typer.Argument(help="A file of JSON Lines.")]


@verb
def judge_export(run: Run, file: Lines = Path("requests.jsonl"), set: Set = None, json: Json = False) -> None:
    """Write the judge's unanswered requests as Batch JSON Lines, for somebody else to answer. Nothing is sent."""
    from emojudge import handover

    show_mappings({"requests": handover.export(*handover.of_run(experiment(run, set)), file)}, json)


@verb
def judge_import(run: Run, file: Lines, set: Set = None, json: Json = False) -> None:
    """Take in answers to exported requests: the Batch API's result lines, or those of `vllm run-batch`."""
    from emojudge import handover

    show_mappings({"answers": handover.take_in(*handover.of_run(experiment(run, set)), file)}, json)


@verb
def judge_record(
    run: Run,
    file: Lines = Path("answers.jsonl"),
    bare: Annotated[bool, typer.Option("--bare", help="Leave out ids and reasons, which may tell of the clips.")] = False,
    set: Set = None,
) -> None:
    """Write the run's answers as a recording, which `judge.judge = "replay:FILE"` takes instead of a model."""
    from emojudge import handover

    print(f"{handover.record(experiment(run, set).run.file('ledger.sqlite'), file, bare)} answers")


@verb
def judge_status(run: Run, set: Set = None, json: Json = False) -> None:
    """Say what the judge was asked, has answered and cost, and which batches are under way."""
    from emojudge import handover

    show_mappings({"judge": handover.status(*handover.of_run(experiment(run, set))[1:])}, json)


@verb
def judge_cancel(run: Run, set: Set = None) -> None:
    """Stop the batches under way. What they have answered is charged, and fetched by the next `emojudge judge`."""
    from emojudge import handover

    print(*handover.cancel(*handover.of_run(experiment(run, set))[1:]) or ["There is nothing to cancel."], sep="\n")

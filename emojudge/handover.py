"""What a person does about a judge: see how it stands, stop its batches, carry requests out and answers in, as files.

The files are the Batch API's JSON Lines, which `vllm run-batch` reads and writes too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emojudge.costs import Budget
from emojudge.errors import ConfigError, DataError
from emojudge.judges._batch_lines import join, write
from emojudge.judges._exchange import Exchange
from emojudge.judging import open_judge
from emojudge.ledger import Ledger
from emojudge.prompts import Prompt
from emojudge.settings import JudgeSettings
from emojudge.storage import atomic


def of_run(work: Any) -> tuple[list[Prompt], JudgeSettings, Path]:
    """What an `emojudge.experiment.Experiment` would ask in all, its judge's settings, and its ledger."""
    prompts = [prompt for part in work.run.parts() for question in work.prompts(part) for prompt in question.each()]
    return prompts, work.config.judge, work.run.file("ledger.sqlite")


def exchange(settings: JudgeSettings) -> Exchange:
    """The requests of the judge that the settings name; no key is needed, for nothing is sent.

    Raises:
        ConfigError: it is none of the OpenAI protocol.
    """
    name, _, model = settings.judge.partition(":")
    if name not in ("openai", "openai_batch") or not model:
        raise ConfigError(
            f'The requests of the judge {settings.judge!r} cannot be handed over; name a model as in "openai:gpt-4o".'
        )
    return Exchange(model, settings)


def export(prompts: Sequence[Prompt], settings: JudgeSettings, ledger: str | Path, path: str | Path) -> dict[str, int]:
    """Write the requests that have no answer yet; past the limits of one batch, into further files (-2, -3 and so on).

    Returns:
        How many requests there are in each file.
    """
    path, judge, files = Path(path), exchange(settings), dict[str, int]()
    with Ledger(ledger) as book:
        by_key = {prompt.key(judge.name): prompt for prompt in prompts}
        left = {key: prompt for key, prompt in by_key.items() if book.find(key) is None}
        book.intend(left, judge.name)
    while left:
        part = path.with_stem(f"{path.stem}-{len(files) + 1}") if files else path
        with atomic(part) as temporary, temporary.open("wb") as out:
            keys, _ = write(judge, left, out, most=settings.batch_size)
        files[str(part)] = len(keys)
        left = {key: left[key] for key in left.keys() - set(keys)}
    return files


def take_in(prompts: Sequence[Prompt], settings: JudgeSettings, ledger: str | Path, path: str | Path) -> dict[str, int]:
    """Keep the answers in a result file as if the judge had just given them; `emojudge judge` then goes on from there.

    An answer without a usable label is not kept, so that it may be given again.

    Returns:
        How many answers were kept, could not be used, were errors, and how many requests still have none.

    Raises:
        DataError: the file cannot be read, or holds what was not asked or answers twice; the rest of it is kept.
    """
    judge = exchange(settings)
    asked = {prompt.key(judge.name): prompt for prompt in prompts}
    try:
        with Path(path).open("rb") as lines:
            found = join(lines, asked)
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check the path.") from None
    replies = [judge.reply(asked[key], body) for key, body in found.answers.items()]
    usable = {reply.verdict.key: reply for reply in replies if reply.verdict.outcome == "ok"}
    with Ledger(ledger) as book:
        book.intend({key: asked[key] for key in usable}, judge.name)
        book.record(*usable.values())
        missing = sum(book.find(key) is None for key in asked)
    if found.wrong:
        raise DataError(f"{path} holds {found.wrong[0]}; {len(usable)} answers of it are kept. Export again, and answer that.")
    unusable = len(replies) - len(usable)
    return {"kept": len(usable), "unusable": unusable, "errors": len(found.errors), "still missing": missing}


def record(ledger: str | Path, path: str | Path, bare: bool = False) -> int:
    """Write every answer of a ledger as a recording (`Ledger.export`); how many.

    Raises:
        DataError: there is no ledger.
    """
    if not Path(ledger).exists():
        raise DataError(f"{ledger} does not exist, so there is nothing to record; judge first, with: emojudge judge RUN")
    with Ledger(ledger) as book:
        return book.export(path, bare)


def status(settings: JudgeSettings, ledger: str | Path) -> dict[str, Any]:
    """Requests, answers, tokens, dollars spent by today's price table, and the batches under way."""
    with Ledger(ledger) as book:
        spent = Budget(settings, book.used())
        return {**book.totals(), "dollars": round(spent.dollars, 4), "batches": book.under_way()}


def cancel(settings: JudgeSettings, ledger: str | Path) -> list[str]:
    """Stop every batch under way; what it has answered is charged, and fetched by the next `emojudge judge`.

    Returns:
        What the service calls them.

    Raises:
        ConfigError: the judge has no batches.
    """
    judge = open_judge(settings)
    if not hasattr(judge, "cancel"):
        raise ConfigError(f'The judge {settings.judge!r} has no batches; name one as in "openai_batch:gpt-4".')
    with Ledger(ledger) as book:
        judge.ledger = book
        return judge.cancel()

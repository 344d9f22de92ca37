"""Stage 5: who is asked, in what order, and that nothing is asked twice (paper 4.6; PAPER decision 15)."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from emojudge.costs import Budget, check_price
from emojudge.errors import ConfigError, ConsentError, DataError
from emojudge.ledger import Ledger
from emojudge.progress import track
from emojudge.prompts import Prompt, build
from emojudge.refine import margin
from emojudge.registry import resolve
from emojudge.settings import JudgeSettings
from emojudge.types import Cues, Prediction, Utterance, Verdict

SHARD = 256
"""Requests written down at a time; so many prompts are in memory, however many there are."""


def choose(
    ask: str, fused: Mapping[str, Prediction], audio: Mapping[str, Prediction], text: Mapping[str, Prediction]
) -> list[str]:
    """Ids of the predictions that are judged, in the order of `fused`.

    `ask` is "all", "conflict" (the models' labels differ), or "margin:T" (the two highest fused scores are less than T
    apart). A clip that one of the models did not see is in no conflict.

    >>> fused = {"a": Prediction("a", "fusion", {"Sad": 0.55, "Happy": 0.45})}
    >>> choose("margin:0.2", fused, {}, {}), choose("all", fused, {}, {})
    (['a'], ['a'])

    Raises:
        ConfigError: conflicts are asked for and there is only one model.
    """
    if ask == "all":
        return list(fused)
    if ask == "conflict":
        if not audio or not text:
            raise ConfigError('judge.ask = "conflict" needs an audio and a text model; with one, use judge.ask = "margin:0.2".')
        return [i for i in fused if i in audio and i in text and audio[i].label != text[i].label]
    limit = float(ask.removeprefix("margin:"))
    return [i for i, prediction in fused.items() if margin(prediction) < limit]


def prompts(
    ids: Iterable[str],
    utterances: Mapping[str, Utterance],
    cues: Mapping[str, Cues],
    fused: Mapping[str, Prediction],
    *,
    labels: Sequence[str],
    settings: JudgeSettings,
) -> Iterator[Prompt]:
    """One prompt for each id, built when it is wanted; of the utterance it sees text and gender only.

    Raises:
        DataError: a clip has no cues.
    """
    for i in ids:
        if i not in cues:
            raise DataError(f"There are no cues for {i}; measure them first with: emojudge cues")
        yield build(
            i, utterances[i].text, cues[i], shown=fused[i].label, labels=labels, settings=settings, gender=utterances[i].gender
        )


def open_judge(settings: JudgeSettings) -> Any:
    """The judge that `settings.judge` names, agreed to.

    It has `name`, `remote` (whether clips leave this machine), `recorded` (answers come from a file) and
    `judge(prompts: Sequence[Prompt]) -> Iterator[Reply]`, whose replies come as they arrive. It may have `shard` (how many
    prompts it wants at a time) and `ledger` (set before it is asked; then it writes its answers down itself, before it yields).

    Raises:
        UnknownName: there is no such judge.
        ConsentError: it is on another machine, and `settings.consent` is not given.
        BudgetError: it is there, its price is unknown, and `settings.allow_unknown_price` is not given.
    """
    module, argument = resolve("judges", settings.judge)
    opened = module.open(argument, settings)
    if opened.remote and not settings.consent:
        host = getattr(opened, "host", opened.name)
        raise ConsentError(
            f"The judge {settings.judge} would send transcripts and voice descriptions to {host}; "
            "agree with --set judge.consent=true, or use the judge local."
        )
    check_price(settings, opened.remote)
    return opened


def judge(
    asked: Iterable[Prompt], opened: Any, ledger: str | Path, total: int | None = None, settings: JudgeSettings | None = None
) -> Iterator[Verdict]:
    """Ask an opened judge, and yield one verdict for each prompt in its order.

    What the ledger knows is not asked again; an answer is in it before it is yielded. Stop at any time, and a later call
    goes on from there. Recorded answers need no ledger, and leave none. With `settings` its budget holds: a list of prompts
    is refused as a whole, before anything is asked.

    Raises:
        JudgeError: the ledger is in use, or the judge cannot go on.
        BudgetError: it would cost more than `settings` allows.
        AuthenticationError: the service refused the key.
    """
    with nullcontext() if opened.recorded else Ledger(ledger) as book:
        budget = Budget(settings, book.used()) if settings and book else None
        if budget and book and isinstance(asked, Sequence):
            budget.check(prompt for prompt in asked if book.find(prompt.key(opened.name)) is None)
        if hasattr(opened, "ledger"):
            opened.ledger = book
        yield from track(_in_order(asked, opened, book, budget), f"Asking {opened.name}", total)


def _in_order(asked: Iterable[Prompt], opened: Any, book: Ledger | None, budget: Budget | None) -> Iterator[Verdict]:
    """Shard by shard: look up, write down, ask, keep; equal requests are asked once."""
    asked, size = iter(asked), getattr(opened, "shard", SHARD)
    while shard := deque((prompt.key(opened.name), prompt) for prompt in islice(asked, size)):
        found = {key: book.find(key) if book else None for key, _ in shard}
        unknown = {key: prompt for key, prompt in shard if found[key] is None}
        if budget:
            budget.check(unknown.values())
        if book:
            book.intend(unknown, opened.name)
        yield from _flush(shard, found)
        for reply in opened.judge(list(unknown.values())) if unknown else ():
            if book and not hasattr(opened, "ledger"):
                book.record(reply)
            if budget:
                budget.add(reply)
            found[reply.verdict.key] = reply.verdict
            yield from _flush(shard, found)


def _flush(shard: deque[tuple[str, Prompt]], found: Mapping[str, Verdict | None]) -> Iterator[Verdict]:
    """Take from the front of `shard` what is answered."""
    while shard and (verdict := found[shard[0][0]]) is not None:
        yield replace(verdict, id=shard.popleft()[1].id)

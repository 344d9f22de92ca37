"""Stage 5: who is asked, in what order, and that nothing is asked twice (paper 4.6; PAPER decision 15)."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from emojudge.answers import Reply, vote
from emojudge.costs import Budget, check_price
from emojudge.errors import ConfigError, ConsentError, DataError, JudgeError
from emojudge.ledger import Ledger
from emojudge.progress import track
from emojudge.prompts import Prompt, build
from emojudge.refine import margin
from emojudge.registry import resolve
from emojudge.settings import JudgeSettings
from emojudge.types import Cues, Prediction, Utterance, Verdict

SHARD = 1024
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
    turned: bool = False,
) -> Iterator[Prompt]:
    """One prompt for each id, built when it is wanted; of the utterance it sees text and gender only.

    `turned` shows the labels in another order.

    Raises:
        DataError: a clip has no cues.
    """
    for i in ids:
        if i not in cues:
            raise DataError(f"There are no cues for {i}; measure them first with: emojudge cues")
        who = utterances[i]
        about: dict[str, Any] = {"labels": labels, "settings": settings, "gender": who.gender, "turned": turned}
        yield build(i, who.text, cues[i], shown=fused[i].label, **about)


def open_judge(settings: JudgeSettings) -> Any:
    """The judge that `settings.judge` names, agreed to.

    It has `name`, `remote` (whether clips leave this machine), `recorded` (answers come from a file) and
    `judge(prompts: Sequence[Prompt]) -> Iterator[Reply]`, whose replies come as they arrive. It may have `shard` (how many
    prompts it wants at a time) and `ledger` (set before it is asked; then it writes its answers down itself, before it yields),
    and `knows(prompt)` (whether an answer is recorded).

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
    """Ask an opened judge, and yield one verdict for each prompt in its order; samples of one prompt vote.

    What the ledger knows is not asked again; an answer is in it before it is yielded. Stop at any time, and a later call
    goes on from there. Recorded answers need no ledger, and leave none. With `settings` its budget holds: a list of prompts
    is refused as a whole, before anything is asked; and with `settings.repair` an invalid answer is asked for once more.

    Raises:
        JudgeError: the ledger is in use, or the judge cannot go on.
        BudgetError: it would cost more than `settings` allows.
        AuthenticationError: the service refused the key.
    """
    with nullcontext() if opened.recorded else Ledger(ledger) as book:
        budget = Budget(settings, book.used()) if settings and book else None
        if budget and book and isinstance(asked, Sequence):
            each = (one for prompt in asked for one in prompt.each())
            budget.check(one for one in each if book.find(one.key(opened.name)) is None)
        if hasattr(opened, "ledger"):
            opened.ledger = book
        work = _Work(opened, book, budget, repair=settings is not None and settings.repair)
        yield from track(work.verdicts(asked), f"Asking {opened.name}", total)


def frozen(asked: Sequence[Prompt], settings: JudgeSettings, ledger: str | Path) -> Iterator[Verdict]:
    """The verdicts that `judge` would give, from the ledger or the recording alone; nothing can be asked.

    Raises:
        JudgeError: some have no answer; how many, and the first.
    """
    opened = _stand_in(settings)
    with nullcontext() if opened.recorded or not Path(ledger).exists() else Ledger(ledger) as book:
        if not opened.recorded:
            opened.ledger = book
        missing = [p.id for p in asked if not opened.knows(p) and not all(map(opened.knows, p.each()))]
    if missing:
        raise JudgeError(
            f"{len(missing)} of {len(asked)} questions have no recorded answer, the first is about {missing[0]}; "
            "run without --frozen to ask, or with the settings of the recording."
        )
    yield from judge(asked, opened, ledger, len(asked), settings)


def _stand_in(settings: JudgeSettings) -> Any:
    """The recording that the settings name, or something with the name of their judge and no voice; it needs no key."""
    module, argument = resolve("judges", settings.judge)
    if hasattr(module, "named"):
        return Frozen(module.named(argument, settings))
    opened = module.open(argument, settings)
    return opened if opened.recorded else Frozen(opened.name)


@dataclass
class Frozen:
    """Stands for a judge that is not there; what the ledger does not know, it does not either."""

    name: str
    ledger: Ledger | None = None
    remote: bool = False
    recorded: bool = False

    def knows(self, prompt: Prompt) -> bool:
        """Whether there is an answer."""
        return self.ledger is not None and self.ledger.find(prompt.key(self.name)) is not None

    def judge(self, prompts: Sequence[Prompt]) -> Iterator[Reply]:
        """Refuse.

        Raises:
            JudgeError: always.
        """
        raise JudgeError(f"{len(prompts)} questions have no recorded answer, the first is about {prompts[0].id}.")


@dataclass
class _Work:
    """One judge at work: look up, write down, ask, keep; equal requests are asked once."""

    opened: Any
    book: Ledger | None
    budget: Budget | None
    repair: bool

    def verdicts(self, asked: Iterable[Prompt]) -> Iterator[Verdict]:
        """One for each prompt."""
        whole = deque[tuple[Prompt, int]]()
        answers = self._in_order(self._split(asked, whole))
        for first in answers:
            prompt, count = whole.popleft()
            yield first if count == 1 else vote(prompt, [first, *islice(answers, count - 1)], self.opened.name)

    def _split(self, asked: Iterable[Prompt], whole: deque[tuple[Prompt, int]]) -> Iterator[Prompt]:
        """The requests of each prompt; `whole` is told how many. A recording of the vote is taken as it is."""
        for prompt in asked:
            voted = hasattr(self.opened, "knows") and self.opened.knows(prompt)
            requests = [prompt] if voted else list(prompt.each())
            whole.append((prompt, len(requests)))
            yield from requests

    def _in_order(self, asked: Iterator[Prompt]) -> Iterator[Verdict]:
        """Shard by shard; what cannot be used waits until the rest is there, and is asked for once more."""
        while shard := deque((p.key(self.opened.name), p) for p in islice(asked, getattr(self.opened, "shard", SHARD))):
            prompts, found = dict(shard), dict[str, Verdict]()
            unusable: dict[str, Verdict] = {}
            for key, verdict in self._answers(prompts):
                held = unusable if self._repairable(prompts[key], verdict) else found
                held[key] = verdict
                yield from _flush(shard, found)
            again = {prompts[key].again().key(self.opened.name): key for key in unusable}
            for key, verdict in self._answers({key: prompts[first].again() for key, first in again.items()}):
                first = again[key]
                found[first] = replace(verdict if verdict.outcome == "ok" else unusable[first], key=first)
                yield from _flush(shard, found)

    def _repairable(self, prompt: Prompt, verdict: Verdict) -> bool:
        """Whether it is worth asking again; what is recorded once is not."""
        wanted = self.repair and verdict.outcome == "invalid" and prompt.schema is not None
        return wanted and (not hasattr(self.opened, "knows") or self.opened.knows(prompt.again()))

    def _answers(self, prompts: Mapping[str, Prompt]) -> Iterator[tuple[str, Verdict]]:
        """What the ledger knows, at once; then what the judge says, as it comes."""
        known = {key: verdict for key in prompts if self.book and (verdict := self.book.find(key))}
        yield from known.items()
        unknown = {key: prompt for key, prompt in prompts.items() if key not in known}
        if not unknown:
            return
        if self.budget:
            self.budget.check(unknown.values())
        if self.book:
            self.book.intend(unknown, self.opened.name)
        for reply in self.opened.judge(list(unknown.values())):
            if self.book and not hasattr(self.opened, "ledger"):
                self.book.record(reply)
            if self.budget:
                self.budget.add(reply)
            yield reply.verdict.key, reply.verdict


def _flush(shard: deque[tuple[str, Prompt]], found: Mapping[str, Verdict]) -> Iterator[Verdict]:
    """Take from the front of `shard` what is answered."""
    while shard and (verdict := found.get(shard[0][0])) is not None:
        yield replace(verdict, id=shard.popleft()[1].id)

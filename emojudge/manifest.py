"""From the settings to the utterances of a run: `load` reads a corpus as it is, `arrange` applies labels, splits and limit."""

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from emojudge.errors import DataError
from emojudge.registry import resolve
from emojudge.settings import DataSettings
from emojudge.storage import read_json
from emojudge.types import Utterance


def read(settings: DataSettings) -> list[Utterance]:
    """The utterances of a run: what `load` gives, arranged.

    Raises:
        DataError: the corpus is not there, is damaged or empty, or cannot be split as asked.
        UnknownName: there is no such corpus.
    """
    return arrange(load(settings), settings)


def load(settings: DataSettings) -> list[Utterance]:
    """Everything in the corpus under our label names, with `audio_root` and `label_map` applied."""
    corpus, argument = resolve("corpora", settings.corpus)
    root = Path(argument) if argument else settings.root
    if root is None:
        name = settings.corpus
        raise DataError(f"Where is the corpus {name}? Say so with --set data.root=FOLDER, or data.corpus={name}:FOLDER.")
    base = root if root.is_dir() else root.parent
    utterances = [_renamed(_rebased(item, base, settings.audio_root), settings.label_map) for item in corpus.utterances(root)]
    if not utterances:
        raise DataError(f"{root} holds no utterance of the corpus {settings.corpus}; check data.root.")
    return utterances


def arrange(utterances: Iterable[Utterance], settings: DataSettings) -> list[Utterance]:
    """Take away labels outside `settings.labels`, draw the splits if asked to, and keep to the limit."""
    known = [item if item.emotion in settings.labels else replace(item, emotion=None) for item in utterances]
    if settings.splits == "speaker":
        from emojudge.splits import speaker_split

        known = speaker_split(known, settings.split_shares, settings.seed)
    if settings.dev2:
        known = _with_dev2(known, settings.dev2, settings.seed)
    return known if settings.limit is None else _limited(known, settings.limit, settings.seed)


def _with_dev2(utterances: Sequence[Utterance], per_class: int, seed: int) -> list[Utterance]:
    """Hold a balanced draw from dev out as dev2, under the same seed always the same clips (decision 13)."""
    from emojudge.splits import balanced_draw

    drawn = {u.id for u in balanced_draw([u for u in utterances if u.split == "dev"], per_class, seed)}
    return [replace(u, split="dev2") if u.id in drawn else u for u in utterances]


def folds(utterances: Sequence[Utterance], settings: DataSettings) -> dict[str, set[str]]:
    """Whom each fold of `settings.folds` tests; none where there are no folds.

    Raises:
        DataError: the file cannot be read, or nobody can be left out at a time.
    """
    from emojudge import splits

    if settings.folds_file:
        return splits.read_folds(settings.folds_file)
    return splits.group_folds(utterances, settings.folds) if isinstance(settings.folds, str) else {}


def fold_names(settings: DataSettings, run: Path) -> tuple[str, ...]:
    """The folds of a run, as far as they are known before its corpus is read: by their file, or by its run.json."""
    if isinstance(settings.folds, str):
        return tuple(read_json(run / "run.json").get("folds", ())) if (run / "run.json").exists() else ()
    return tuple(folds((), settings))


def in_fold(utterances: Sequence[Utterance], test: Collection[str], settings: DataSettings) -> list[Utterance]:
    """The splits of the fold that tests `test`.

    Raises:
        LeakageError: a speaker is on both sides, and the folds are not published.
    """
    from emojudge import splits

    may_share = settings.folds_file is not None and splits.published(settings.folds_file)
    return splits.apply_fold(utterances, test, settings.fold_dev_share, settings.seed, may_share)


def notice(settings: DataSettings) -> str:
    """What every output on this corpus must say; empty for most."""
    return getattr(resolve("corpora", settings.corpus)[0], "NOTICE", "")


def _rebased(utterance: Utterance, base: Path, audio_root: Path | None) -> Utterance:
    if audio_root is None or utterance.audio is None or not Path(utterance.audio).is_relative_to(base):
        return utterance
    return replace(utterance, audio=str(audio_root / Path(utterance.audio).relative_to(base)))


def _renamed(utterance: Utterance, label_map: dict[str, str]) -> Utterance:
    if not label_map:
        return utterance
    votes: dict[str, float] = defaultdict(float)
    for name, count in utterance.votes.items():
        votes[label_map.get(name, name)] += count
    emotion = utterance.emotion and label_map.get(utterance.emotion, utterance.emotion)
    return replace(utterance, emotion=emotion, votes=dict(votes))


def _limited(utterances: Sequence[Utterance], limit: int, seed: int) -> list[Utterance]:
    """A seeded draw of at most `limit` of each class in each split, in the old order."""
    members = defaultdict(list)
    for number, utterance in enumerate(utterances):
        members[utterance.split, utterance.emotion].append(number)
    draw = random.Random(seed)
    kept = {number for group in members.values() for number in draw.sample(group, min(limit, len(group)))}
    return [utterance for number, utterance in enumerate(utterances) if number in kept]

"""From the settings to the utterances of a run, and the check at the border.

`load` reads a corpus as it is, `arrange` applies labels, splits and limit, `read` does both; `check` says what is
wrong or odd, and `table1` describes the splits as the paper's Table 1 does.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from emojudge.errors import DataError
from emojudge.registry import resolve
from emojudge.settings import DataSettings
from emojudge.types import SPLITS, Utterance

SHOWN = 5
"""Ids that a finding names; the rest is counted."""

FEW = 50
"""Clips of a class; where the draw of dev2 leaves fewer in dev, its score says little of that class (decision 13)."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What `check` found: `errors` make results wrong, `warnings` may be meant."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read(settings: DataSettings) -> list[Utterance]:
    """The utterances of a run.

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


def check(utterances: Sequence[Utterance], settings: DataSettings) -> Findings:
    """Look for what makes results wrong (errors) and what may not be meant (warnings).

    Takes what `load` gave (then labels outside the set are named) or what `read` gave (then they are gone).
    """
    counts = Counter(utterance.id for utterance in utterances)
    lost = [item for item in utterances if item.audio is not None and not _exists(item.audio)]
    spoken = any(item.text for item in utterances)  # a corpus without any transcript is one of audio alone
    wordless = [item for item in utterances if (spoken or item.audio is None) and not (item.text or "").strip()]
    found_errors = [
        _named("ids are not unique", [name for name, count in counts.items() if count > 1]),
        _named("stretches end before they begin, or begin before 0", _ids(u for u in utterances if _impossible(u))),
        *_classes_without_training(utterances, settings),
    ]
    found_warnings = [
        _named("recordings are not there and will be skipped", _ids(lost)),
        _named("transcripts are empty", _ids(wordless)),
        _named("speakers are in more than one split", _roaming(utterances)),
        *outside(utterances, settings),
        *_thin_splits(utterances, settings),
        *_drained(utterances, settings),
        _named("members of data.folds are in no utterance", _strangers(utterances, settings)),
    ]
    if lost and len(lost) == len(utterances):
        found_errors.append(
            f"None of the {len(lost)} recordings is there (as {lost[0].audio}); check data.root and data.audio_root."
        )
    return Findings(tuple(filter(None, found_errors)), tuple(filter(None, found_warnings)))


def _ids(utterances: Iterable[Utterance]) -> list[str]:
    return [utterance.id for utterance in utterances]


def _named(what: str, ids: Sequence[str]) -> str:
    """A finding about `ids`; empty if there are none.

    >>> _named("recordings are not there", ["a", "b"])
    '2 recordings are not there: a, b.'
    """
    shown = [name if name.isprintable() else ascii(name) for name in ids[:SHOWN]]
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{len(ids)} {what}: {', '.join(shown)}{more}." if ids else ""


def _exists(path: str) -> bool:
    """Whether a file is there; a name that no file can have is not."""
    try:
        return Path(path).is_file()
    except ValueError:
        return False


def _impossible(utterance: Utterance) -> bool:
    start = utterance.start or 0.0
    return start < 0 or (utterance.end is not None and utterance.end <= start)


def _roaming(utterances: Iterable[Utterance]) -> list[str]:
    """Speakers in more than one split: what is learnt of them in one helps in the other."""
    homes = defaultdict(set)
    for utterance in utterances:
        if utterance.speaker and utterance.split:
            homes[utterance.speaker].add(utterance.split)
    return [speaker for speaker, splits in homes.items() if len(splits) > 1]


def outside(utterances: Iterable[Utterance], settings: DataSettings) -> list[str]:
    """Labels that are not in the set, each with its clips."""
    clips = defaultdict(list)
    for utterance in utterances:
        if utterance.emotion and utterance.emotion not in settings.labels:
            clips[utterance.emotion].append(utterance.id)
    return [_named(f"clips are {label}, which data.labels lacks, and will have no label", ids) for label, ids in clips.items()]


def _by_split(utterances: Iterable[Utterance], settings: DataSettings) -> dict[str, Counter[str]]:
    """How often each split has each label of the set."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for utterance in utterances:
        if utterance.emotion in settings.labels:
            counts[utterance.split or ""][str(utterance.emotion)] += 1
    return counts


def _classes_without_training(utterances: Sequence[Utterance], settings: DataSettings) -> list[str]:
    counts = _by_split(utterances, settings)
    if settings.folds or not counts:
        return []
    if not any(utterance.split for utterance in utterances):
        return ["No utterance has a split; set data.splits = 'speaker', or name data.folds."]
    absent = [label for label in settings.labels if not counts["train"][label]]
    return [f"No clip of the split train is {', '.join(absent)}; leave that out of data.labels."] if absent else []


def _thin_splits(utterances: Sequence[Utterance], settings: DataSettings) -> list[str]:
    """Classes that are trained, but that dev or test cannot judge."""
    counts = _by_split(utterances, settings)
    trained = [label for label in settings.labels if counts["train"][label]]
    absent = {split: [label for label in trained if not counts[split][label]] for split in ("dev", "test")}
    return (
        []
        if settings.folds
        else [f"No clip of the split {split} is {', '.join(names)}." for split, names in absent.items() if names]
    )


def _drained(utterances: Sequence[Utterance], settings: DataSettings) -> list[str]:
    """Classes of which dev2 leaves few in dev."""
    left = _by_split(utterances, settings)["dev"] if settings.dev2 and not settings.limit else {}
    return [f"data.dev2 leaves {left[label]} clips of {label} in dev." for label in settings.labels if left and left[label] < FEW]


def _strangers(utterances: Iterable[Utterance], settings: DataSettings) -> list[str]:
    """Whom the folds name and the corpus lacks; a limited corpus may lack anyone."""
    if settings.folds_file is None or settings.limit:
        return []
    from emojudge.splits import names_of, read_folds

    named = set().union(*read_folds(settings.folds_file).values())
    return sorted(named.difference(*map(names_of, utterances)))


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of Table 1: `values` by split, in the unit "share" (of the labelled), "count" or "hours"."""

    name: str
    unit: str
    values: dict[str, float]


def table1(utterances: Sequence[Utterance], labels: Sequence[str], hours: bool = False) -> list[TableRow]:
    """Emotions, files, speakers and (`hours` reads each file's header) hours of each split, as the paper's Table 1."""
    splits = defaultdict(list)
    for utterance in utterances:
        splits[utterance.split or "none"].append(utterance)
    order = [*(name for name in SPLITS if name in splits), *sorted(set(splits) - set(SPLITS))]

    def row(name: str, unit: str, measure: Callable[[list[Utterance]], float]) -> TableRow:
        return TableRow(name, unit, {split: measure(splits[split]) for split in order})

    named = labels if any(item.emotion in labels for item in utterances) else ()
    rows = [row(label, "share", partial(_share, label=label, labels=labels)) for label in named]
    rows.append(row("No label", "count", lambda items: sum(item.emotion not in labels for item in items)))
    rows.append(row("Total files", "count", len))
    rows.append(row("Speakers", "count", lambda items: len({item.speaker for item in items if item.speaker})))
    if hours:
        rows.append(row("Hours", "hours", lambda items: sum(map(_seconds, items)) / 3600))
    return rows


def _share(utterances: Sequence[Utterance], label: str, labels: Sequence[str]) -> float:
    labelled = [utterance.emotion for utterance in utterances if utterance.emotion in labels]
    return labelled.count(label) / len(labelled) if labelled else 0.0


def _seconds(utterance: Utterance) -> float:
    """Length of a stretch, by its times or the file's header; 0 where neither tells."""
    if utterance.end is not None:
        return utterance.end - (utterance.start or 0.0)
    import soundfile

    try:
        return soundfile.info(utterance.audio).duration - (utterance.start or 0.0) if utterance.audio else 0.0
    except (soundfile.LibsndfileError, OSError):
        return 0.0

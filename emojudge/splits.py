"""Who trains, who chooses, who tests: speaker-disjoint draws, published folds, the paper's balanced Dev-2.

Every draw is seeded, keeps the order of the utterances, and returns new ones with `split` set.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

from emojudge.errors import DataError, LeakageError
from emojudge.storage import digest, read_json
from emojudge.types import Utterance

MAX_FOLDS = 100
"""Of leaving one out: each fold is a training (ours)."""


def speaker_split(utterances: Sequence[Utterance], shares: tuple[float, float, float], seed: int) -> list[Utterance]:
    """Draw train, dev and test so that no speaker is in two of them and each has about the classes of the whole.

    `shares` are those of train, dev and test; they are met as closely as whole speakers allow. An
    utterance without a speaker counts as a speaker of its own.

    Raises:
        DataError: too few speakers, at least three are needed.
    """
    groups = _speakers(utterances)
    if len(set(groups)) < 3:
        raise DataError(
            f"A speaker-disjoint split needs at least 3 speakers, not {len(set(groups))}; set data.splits = 'official'."
        )
    train, dev, test = (share / sum(shares) for share in shares)
    splits = np.full(len(utterances), "train", dtype=object)
    everyone = np.arange(len(utterances))
    tested = _draw(utterances, groups, everyone, test, seed)
    splits[tested] = "test"
    splits[_draw(utterances, groups, np.setdiff1d(everyone, tested), dev / (train + dev), seed)] = "dev"
    if not {"train", "dev"} <= set(splits):
        raise DataError(
            f"{len(set(groups))} speakers are too few for the shares {shares}; set data.split_shares nearer to each other."
        )
    return _with_splits(utterances, splits)


def read_folds(path: Path) -> dict[str, set[str]]:
    """The test members of each fold, from {"folds": {"1": ["Actor_01", ...]}}: speakers, ids or stems of file names.

    Raises:
        DataError: missing, not JSON, or of another shape.
    """
    folds = read_json(path).get("folds")
    if not isinstance(folds, dict) or not folds or not all(isinstance(test, list) and test for test in folds.values()):
        raise DataError(f'{path} holds no folds; write it as {{"folds": {{"1": ["a test speaker or id", ...]}}}}.')
    return {str(name): {str(member) for member in test} for name, test in folds.items()}


def published(path: Path) -> bool:
    """Whether a folds file says where its folds were published; these are taken as they are."""
    return bool(read_json(path).get("source"))


def group_folds(utterances: Sequence[Utterance], by: Literal["speaker", "session"]) -> dict[str, set[str]]:
    """The ids that each fold tests where one speaker, or one recording session, is left out at a time.

    Folds are called after whom they test, or numbered where such a name is none for a folder.

    >>> group_folds([Utterance("a", speaker="ann"), Utterance("b", speaker="bob")], "speaker")
    {'ann': {'a'}, 'bob': {'b'}}

    Raises:
        DataError: somebody's speaker or session is unknown, or there are less than 2 or more than 100.
    """
    groups = defaultdict(set)
    for utterance in utterances:
        groups[getattr(utterance, by)].add(utterance.id)
    unknown = groups.pop(None, set())
    if unknown:
        raise DataError(
            f"{len(unknown)} utterances (as {min(unknown)}) have no {by}, so none can be left out at a time; "
            "set data.splits, or write folds to a file."
        )
    if not 2 <= len(groups) <= MAX_FOLDS:
        raise DataError(f"Leaving one {by} out takes 2 to {MAX_FOLDS}, and here are {len(groups)}; set data.splits = 'speaker'.")
    names = sorted(groups)
    plain = all(re.fullmatch(r"\w[\w.-]*", name) for name in names)
    return {name if plain else str(number): groups[name] for number, name in enumerate(names, 1)}


def parted_speakers(utterances: Iterable[Utterance], folds: Mapping[str, Collection[str]]) -> list[str]:
    """Speakers whom some fold tests with a part of their clips, while it trains on the others.

    >>> parted_speakers([Utterance("a", speaker="ann"), Utterance("b", speaker="ann")], {"1": ["a"], "2": ["b"]})
    ['ann']
    """
    testing = defaultdict(set)
    for fold, members in folds.items():
        for member in members:
            testing[member].add(fold)
    tested = defaultdict(set)
    for utterance in utterances:
        if utterance.speaker:
            tested[utterance.speaker].add(frozenset().union(*(testing.get(name, ()) for name in names_of(utterance))))
    return [speaker for speaker, kinds in tested.items() if len(kinds) > 1]


def apply_fold(
    utterances: Sequence[Utterance], test: Collection[str], dev_share: float, seed: int, may_share: bool = False
) -> list[Utterance]:
    """Set the splits of one fold: members of `test` test, everyone else trains but for a part that becomes dev.

    That part is drawn by speaker. Where the fold itself has speakers on both sides, which `may_share` allows (EmoDB's
    published folds), or the speakers are unknown, it is drawn by clip. `dev_share` is its share of what is not test;
    0 draws none.

    Raises:
        DataError: `test` names nobody here.
        LeakageError: a speaker is on both sides.
    """
    tested = np.array([bool(names_of(utterance) & set(test)) for utterance in utterances], dtype=bool)
    if not tested.any():
        raise DataError(f"No utterance is in the fold of {sorted(test)[0]!r} and others; data.folds belongs to another corpus.")
    splits = np.where(tested, "test", "train").astype(object)
    rest = np.flatnonzero(~tested)
    groups = _speakers(utterances)
    both = set(groups[tested]) & set(groups[rest])
    if both and not may_share:
        one = utterances[int(np.flatnonzero(groups == min(both))[0])].speaker
        raise LeakageError(f"{len(both)} speakers (as {one}) are on both sides of a fold; give each wholly to one side.")
    if dev_share and len(rest):
        by_clip = bool(both) or len(set(groups[rest])) < 2
        splits[_draw(utterances, np.arange(len(utterances)) if by_clip else groups, rest, dev_share, seed)] = "dev"
    return _with_splits(utterances, splits)


def names_of(utterance: Utterance) -> set[str]:
    """What a fold may call an utterance: its speaker, its id, or the stem of its recording.

    >>> sorted(names_of(Utterance("b1", audio="wav/03a01Fa.wav", speaker="03")))
    ['03', '03a01Fa', 'b1']
    """
    names = {utterance.id}
    if utterance.speaker:
        names.add(utterance.speaker)
    if utterance.audio:
        names.add(Path(utterance.audio).stem)
    return names


def roaming(utterances: Iterable[Utterance]) -> list[str]:
    """Speakers in more than one split: what is learnt of them in one helps in the other.

    >>> roaming([Utterance("a", speaker="ann", split="train"), Utterance("b", speaker="ann", split="test")])
    ['ann']
    """
    homes = defaultdict(set)
    for utterance in utterances:
        if utterance.speaker and utterance.split:
            homes[utterance.speaker].add(utterance.split)
    return [speaker for speaker, splits in homes.items() if len(splits) > 1]


def balanced_draw(utterances: Sequence[Utterance], per_class: int, seed: int) -> list[Utterance]:
    """Draw `per_class` utterances of each emotion, as the paper's Dev-2 was held out from dev (3.1; decision 13).

    Raises:
        DataError: an emotion has fewer.
    """
    chosen: set[int] = set()
    random = np.random.default_rng(seed)
    for emotion in sorted({utterance.emotion for utterance in utterances if utterance.emotion}):
        members = [number for number, utterance in enumerate(utterances) if utterance.emotion == emotion]
        if len(members) < per_class:
            raise DataError(f"A balanced draw of {per_class} is not possible: {emotion} has {len(members)} clips; draw fewer.")
        chosen |= set(random.choice(members, per_class, replace=False).tolist())
    return [utterance for number, utterance in enumerate(utterances) if number in chosen]


def draw_digest(utterances: Iterable[Utterance], split: str) -> str:
    """SHA-256 of the ids of a split, in any order: two people who drew the same clips can tell.

    >>> draw_digest([Utterance("b", split="dev2"), Utterance("a", split="dev2")], "dev2")[:12]
    '0473ef2dc0d3'
    """
    return digest(sorted(utterance.id for utterance in utterances if utterance.split == split))


def _speakers(utterances: Sequence[Utterance]) -> np.ndarray:
    """A number for each utterance's speaker; those without one have a number of their own."""
    numbers: dict[tuple[str, str], int] = {}
    keys = [("speaker", u.speaker) if u.speaker else ("utterance", str(n)) for n, u in enumerate(utterances)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def _draw(utterances: Sequence[Utterance], groups: np.ndarray, among: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Indices of about `share` of `among`, in whole groups, stratified by emotion.

    The share is met as m of n folds, n at most 10 and at most the number of groups.
    """
    members = groups[among]
    count = len(np.unique(members))
    if count < 2:
        return among[:0]
    most = min(10, count)
    wanted = Fraction(share).limit_denominator(most)
    taken, folds = min(max(wanted, Fraction(1, most)), Fraction(most - 1, most)).as_integer_ratio()
    emotions = np.array([utterances[index].emotion or "" for index in among])
    if np.unique(emotions, return_counts=True)[1].max() < folds:
        emotions[:] = ""  # too few of each class to spread over the folds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a rare class need not be in every fold
        # with single clips as groups, StratifiedKFold does the same much faster
        kind = StratifiedKFold if count == len(among) else StratifiedGroupKFold
        parts = [part for _, part in kind(folds, shuffle=True, random_state=seed).split(among, emotions, members)]
    if not all(map(len, parts)):  # of few speakers, StratifiedGroupKFold may leave a fold empty
        parts = [part for _, part in GroupKFold(folds, shuffle=True, random_state=seed).split(among, emotions, members)]
    return among[np.sort(np.concatenate(parts[:taken]))]


def _with_splits(utterances: Sequence[Utterance], splits: np.ndarray) -> list[Utterance]:
    return [replace(utterance, split=str(split)) for utterance, split in zip(utterances, splits, strict=True)]

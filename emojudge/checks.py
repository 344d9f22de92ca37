"""The border check: what makes results wrong (errors) and what may not be meant (warnings), with ids named.

It sees a corpus before any stage does. Recordings are looked at as `data.verify` says.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from emojudge import inspection
from emojudge.audio import MAX_SECONDS
from emojudge.inspection import Recording
from emojudge.settings import DataSettings
from emojudge.splits import names_of, parted_speakers, published, read_folds, roaming
from emojudge.types import Utterance

SHOWN = 5
"""Ids that a finding names; the rest is counted."""

FEW = 50
"""Clips of a class; where the draw of dev2 leaves fewer in dev, its score says little of that class (decision 13)."""

FRAME_SECONDS = 0.025
"""What one frame of a speech encoder sees; in a shorter clip there is nothing to hear."""

SLACK_SECONDS = 0.05
"""How far a stretch may end behind its recording: times of segments are rounded."""

FASTEST, SLOWEST = 10.0, 0.2
"""Words a second. Nobody speaks so fast; and who speaks has said a word in five seconds (ours)."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""A word, or a character of a script that has no spaces."""
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
"""Control characters, and the sign that stands where a text was read in the wrong encoding."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What `check` found: `errors` make results wrong, `warnings` may be meant."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def look(utterances: Iterable[Utterance], verify: str = "headers") -> dict[str, Recording]:
    """The recordings of a corpus by path, each file once; `verify` as `data.verify`."""
    paths = dict.fromkeys(u.audio for u in utterances if u.audio is not None)
    return inspection.inspect(paths, verify != "presence", verify == "decoded")


def check(utterances: Sequence[Utterance], settings: DataSettings, files: Mapping[str, Recording] | None = None) -> Findings:
    """Look for what makes results wrong (errors) and what may not be meant (warnings).

    Takes what `manifest.load` gave (then labels outside the set are named) or what `manifest.read` gave (then they are
    gone). `files` is what `look` found of their recordings; without it, it is called.
    """
    files = look(utterances, settings.verify) if files is None else files
    counts = Counter(utterance.id for utterance in utterances)
    found_errors = [
        _named("ids are not unique", [name for name, count in counts.items() if count > 1]),
        _named("stretches end before they begin, or begin before 0", [u.id for u in utterances if _impossible(u)]),
        *_unheard(utterances, files),
        *_classes_without_training(utterances, settings),
        *_parted(utterances, settings, allowed=False),
    ]
    found_warnings = [
        *_of_recordings(utterances, files),
        *_of_transcripts(utterances, files),
        _named("speakers are in more than one split", roaming(utterances)),
        *outside(utterances, settings),
        *_thin_splits(utterances, settings),
        *_drained(utterances, settings),
        *_parted(utterances, settings, allowed=True),
        _named("members of data.folds are in no utterance", _strangers(utterances, settings)),
    ]
    return Findings(tuple(filter(None, found_errors)), tuple(filter(None, found_warnings)))


def _named(what: str, ids: Sequence[str]) -> str:
    """A finding about `ids`; empty if there are none.

    >>> _named("recordings are not there", ["a", "b"])
    '2 recordings are not there: a, b.'
    """
    shown = [name if name.isprintable() else ascii(name) for name in ids[:SHOWN]]
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{len(ids)} {what}: {', '.join(shown)}{more}." if ids else ""


# -- recordings


def _impossible(utterance: Utterance) -> bool:
    start = utterance.start or 0.0
    return start < 0 or (utterance.end is not None and utterance.end <= start)


def _unheard(utterances: Sequence[Utterance], files: Mapping[str, Recording]) -> Iterator[str]:
    """Whether no recording at all is there."""
    if utterances and all(u.audio is not None and files[u.audio].size is None for u in utterances):
        lost = f"None of the {len(utterances)} recordings is there (as {utterances[0].audio})"
        yield f"{lost}; check data.root and data.audio_root."


def _of_recordings(utterances: Sequence[Utterance], files: Mapping[str, Recording]) -> Iterator[str]:
    """Files that are not there, cannot be read or are not whole; lengths that cannot be; the same sound twice."""
    spoken = [(u, files[u.audio]) for u in utterances if u.audio is not None]
    yield _named("recordings are not there and will be skipped", [u.id for u, file in spoken if file.size is None])
    faults = [(u.id, file.fault) for u, file in spoken if file.fault]
    if faults:
        yield f"{_named('recordings cannot be read and will be skipped', [name for name, _ in faults])} The first: {faults[0][1]}"
    short = "recordings lack sound that their header promises; what is there is used"
    yield _named(short, [u.id for u, file in spoken if file.missing])
    yield _named("recordings are silent (every sample is zero)", [u.id for u, file in spoken if file.silent])
    timed = [(u, u.start or 0.0, file.seconds) for u, file in spoken if file.seconds is not None and not _impossible(u)]
    late = "stretches begin after their recording ends and will be skipped"
    yield _named(late, [u.id for u, start, seconds in timed if start >= seconds > 0])
    over = "stretches end after their recording does; what is there is used"
    yield _named(over, [u.id for u, start, seconds in timed if start < seconds < (u.end or 0) - SLACK_SECONDS])
    lengths = [(u.id, (seconds if u.end is None else min(u.end, seconds)) - start) for u, start, seconds in timed]
    long = f"clips are longer than {MAX_SECONDS:.0f} s and will be skipped"
    yield _named(long, [name for name, length in lengths if length > MAX_SECONDS])
    brief = f"clips are shorter than {FRAME_SECONDS * 1000:.0f} ms, too short to be heard"
    yield _named(brief, [name for name, length in lengths if 0 <= length < FRAME_SECONDS])
    yield from _twins(utterances, files)


def _twins(utterances: Iterable[Utterance], files: Mapping[str, Recording]) -> Iterator[str]:
    """The same sound under several ids: one stretch named twice, or files with the same bytes."""
    first = {path: group[0] for group in inspection.twins(files) for path in group}
    same = defaultdict(list)
    for u in utterances:
        if u.audio is not None and files[u.audio].size:
            same[first.get(u.audio, u.audio), u.start, u.end].append(u)
    groups = [group for group in same.values() if len(group) > 1]
    yield _named(
        "recordings stand under several ids, with the same content", [" = ".join(u.id for u in group) for group in groups]
    )
    apart = [" = ".join(f"{u.id} ({u.split})" for u in group) for group in groups if len({u.split for u in group}) > 1]
    yield _named("recordings are in more than one split, under several ids", apart)


# -- transcripts


def _of_transcripts(utterances: Sequence[Utterance], files: Mapping[str, Recording]) -> Iterator[str]:
    """Those that are empty, hold what no text holds, or do not fit the length of what was said."""
    spoken = any(u.text for u in utterances)  # a corpus without any transcript is one of audio alone
    wordless = [u.id for u in utterances if (spoken or u.audio is None) and not (u.text or "").strip()]
    yield _named("transcripts are empty", wordless)
    odd = "transcripts hold control characters or U+FFFD: they were read in a wrong encoding"
    yield _named(odd, [u.id for u in utterances if u.text and _UNREADABLE.search(u.text)])
    fast, slow = [], []
    for u in utterances:
        length = inspection.length(u, files) if u.text and u.text.strip() else None
        if length:
            rate = len(_WORD.findall(str(u.text))) / length
            if rate > FASTEST:
                fast.append(u.id)
            elif rate < SLOWEST:
                slow.append(u.id)
    yield _named(f"transcripts have over {FASTEST:g} words a second: they may belong to another clip", fast)
    yield _named(f"transcripts have under {SLOWEST:g} words a second: they may not be whole", slow)


# -- labels, splits and speakers


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


def _parted(utterances: Sequence[Utterance], settings: DataSettings, allowed: bool) -> list[str]:
    """Speakers on both sides of a fold: allowed where the folds are published, elsewhere an error."""
    path = settings.folds_file
    if path is None or published(path) != allowed:
        return []
    return [_named("speakers are on both sides of a fold", parted_speakers(utterances, read_folds(path)))]


def _strangers(utterances: Iterable[Utterance], settings: DataSettings) -> list[str]:
    """Whom the folds name and the corpus lacks; a limited corpus may lack anyone."""
    if settings.folds_file is None or settings.limit:
        return []
    named = set().union(*read_folds(settings.folds_file).values())
    return sorted(named.difference(*map(names_of, utterances)))

"""A miniature of MSP-Podcast in its true layout, so that its loader and every row of Table 2 can be tried without it.

Its recordings are a few of RAVDESS where those are, else spoken by the corpus `synthetic`. The clips' emotions are those
of their recordings (RAVDESS's Calm stands for Contempt, which it lacks); attributes and votes are made up.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emojudge import audio
from emojudge.corpora import ravdess, synthetic
from emojudge.corpora._synthetic_plan import material, plan
from emojudge.corpora.msp_podcast import LABELS
from emojudge.offline import kept
from emojudge.types import EMOTIONS, Utterance

RECORDED = Path("../shared/data/ravdess")
"""Where RAVDESS is looked for."""

SPEAKERS = {"Train": slice(0, 10), "Development": slice(10, 16), "Test1": slice(16, 20), "Test2": slice(20, 24)}
"""Which of the 24 speakers each split has."""

CLIPS = {"Train": 2, "Development": 3, "Test1": 2, "Test2": 2}
"""Of each emotion; one of Development's is for Dev-2."""

CODES = {name: code for code, name in LABELS.items()}


def miniature() -> Path:
    """The folder of the miniature, made once and kept in the cache.

    Raises:
        MissingExtra: there is neither RAVDESS nor a synthesiser.
    """
    recorded = RECORDED.is_dir()
    return kept(f"miniature-{'ravdess' if recorded else 'synthetic'}-1", lambda folder: build(folder, _cast(recorded)))


def build(root: Path, cast: Sequence[tuple[str, Utterance]]) -> None:
    """Write the layout of the 2.0 release: 16 kHz recordings, labels, votes, transcripts, partitions and speakers.

    Args:
        root: an empty folder.
        cast: the split and the utterance of each clip; those of Test3 keep neither labels nor transcript.
    """
    if any(u.audio is None for _, u in cast):
        cast = _spoken(cast, root / "spoken")
    consensus, votes, numbers = [], [], dict[str, int]()
    for n, (split, u) in enumerate(cast, 1):
        speaker = numbers.setdefault(str(u.speaker), len(numbers) + 1)
        name = f"MSP-PODCAST_test3_{n:04d}" if split == "Test3" else f"MSP-PODCAST_{speaker:04d}_{n:04d}"
        _record(u, root / "Audios" / f"{name}.wav")
        if split == "Test3":
            continue
        row = {"FileName": f"{name}.wav", "EmoClass": CODES[str(u.emotion)], **_ratings(u, n)}
        row |= {"SpkrID": speaker, "Gender": str(u.gender).title(), "Split_Set": split}
        consensus.append(row)
        votes += [{"FileName": f"{name}.wav", "WorkerID": f"W{w}", "EmoClass_Major": v} for w, v in enumerate(_votes(u, n))]
        _write(root / "Transcripts" / f"{name}.txt", u.text or "")
    _table(root / "Labels" / "labels_consensus.csv", consensus)
    _table(root / "Labels" / "labels_detailed.csv", votes)
    _write(root / "Partitions.txt", "\n".join(f"{row['Split_Set']}; {row['FileName']}" for row in consensus))
    _write(root / "Speaker_ids.txt", "\n".join(f"{row['FileName']}; {row['SpkrID']}" for row in consensus))


def _cast(recorded: bool) -> list[tuple[str, Utterance]]:
    """Who says what in which split: each emotion equally often, one clip without agreement, one of another emotion."""
    if recorded:
        everyone = [replace(u, emotion="Contempt") if u.emotion == "Calm" else u for u in ravdess.utterances(RECORDED)]
    else:
        about = ("id", "text", "speaker", "gender", "emotion", "attributes")
        everyone = [Utterance(**{name: getattr(clip, name) for name in about}) for clip in plan()]
    speakers = list(dict.fromkeys(u.speaker for u in everyone))
    cast = []
    for split, members in SPEAKERS.items():
        for number, emotion in enumerate(EMOTIONS):
            said = [u for u in everyone if u.speaker in speakers[members] and u.emotion == emotion]
            cast += [(split, u) for u in _spread(said, CLIPS[split], number / len(EMOTIONS))]
    used = {u.id for _, u in cast}
    left = iter([u for u in everyone if u.speaker == speakers[0] and u.id not in used])
    cast += [("Train", replace(next(left), emotion=label)) for label in ("Other", "NoAgreement")]
    return [*cast, ("Test3", next(left)), ("Test3", next(left))]


def _spread(utterances: Sequence[Utterance], count: int, start: float) -> Iterator[Utterance]:
    """`count` of them, far from each other in the list and so by different speakers.

    >>> [u.id for u in _spread([Utterance(name) for name in "abcdef"], 2, 0.5)]
    ['b', 'e']
    """
    return (utterances[int((k + start) * len(utterances) / count)] for k in range(count))


def _spoken(cast: Sequence[tuple[str, Utterance]], folder: Path) -> list[tuple[str, Utterance]]:
    wanted = {u.id for _, u in cast}
    folder.mkdir(parents=True)
    synthetic.speak([clip for clip in plan() if clip.id in wanted], folder)
    return [(split, replace(u, audio=str(folder / "wav" / f"{u.id}.wav"))) for split, u in cast]


def _record(utterance: Utterance, path: Path) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.read(str(utterance.audio)), audio.SAMPLE_RATE, subtype="PCM_16")


def _ratings(utterance: Utterance, n: int) -> dict[str, float]:
    """The utterance's attributes, or what the corpus `synthetic` takes as typical of its emotion, moved about a little."""
    known = utterance.emotion if utterance.emotion in EMOTIONS else "Neutral"
    typical: Mapping[str, float] = utterance.attributes or material()["emotions"][known]["attributes"]
    columns = {"EmoAct": "arousal", "EmoVal": "valence", "EmoDom": "dominance"}
    return {column: round(min(typical[name] + n * k % 5 / 10, 7), 2) for k, (column, name) in enumerate(columns.items(), 1)}


def _votes(utterance: Utterance, n: int) -> list[str]:
    """What five raters chose."""
    if utterance.emotion == "NoAgreement":
        return list(EMOTIONS[:5])
    if utterance.emotion == "Other":
        return ["Other-Annoyed", "Other-Amused", "Other", "Neutral", "Sad"]
    return [str(utterance.emotion)] * 4 + [EMOTIONS[n % len(EMOTIONS)]]


def _table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")

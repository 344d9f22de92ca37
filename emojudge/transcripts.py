"""Automatic transcripts of a corpus that brings none, or of one clip (decision 25).

What a transcriber (`emojudge/transcribers/`) heard is kept in `transcripts.sqlite` in the cache folder, under its fingerprint
and the digest of the sound, batch by batch: a killed run goes on where it was, and a second one hears nothing again.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from emojudge import manifest
from emojudge.cache import Clip
from emojudge.errors import AudioError, DataError
from emojudge.inference import pick_device
from emojudge.offline import cache_folder
from emojudge.progress import track
from emojudge.registry import resolve
from emojudge.runs import RunFolder
from emojudge.settings import TranscriptSettings
from emojudge.storage import write_jsonl
from emojudge.types import Transcript, Utterance, transcript


class Transcriber(Protocol):
    """Writes down what is said."""

    @property
    def fingerprint(self) -> str:
        """Digest of the weights and of all that changes the output."""

    def transcribe(self, batch: Sequence[np.ndarray]) -> list[Transcript]:
        """What is said in each clip, float32 (samples,) at 16 kHz before any normalisation; alone or in a batch, the same."""


def open_transcriber(settings: TranscriptSettings) -> Transcriber:
    """The transcriber that `settings.transcribe` names.

    Raises:
        UnknownName: there is none of that name.
        MissingWeights, MissingExtra: what it needs is not installed.
    """
    module, argument = resolve("transcribers", settings.transcribe)
    return module.open(argument, settings.model_copy(update={"device": str(pick_device(settings.device))}))


def fill(run: RunFolder) -> list[Utterance]:
    """Transcribe a run's corpus and write transcripts.jsonl; give its utterances with what was heard in them.

    The corpus is read again for its own texts, since the manifest may hold what was heard before.
    """
    utterances = manifest.read(run.config.data)
    heard, skipped = hear(utterances, run.config.transcripts)
    write_jsonl(run.file("transcripts.jsonl"), (heard[u.id] for u in utterances if u.id in heard))
    run.skip(skipped)
    return [replace(u, text=heard[u.id].text) if u.id in heard else u for u in utterances]


def hear(utterances: Iterable[Utterance], settings: TranscriptSettings) -> tuple[dict[str, Transcript], dict[str, str]]:
    """Transcribe utterances that have audio, of like length side by side; what was heard before is not heard again.

    Returns:
        transcripts: id → what is said in it.
        skipped: id → why it could not be read.
    """
    rows = [u for u in utterances if u.audio and (settings.replace or not (u.text or "").strip())]
    clips = [Clip(u.id, str(u.audio), u.start, u.end) for u in rows]
    transcriber = open_transcriber(settings)
    with _opened(cache_folder() / "transcripts.sqlite") as known:
        keys, skipped = _keys(clips)
        missing = {keys[clip.id]: clip for clip in clips if clip.id in keys}
        missing = {key: clip for key, clip in missing.items() if _find(known, transcriber, key) is None}
        order = sorted(missing.items(), key=lambda pair: pair[1].seconds())
        size = settings.batch_size
        failed: dict[str, str] = {}
        for batch in track([order[i : i + size] for i in range(0, len(order), size)], "Transcribing"):
            failed |= _hear_batch(dict(batch), transcriber, known)
        skipped |= {id: failed[key] for id, key in keys.items() if key in failed}
        found = {id: _find(known, transcriber, key) for id, key in keys.items()}
    return {id: replace(one, id=id, source=settings.transcribe) for id, one in found.items() if one}, skipped


def _keys(clips: Sequence[Clip]) -> tuple[dict[str, str], dict[str, str]]:
    """The digest of each clip's sound, by id; and why others have none."""
    keys, skipped = {}, {}
    for clip in track(clips, "Reading"):
        try:
            keys[clip.id] = clip.key
        except DataError as error:
            skipped[clip.id] = str(error)
    return keys, skipped


def _hear_batch(batch: Mapping[str, Clip], transcriber: Transcriber, known: sqlite3.Connection) -> dict[str, str]:
    """Transcribe and keep one batch; return key → reason of those that could not be read."""
    sounds, failed = {}, {}
    for key, clip in batch.items():
        try:
            sounds[key] = clip.load()
        except AudioError as error:
            failed[key] = str(error)
    for key, one in zip(sounds, transcriber.transcribe(list(sounds.values())), strict=True):
        row = (transcriber.fingerprint, key, json.dumps(asdict(one), ensure_ascii=False))
        known.execute("INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?)", row)
    known.commit()
    return failed


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The store; several processes may have it open.

    Raises:
        DataError: it is no database, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=60)) as known:
            table = "transcripts (transcriber TEXT, sound TEXT, row TEXT NOT NULL, PRIMARY KEY (transcriber, sound))"
            known.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            yield known
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be used ({error}); delete it, and what it held is heard again.") from None


def _find(known: sqlite3.Connection, transcriber: Transcriber, key: str) -> Transcript | None:
    question = "SELECT row FROM transcripts WHERE transcriber = ? AND sound = ?"
    found = known.execute(question, (transcriber.fingerprint, key)).fetchone()
    return transcript(json.loads(found[0])) if found else None

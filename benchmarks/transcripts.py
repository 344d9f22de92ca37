"""How well transcribers hear real speech, how good their word times are, and how long they take.

    python benchmarks/transcripts.py --data ../shared/data

Clips of RAVDESS, EmoDB and nEMO whose sentences are known, drawn at random; a row for each corpus, transcriber and language,
given or heard ("–"). "right" are sentences without any error, case and punctuation aside; "in order" are clips whose word
times rise and lie within the clip. "joint" is the median distance of the first word of a second clip, joined behind a
first, from where its sound begins. CPU seconds are per second of sound. "(2 s)" has so much silence behind a clip, not 4.
"""

import argparse
import importlib.util
import re
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from emojudge import audio
from emojudge.audio import SAMPLE_RATE
from emojudge.manifest import read
from emojudge.settings import DataSettings, TranscriptSettings
from emojudge.transcribers import whisper
from emojudge.transcribers._words import FRAME, loud
from emojudge.transcripts import open_transcriber
from emojudge.types import Transcript, Utterance

PAIRS = 5
"""Clips that are joined, each to the next."""
OURS = ("whisper:offline", "faster_whisper:offline")
CORPORA = {"ravdess": "en", "emodb": "de", "nemo": "pl"}
HEADER = "| corpus | transcriber | language | heard so | word errors | right | confidence | in order | joint, ms | CPU s/s |"


def draw(corpus: str, root: Path, count: int) -> list[Utterance]:
    """A seeded draw from all clips that have a sentence."""
    labels = tuple({u.emotion for u in read(DataSettings(corpus=corpus, root=root)) if u.emotion})
    rows = [u for u in read(DataSettings(corpus=corpus, root=root, labels=labels)) if u.text]
    return Random(0).sample(rows, count)


def plain(text: str) -> str:
    """Words alone."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def word_errors(heard: Sequence[str], said: Sequence[str]) -> float:
    """Words wrong, missing and too many, as a share of those said."""
    from torchmetrics.functional.text import word_error_rate

    return float(word_error_rate(list(map(plain, heard)), list(map(plain, said))))


def in_order(found: Transcript, seconds: float) -> bool:
    """Whether its times rise and lie within the clip."""
    times = [time for word in found.words for time in (word.start, word.end)]
    return all(before <= after for before, after in pairwise([0.0, *times, seconds + 0.005]))


def joints(transcriber: Any, clips: Sequence[np.ndarray], said: Sequence[str]) -> list[float]:
    """Milliseconds between the sound and the first word of each second clip, joined behind the clip before it."""
    found = []
    for (first, second), (before, after) in zip(pairwise(clips), pairwise(map(plain, said)), strict=True):
        [heard] = transcriber.transcribe([np.concatenate([first, second])])
        if [plain(word.word) for word in heard.words] == f"{before} {after}".split():
            begins = len(first) / SAMPLE_RATE + loud(second).argmax() * FRAME
            found.append(1000 * abs(heard.words[len(before.split())].start - begins))
    return found


def measure(name: str, language: str | None, clips: Sequence[np.ndarray], said: Sequence[str], right: str) -> list[str]:
    """The cells of one row."""
    settings = TranscriptSettings(transcribe=name, language=language)
    transcriber = open_transcriber(settings)
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    heard: dict[int, Transcript] = {}
    started = time.process_time()
    for at in range(0, len(order), settings.batch_size):
        batch = order[at : at + settings.batch_size]
        heard |= zip(batch, transcriber.transcribe([clips[i] for i in batch]), strict=True)
    spent = (time.process_time() - started) / sum(map(len, clips)) * SAMPLE_RATE
    rows = [heard[i] for i in range(len(clips))]
    exact = sum(plain(row.text) == plain(text) for row, text in zip(rows, said, strict=True))
    orderly = sum(in_order(row, len(clip) / SAMPLE_RATE) for row, clip in zip(rows, clips, strict=True))
    apart = joints(transcriber, clips[:PAIRS], said[:PAIRS])
    return [
        f"{sum(row.language == right for row in rows)}/{len(rows)}",
        f"{word_errors([row.text for row in rows], said):.1%}",
        f"{exact}/{len(rows)}",
        f"{statistics.mean(row.confidence for row in rows):.2f}",
        f"{orderly}/{len(rows)}",
        f"{statistics.median(apart):.0f} ({len(apart)})" if apart else "–",
        f"{spent:.2f}",
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=Path("../shared/data"), help="a folder with ravdess, emodb and nemo")
    options.add_argument("--corpora", nargs="*", default=list(CORPORA), choices=CORPORA)
    options.add_argument("--clips", type=int, default=40)
    options.add_argument("--given", action="store_true", help="tell the language only, and do not also let it be heard")
    options.add_argument("--silence", type=int, nargs="*", default=[0, 1, 2], help="other seconds of silence, on RAVDESS")
    there = [name for name in OURS if name != "faster_whisper:offline" or importlib.util.find_spec("faster_whisper")]
    options.add_argument("--transcribers", nargs="*", default=there, choices=OURS)
    asked = options.parse_args()
    print(f"{HEADER}\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    for corpus, name in product(asked.corpora, asked.transcribers):
        rows = draw(corpus, asked.data / corpus, asked.clips)
        clips, said = [audio.read(str(u.audio), u.start, u.end) for u in rows], [str(u.text) for u in rows]
        for language in (CORPORA[corpus],) if asked.given else (CORPORA[corpus], None):
            cells = measure(name, language, clips, said, CORPORA[corpus])
            print(f"| {corpus} | {name} | {language or '–'} | {' | '.join(cells)} |", flush=True)
        for seconds in asked.silence if (corpus, name) == ("ravdess", "whisper:offline") else ():
            whisper.SILENCE_SECONDS, usual = seconds, whisper.SILENCE_SECONDS
            cells = measure(name, "en", clips, said, "en")
            whisper.SILENCE_SECONDS = usual
            print(f"| {corpus} | {name} ({seconds} s) | en | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

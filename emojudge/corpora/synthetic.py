"""A made-up corpus for trying things out: a speech synthesiser acts eight emotions. It is spoken on this machine.

Source: made here from `synthetic.toml` by espeak-ng (https://github.com/espeak-ng/espeak-ng, GPL-3, through the
package `espeakng_loader`). Licence: the sentences are ours, as the rest of EmoJudge. Speakers: 24 voices, 12 of them
female; 14 train, 5 dev, 5 test. 576 clips of 0.7-6 s (median 2.4), 16 kHz, 25 minutes.

How it was made: rate, pitch, range, loudness, sharpness and pauses are drawn around a centre for each emotion, and
overlap; white noise is added. 62 % of the sentences carry the emotion, 8 % another, 30 % none, and no split shares a
sentence with another (short openers are shared). Valence follows the words nearly as much as the emotion, arousal the
voice, dominance both.

Traps: see `NOTICE`. The recordings are the same, byte for byte, on machines of one kind; another processor or another
espeak may round differently.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from emojudge.corpora._synthetic_plan import Clip, plan
from emojudge.errors import DataError, MissingExtra
from emojudge.storage import atomic, digest, read_json, write_json
from emojudge.types import EMOTIONS, Utterance

NOTICE = "Synthetic speech: a synthesiser acted rules that we wrote. These numbers mean nothing about people."
"""What every output on this corpus must say."""

LABELS: Mapping[str, str] = {name: name for name in EMOTIONS}

MARKER = "synthetic.json"
"""Written last: where it is, the corpus is whole."""


def utterances(root: Path) -> Iterator[Utterance]:
    """Every clip; they are spoken into `root` first unless they are there already.

    Raises:
        MissingExtra: espeak-ng is not installed.
        DataError: the folder cannot be written, or espeak-ng failed.
    """
    clips = plan()
    if not _whole(root, clips):
        speak(clips, root)
    for clip in clips:
        yield Utterance(
            id=clip.id,
            audio=str(_file(root, clip)),
            text=clip.text,
            speaker=clip.speaker,
            gender=clip.gender,
            split=clip.split,
            emotion=clip.emotion,
            attributes=clip.attributes,
        )


def speak(clips: Sequence[Clip], root: Path) -> None:
    """Speak `clips` into `root` in one fresh process, whose state decides how each of them sounds."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise MissingExtra("Speaking the synthetic corpus", "synthetic")
    try:
        (root / "wav").mkdir(parents=True, exist_ok=True)
        (root / MARKER).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=".speaking-", dir=root) as folder:
            _run(clips, Path(folder))
            for clip in clips:
                (Path(folder) / f"{clip.id}.wav").replace(_file(root, clip))
        with atomic(root / "NOTICE.txt") as temporary:
            temporary.write_text(NOTICE + "\n", encoding="utf-8")
        write_json(root / MARKER, {"notice": NOTICE, "digest": _digest(clips), "clips": [asdict(clip) for clip in clips]})
    except OSError as error:
        raise DataError(f"{root} cannot hold the synthetic corpus ({error.strerror}); point data.root elsewhere.") from None


def _run(clips: Sequence[Clip], folder: Path) -> None:
    """Let a child process speak into `folder`."""
    job = folder / "clips.json"
    job.write_text(json.dumps([asdict(clip) for clip in clips]), encoding="utf-8")
    home = str(Path(__file__).resolve().parents[2])  # the child must find this very package
    path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "emojudge.corpora._espeak", str(job), str(folder)]
    child = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)  # noqa: S603
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"espeak-ng could not speak the synthetic corpus ({last}); install the extra 'synthetic' again.")


def _whole(root: Path, clips: Sequence[Clip]) -> bool:
    """Whether `root` holds just these clips."""
    if not (root / MARKER).exists():
        return False
    return read_json(root / MARKER).get("digest") == _digest(clips) and all(_file(root, clip).exists() for clip in clips)


def _digest(clips: Sequence[Clip]) -> str:
    return digest([asdict(clip) for clip in clips])


def _file(root: Path, clip: Clip) -> Path:
    return root / "wav" / f"{clip.id}.wav"

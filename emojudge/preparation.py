"""Stage 1 of a run: its corpus read, checked and written down, and transcribed where a transcriber is named."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from emojudge import checks, manifest, preflight, splits, transcripts
from emojudge.errors import DataError
from emojudge.inspection import Recording
from emojudge.progress import say
from emojudge.settings import Config, DataSettings
from emojudge.stages import Stages, stamp
from emojudge.storage import digest_rows, to_row, write_jsonl
from emojudge.types import Utterance

Files = dict[str, Recording]
"""Recordings as they lie on the disk, by path."""


def look(data: DataSettings) -> tuple[list[Utterance], Files]:
    """Read and check a corpus, and say what is odd and what `prepare` will refuse; nothing is written."""
    loaded = manifest.load(data)
    utterances = manifest.arrange(loaded, data)
    found, files = _check(loaded, utterances, data)
    for error in found.errors:
        say(f"warning: prepare will refuse this: {error}")
    return utterances, files


def _check(loaded: Sequence[Utterance], utterances: Sequence[Utterance], data: DataSettings) -> tuple[checks.Findings, Files]:
    """What is wrong with the corpus, and what may not be meant, which is also said; and its files."""
    files = checks.look(utterances, data.verify)
    found = checks.check(utterances, data, files)
    found = replace(found, warnings=(*checks.outside(loaded, data), *found.warnings))
    for warning in found.warnings:
        say(f"warning: {warning}")
    return found, files


def prepare(stages: Stages) -> Files | None:
    """Read and check the corpus; write the manifest, and each fold's. None where all that was done.

    Raises:
        DataError: something in it makes every later number wrong; it is named.
        LeakageError: a fold has a speaker on both sides.
    """
    started, config = time.monotonic(), stages.run.config
    loaded = manifest.load(config.data)
    utterances = manifest.arrange(loaded, config.data)
    about = [config.data.model_dump(mode="json", exclude={"verify"})]
    about += [config.transcripts.model_dump()] if transcribed(config) else []
    made_from = digest_rows(chain(about, ([to_row(u), stamp(u.audio)] for u in utterances)))
    stage = {"made_from": made_from, "verify": config.data.verify}
    if stage.items() <= stages.done.get("prepare", {}).items() and stages.run.manifest_file().exists():
        return None
    if stages.done.get("prepare", stage)["made_from"] != made_from:
        stages.tell_changes()
    found, files = _check(loaded, utterances, config.data)
    if found.errors:
        raise DataError(found.errors[0])
    _write(stages, utterances)
    stages.done["prepare"] = {**stage, "seconds": round(time.monotonic() - started, 2)}
    notice = " ".join(filter(None, (config.notice, manifest.notice(config.data))))
    draws = {"dev2": splits.draw_digest(utterances, "dev2")} if config.data.dev2 else {}
    stages.write(utterances=len(utterances), notice=notice, warnings=list(found.warnings), draws=draws)
    return files


def _write(stages: Stages, utterances: Sequence[Utterance]) -> None:
    """The manifest, and each fold's."""
    data = stages.run.config.data
    folds = manifest.folds(utterances, data)
    stages.run = replace(stages.run, folds=tuple(folds))
    write_jsonl(stages.run.manifest_file(), utterances)
    for fold, test in folds.items():
        write_jsonl(stages.run.manifest_file(fold), manifest.in_fold(utterances, test, data))


def transcribed(config: Config) -> bool:
    """Whether texts come from a transcriber."""
    return config.transcripts.transcribe != "none"


def transcribe(stages: Stages, again: bool = False) -> None:
    """Write down what is said in every clip (decision 25).

    Raises:
        UnknownName: `transcripts.transcribe` names no transcriber.
    """
    about, done = stages.run.config.transcripts.model_dump(), [stages.run.file("transcripts.jsonl")]
    stages.do("transcribe", about, ["prepare"], done, lambda: _write(stages, transcripts.fill(stages.run)), again=again)


def names(stages: Stages) -> tuple[str, ...]:
    """The stages of this file that all others are made from.

    Raises:
        DataError: a transcriber is named, and nothing was transcribed yet.
    """
    if not transcribed(stages.run.config):
        return ("prepare",)
    preflight.made(stages.run.file("transcripts.jsonl"), "transcribe RUN")
    return ("prepare", "transcribe")

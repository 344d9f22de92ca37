"""Verbs for recordings of any length: files and folders, standard input, a microphone."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from emojudge.errors import ConfigError
from emojudge.verbs import Json, Set, experiment, lost, verb

Spoken = Annotated[Path, typer.Option("--run", help="The run, or bundle, whose models speak.")]


@dataclass
class Scale:
    """Options for very many recordings."""

    engine: Annotated[str | None, typer.Option("--engine", help="Who shares the work: local or ray; see docs/scale.md.")] = None
    workers: Annotated[int, typer.Option("--workers", min=0, help="How many processes (default: one a core).")] = 0
    gpus: Annotated[float, typer.Option("--gpus", min=0, help="GPUs of each, with --engine ray.")] = 0.0
    shard: Annotated[int, typer.Option("--shard", min=0, help="Recordings to one file of results (default: one).")] = 0

    def __bool__(self) -> bool:
        return bool(self.engine or self.workers or self.shard)


@dataclass
class Voices:
    """Options about who speaks."""

    speakers: Annotated[str, typer.Option("--speakers", help="How many speak, or off; auto with pyannote.")] = "off"
    one_speaker: Annotated[
        bool,
        typer.Option("--one-speaker", help="One person speaks in all, in several moods: emotions relative to that voice."),
    ] = False

    def check(self, others: bool) -> None:
        """Refuse what has no meaning together."""
        if self.one_speaker and (others or self.speakers != "off"):
            raise ConfigError(
                "--one-speaker hears all recordings as one person's in one process; leave out --speakers, --judge, "
                "--engine, --workers and --shard."
            )


@verb
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Recordings, folders of them, @LIST of them, or - for standard input; or RUN SYSTEM.", metavar="FILES…"
        ),
    ],
    scale: Scale,
    voices: Voices,
    run: Spoken = Path("base"),
    output: Annotated[Path | None, typer.Option("--output", help="Folder to write to; without it results are printed.")] = None,
    format: Annotated[str, typer.Option("--format", help="Formats, with commas between; see `emojudge list writers`.")] = "jsonl",
    judge: Annotated[bool, typer.Option("--judge", help="Ask the run's judge about every segment.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was written before.")] = False,
    set: Set = None,
    json: Json = False,
) -> int:
    """Find the speech in recordings, and its words, emotions and attributes, segment by segment.

    WAV, FLAC, OGG, MP3, M4A, Opus and the sound of videos, hours long, in constant memory. What cannot be used is listed in
    skipped.jsonl, and the exit code is 1. For very many, --engine or --workers shares the work. With a run folder and audio, text
    or early instead, that model of the run predicts its corpus: every clip outside the training split.
    """
    if len(paths) == 2 and paths[1] in ("audio", "text", "early") and Path(paths[0]).is_dir():
        work = experiment(Path(paths[0]), set)
        work.predict(paths[1], again=True)
        return lost(work)
    from emojudge import recordings, streams
    from emojudge.output import show_recording
    from emojudge.pipeline import EmoJudge

    voices.check(judge or bool(scale))
    if scale:
        return _shared(scale, paths, run, output, judge, formats=format, speakers=voices.speakers, again=again, changes=set)
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        spooled = stack.enter_context(streams.spooled()) if "-" in paths else None
        files = [str(spooled) if path == "-" else path for path in paths]
        work = recordings.jobs(files, output, format.split(","))
        opened = EmoJudge.load(run, set or [])
        hear = partial(opened.timeline, speakers=voices.speakers, judge=judge)
        smoothing = opened.config.recordings.smoothing
        one = voices.one_speaker
        found = recordings.one_voice(work, hear, skipped, smoothing) if one else recordings.predict(work, hear, skipped, again)
        for job, told in found:
            print(*job.files.values(), sep="\n") if job.files else show_recording(told, json)
    if output:
        recordings.note(output, skipped.items())
    return 1 if skipped else 0


def _shared(scale: Scale, paths: list[str], run: Path, output: Path | None, judge: bool, **rest: Any) -> int:
    """The same by several processes; files of results are printed."""
    from emojudge import shards
    from emojudge.pipeline import EmoJudge

    if output is None or judge:
        raise ConfigError("Several processes write to an --output, and none of them asks a judge: leave out --judge.")
    opened = EmoJudge.load(run, rest["changes"] or []).run  # what is wrong with it is said here, once
    if opened is None:
        raise ConfigError(f"{run} is not trained yet; give --run a run folder.")
    rest |= {"formats": tuple(rest["formats"].split(",")), "changes": tuple(rest["changes"] or ()), "size": scale.shard}
    task = shards.Task(str(opened.root.resolve()), str(output.resolve()), **rest)
    for record in shards.predict(task, paths, scale.engine or "local", scale.workers, scale.gpus):
        print(*(f"{output / file}\n" for file in record["files"]), sep="", end="", flush=True)
    return int((output / "skipped.jsonl").exists())


@verb
def listen(
    run: Spoken = Path("base"),
    device: Annotated[str | None, typer.Option("--device", help="A microphone's name or number (default: the system's).")] = None,
    set: Set = None,
    json: Json = False,
) -> None:
    """Listen to the microphone until Ctrl-C: what is heard while somebody speaks, and each segment once it is over.

    Nothing is recorded, and nothing leaves this machine. With --json, each event is one line.
    """
    from emojudge import live
    from emojudge.output import show_event
    from emojudge.pipeline import EmoJudge

    opened = EmoJudge.load(run, set or [])
    for event in opened.stream(live.microphone(int(device) if device and device.isdecimal() else device)):
        show_event(event, json)

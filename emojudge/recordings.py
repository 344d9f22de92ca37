"""`emojudge predict FILES`: each recording to one file of every format; what is done is skipped, what is broken is listed."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emojudge import registry, streams
from emojudge.errors import AudioError, DataError, ModelError
from emojudge.progress import say
from emojudge.relative import relative
from emojudge.storage import write_jsonl
from emojudge.timeline import Timeline, settle


@dataclass(frozen=True)
class Job:
    """A recording, and the files it is to become, by format."""

    path: Path
    files: dict[str, Path]

    @property
    def done(self) -> bool:
        """Whether they are all there; each is written whole or not at all."""
        return all(file.exists() for file in self.files.values())

    def write(self, told: Timeline) -> None:
        """Make them."""
        for form, file in self.files.items():
            registry.resolve("writers", form)[0].write(told, file)


def jobs(paths: Iterable[str | Path], output: Path | None, formats: Sequence[str]) -> list[Job]:
    """Every recording in `paths`, and where its results go under `output` (nowhere without it).

    Raises:
        UnknownName: there is no such format.
        DataError: no recordings, or two would become one file.
    """
    given = list(paths)
    if output is None:
        return [Job(path, {}) for path in streams.find(given)]
    return [job(path, name, output, formats) for path, name in named(given).items()]


def job(path: Path, name: str, output: Path, formats: Sequence[str]) -> Job:
    """A recording whose files are to be called `name`."""
    return Job(path, {form: output / f"{name}{registry.resolve('writers', form)[0].SUFFIX}" for form in formats})


def named(paths: Iterable[str | Path]) -> dict[Path, str]:
    """Every recording in `paths`, and what its files are called; errors as for `jobs`."""
    given = list(paths)
    found = streams.find(given)
    return dict(zip(found, _names(found, [Path(path) for path in given]), strict=True))


def _names(found: Sequence[Path], given: Sequence[Path]) -> list[str]:
    """A recording's name without its suffix, below the folder that was given; with it where two would be the same."""
    folders = [one for one in given if one.is_dir()]
    below = [next((path.relative_to(one) for one in folders if path.is_relative_to(one)), Path(path.name)) for path in found]
    short = [path.with_suffix("").as_posix() for path in below]
    often = Counter(short)
    names = [one if often[one] == 1 else path.as_posix() for one, path in zip(short, below, strict=True)]
    often = Counter(names)
    for name, path in zip(names, found, strict=True):
        if often[name] > 1:
            raise DataError(f"{path} and another recording would both become {name}; give the folder above both instead.")
    return names


def predict(
    work: Iterable[Job], timeline: Callable[[Path], Timeline], skipped: dict[str, str], again: bool = False
) -> Iterator[tuple[Job, Timeline]]:
    """Each recording's timeline, written and yielded; one that cannot be used is said, noted in `skipped`, and passed over.

    Args:
        work: what `jobs` gave.
        timeline: makes one from a path.
        skipped: takes the reason by path.
        again: also what is done already.
    """
    for job in work:
        if job.files and job.done and not again:
            say(f"{job.path}: done already")
            continue
        started = time.monotonic()
        try:
            with _quietly(job.path):
                told = timeline(job.path)
        except AudioError as error:
            skipped[str(job.path)] = str(error)
            say(f"warning: {error}")
            continue
        job.write(told)
        took = time.monotonic() - started
        speed = f"{told.seconds / took:.1f} × real time"
        say(f"{job.path}: {told.seconds:.0f} s, {len(told.segments)} segments, in {took:.0f} s ({speed})")
        yield job, told


def one_voice(
    work: Sequence[Job], timeline: Callable[[Path], Timeline], skipped: dict[str, str], smoothing: float
) -> Iterator[tuple[Job, Timeline]]:
    """As `predict`, where one person speaks in all recordings, in several moods: emotions are told relative to that voice.

    All are heard, those that were done before as well, and only then anything is written.

    Raises:
        DataError: there are too few segments; see `emojudge.relative`.
        ModelError: the run has no emotions.
    """
    heard = [told for _, told in predict([Job(job.path, {}) for job in work], timeline, skipped)]
    segments = [segment for told in heard for segment in told.segments]
    if not all("emotions" in segment.alone for segment in segments):
        raise ModelError("This run predicts attributes only; it has no emotion to tell relative to a voice.")
    if segments:
        names = list(segments[0].alone["emotions"])
        alone = np.array([[segment.alone["emotions"][name] for name in names] for segment in segments])
        for segment, row in zip(segments, relative(alone, "One speaker").tolist(), strict=True):
            segment.alone["emotions"] = dict(zip(names, row, strict=True))
    there = [job for job in work if str(job.path) not in skipped]
    for job, told in zip(there, heard, strict=True):
        settle(told.segments, smoothing)
        job.write(told)
        yield job, told


def note(output: Path, skipped: Iterable[tuple[str, str]]) -> int:
    """skipped.jsonl says what could not be used this time; where all is well there is none. Returns how many."""
    path = output / "skipped.jsonl"
    count = write_jsonl(path, ({"file": file, "reason": reason} for file, reason in skipped))
    if count:
        say(f"warning: recordings that could not be used: {count}; {path} says why")
    else:
        path.unlink()
    return count


@contextmanager
def _quietly(path: Path) -> Iterator[None]:
    """Warnings about the recording as one line each."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        yield
    for one in told:
        if str(path) in str(one.message):
            say(f"warning: {one.message}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)

"""Systems timed beside each other, and the rows that every benchmark prints.

Each system works in a process of its own, which is also where its peak memory is read. They take turns: one repeat of each,
then the next, so that a busy machine is equally busy for all. Ratios are taken within a turn; their median is printed with
the least and the greatest. Seconds of processor count all threads, and children that have ended.
"""

import argparse
import json
import multiprocessing
import re
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

HEADER = "| question | system | per | processor, s | clock, s | × ours [least, most] | must | peak, MB |"
RULE = "|---|---|---|--:|--:|--:|--:|--:|"
Work = Callable[[], Any]
"""What is timed."""


@dataclass(frozen=True)
class Runs:
    """Every repeat of one system; `found` is what its last one returned, and `peak` the process's greatest memory, MB."""

    cpu: list[float]
    clock: list[float]
    peak: float
    found: Any


@dataclass(frozen=True)
class Row:
    """One system at one question: median seconds for one `unit` of work, and how many times those of ours they are."""

    question: str
    system: str
    unit: str
    cpu: float | None
    clock: float | None
    times: tuple[float, float, float] | None = None
    must: float | None = None
    peak: float | None = None

    def __str__(self) -> str:
        seconds = [f"{value:.3g}" if value is not None else "–" for value in (self.cpu, self.clock)]
        times = "{:.3g} [{:.3g}, {:.3g}]".format(*self.times) if self.times else "1"
        must = "" if self.must is None or not self.times else f"≥ {self.must:g}: {'yes' if self.times[0] >= self.must else 'no'}"
        cells = [self.question, self.system, self.unit, *seconds, times, must, "–" if self.peak is None else f"{self.peak:.0f}"]
        return f"| {' | '.join(cells)} |"


def race(systems: Mapping[str, Callable[[], Work]], repeats: int) -> dict[str, Runs]:
    """Time each system `repeats` times, in turns; what it does to get ready is not timed, and not repeated.

    Raises:
        SystemExit: a system failed.
    """
    context = multiprocessing.get_context("spawn")
    lines, children = {}, {}
    for name, prepare in systems.items():
        lines[name], own = context.Pipe()
        children[name] = context.Process(target=_child, args=(own, prepare), daemon=True)
        children[name].start()
        own.close()
        _answer(name, lines[name])  # ready; one after the other, so that they do not slow each other
    turns = [{name: _ask(name, line, "go") for name, line in lines.items()} for _ in range(repeats)]
    found = {}
    for name, line in lines.items():
        peak, last = _ask(name, line, "end")
        found[name] = Runs([turn[name][0] for turn in turns], [turn[name][1] for turn in turns], peak, last)
        children[name].join()
    return found


def _ask(name: str, line: Any, word: str) -> Any:
    line.send(word)
    return _answer(name, line)


def _answer(name: str, line: Any) -> Any:
    try:
        return line.recv()
    except EOFError:
        raise SystemExit(f"{name} failed; see above.") from None


def _child(line: Any, prepare: Callable[[], Work]) -> None:
    work, last = prepare(), None
    line.send("ready")
    while line.recv() == "go":
        cpu, clock = _cpu(), time.perf_counter()
        last = work()
        line.send((_cpu() - cpu, time.perf_counter() - clock))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    own = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    line.send((max(children, int(own[1]) / 1024 if own else 0.0), last))


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def compare(
    question: str, unit: str, amount: float | Mapping[str, float], runs: Mapping[str, Runs], must: float = 0.0, by: str = "cpu"
) -> list[Row]:
    """A row a system, the first being ours.

    `amount` is how many units they did, or each did; `must` what every peer must cost, in times of ours; ratios are taken `by`
    seconds of processor ("cpu") or on the clock.
    """
    did = amount if isinstance(amount, Mapping) else dict.fromkeys(runs, amount)
    each = {name: _by_unit(run, did[name]) for name, run in runs.items()}
    ours = getattr(next(iter(each.values())), by)
    rows = []
    for name, run in each.items():
        times = _spread([own / other for own, other in zip(getattr(run, by), ours, strict=True)]) if rows else None
        medians = statistics.median(run.cpu), statistics.median(run.clock)
        rows.append(Row(question, name, unit, *medians, times, must if rows and must else None, run.peak))
    return rows


def _by_unit(run: Runs, units: float) -> Runs:
    return replace(run, cpu=[s / units for s in run.cpu], clock=[s / units for s in run.clock])


def limit(ours: Row, system: str, seconds: float, runs: Sequence[float], must: float | None = None) -> Row:
    """What cannot be, or must not be, passed: so many seconds a unit, beside all of our runs (seconds a unit)."""
    return Row(ours.question, system, ours.unit, seconds, None, _spread([seconds / own for own in runs]), must)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


PRODUCTS, SIDE = 24, (2048, 768, 2048)


def matrix_products() -> Work:
    """A system for `race`: products of matrices as large as an encoder's; see `seconds_for`."""
    import torch

    rows, inner, columns = SIDE
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    with torch.inference_mode():
        torch.mm(left, right)
    return partial(_multiply, left, right)


def _multiply(left: Any, right: Any) -> None:
    import torch

    with torch.inference_mode():
        for _ in range(PRODUCTS):
            torch.mm(left, right)


def seconds_for(multiply_adds: float, products: Runs) -> float:
    """Seconds of processor that so many multiply-adds take at the best rate that the matrix products reached."""
    return multiply_adds * min(products.cpu) / (PRODUCTS * SIDE[0] * SIDE[1] * SIDE[2])


def profiled(prepare: Callable[[], Work], most: int = 12) -> None:
    """Print which of PyTorch's operators our own seconds go to, on one thread, the greatest share first."""
    import torch

    torch.set_num_threads(1)
    work = prepare()
    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        started = time.process_time()
        work()
        took = 1e6 * (time.process_time() - started)
    found = sorted(profile.key_averages(), key=lambda one: -one.self_cpu_time_total)[:most]
    print(*(f"{one.key}: {one.self_cpu_time_total / took:.1%}, {one.count} times" for one in found), sep="\n")


def options(about: str | None, repeats: int = 3, profile: bool = False) -> argparse.ArgumentParser:
    """The arguments that all have, and `--profile` for those that can tell."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=repeats)
    if profile:
        parser.add_argument("--profile", action="store_true", help="instead, which operators ours spends its seconds in")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    return parser


def show(rows: Sequence[Row], file: Path | None = None) -> None:
    """Print the table; keep it in `file`."""
    print(HEADER, RULE, *rows, sep="\n", flush=True)
    if file:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")

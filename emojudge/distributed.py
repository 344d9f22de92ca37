"""Any number of processes on one training, on one machine or many.

Started by `torchrun` or `accelerate launch`, both of which tell each process its place in RANK, LOCAL_RANK and
WORLD_SIZE. The first process leads: it alone does the stages and writes files, and calls the others in when a
training begins. Each takes its share of every batch, and gradients are summed once a step, so that the weights
are those of a single process up to rounding and dropout. A folder that all machines see is needed.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long the others wait to be called: the leader may encode or judge a whole corpus meanwhile."""
STOP = -1


def rank() -> int:
    """The number of this process; the leader is 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process writes files and messages."""
    return rank() == 0


def mine(items: Sequence[T]) -> Sequence[T]:
    """The share of this process: every `world()`-th.

    >>> mine(["a", "b"])
    ['a', 'b']
    """
    return items[rank() :: world()]


@contextmanager
def together(assist: Callable[[], None]) -> Iterator[bool]:
    """Join the group; inside, the leader works (True), while for the others `assist` has been done (False).

    The leader dismisses the others at its end. If it fails it just leaves, and whatever started them stops them.

    `torch.distributed.nn` is read before there is a group: its functions take the group of that moment as a default, and an
    optimiser reads it in passing. The group then outlived its end, and its threads now and then aborted the process.
    """
    if world() == 1:
        yield True
        return
    import torch.distributed as group
    import torch.distributed.nn  # noqa: F401  (see above)
    from torch import cuda

    if cuda.is_available():
        cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    group.init_process_group("nccl" if cuda.is_available() else "gloo", timeout=PATIENCE)
    if leads():
        yield True
        call(STOP)
    else:
        assist()
        yield False
    group.destroy_process_group()


def call(job: int = 0) -> int:
    """What the leader calls for; every process gets its number."""
    return int(_sum(job if leads() else 0))


@contextmanager
def leader_first() -> Iterator[None]:
    """The others go in when the leader has come out."""
    if not leads():
        call()
    yield
    if leads():
        call()


def _sum(number: int) -> float:
    import torch

    device = "cuda" if world() > 1 and torch.cuda.is_available() else "cpu"
    return sum_(torch.tensor(float(number), device=device)).item()


def sum_(tensor: "Tensor") -> "Tensor":
    """Sum over all processes, in place."""
    if world() > 1:
        import torch.distributed as group

        group.all_reduce(tensor)
    return tensor


def gather(rows: "Tensor", count: int) -> "Tensor":
    """The rows of every process in the order that `mine` dealt them from: (count, …)."""
    if world() == 1:
        return rows
    whole = rows.new_zeros(count, *rows.shape[1:])
    whole[rank() :: world()] = rows
    return sum_(whole)


def sum_gradients(parameters: Sequence["Parameter"]) -> None:
    """Sum every gradient over the processes, also where this one's clips left none."""
    if world() > 1:
        import torch

        for parameter in (p for p in parameters if p.requires_grad):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            sum_(parameter.grad)

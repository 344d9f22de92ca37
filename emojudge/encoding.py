"""How much an encoder is given at once, and how precisely it computes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

BATCH_SECONDS = 60.0
"""Seconds of speech, padding included, encoded at once."""
BATCH_ITEMS = 32
CPU_SAMPLES = 8 * 16_000
"""Sound in one go on a CPU, padding included: what a layer passes on then stays in the processor's cache. A minute
takes Whisper base 1.3 and WavLM base 1.4 times the seconds (notes/LOG.md, 2026-11-28)."""


def encode(encoder: Any, batch: Sequence[Any]) -> Any:
    """What `encoder.encode` gives for a batch of waveforms or texts; sound on a CPU in parts, neighbours together.

    Clips alone and in a batch get the same features, so this changes none.

    Returns:
        frames (B, L, T, D) and mask (B, T), true where frames are real.
    """
    import torch
    from torch.nn.functional import pad

    if not _on_cpu(encoder) or encoder.modality != "audio":
        return encoder.encode(batch)
    parts = _each(encoder, list(neighbours(batch, len, CPU_SAMPLES, len(batch))))
    longest = max(mask.shape[1] for _, mask in parts)
    return (
        torch.cat([pad(frames, (0, 0, 0, longest - frames.shape[2])) for frames, _ in parts]),
        torch.cat([pad(mask, (0, longest - mask.shape[1])) for _, mask in parts]),
    )


def _on_cpu(encoder: Any) -> bool:
    """Whether an encoder's weights are in main memory; those of ONNX Runtime say so themselves."""
    if not hasattr(encoder, "module"):
        return getattr(encoder, "on_cpu", False)
    weight = next(encoder.module.parameters(), None)
    return weight is not None and weight.device.type == "cpu"


def _each(encoder: Any, parts: Sequence[Sequence[Any]]) -> list[Any]:
    """Every part encoded; side by side where nothing is drawn and no gradient wanted.

    Threads that have a part each wait for one another once, at its end, and not after every product: a tenth less work on
    idle cores, and half the seconds or less where others want them too (notes/LOG.md, 2026-11-28).
    """
    import torch

    threads = torch.get_num_threads()
    learns = torch.is_grad_enabled() or getattr(getattr(encoder, "module", None), "training", False)
    if (beside := min(threads, len(parts))) < 2 or learns:
        return [encoder.encode(part) for part in parts]

    def work(part: Sequence[Any]) -> Any:
        torch.set_num_threads(threads // beside)  # of this thread alone
        with torch.no_grad():
            return encoder.encode(part)

    with ThreadPoolExecutor(beside) as pool:
        return list(pool.map(work, parts))


def halve(encoder: Any) -> None:
    """Let a frozen encoder compute in bfloat16; it keeps the fingerprint of the weights as they were, so a model fits either."""
    import torch

    encoder.fingerprint  # noqa: B018 (digested when it is first asked for, and kept)
    encoder.module.to(torch.bfloat16)


def folder_of(encoder: Any) -> str:
    """Where features of an encoder are kept: apart for each of its precisions."""
    weight = next(encoder.module.parameters(), None)
    precise = weight is None or weight.dtype.itemsize > 2
    return encoder.fingerprint[:24] + ("" if precise else "-bfloat16")


def neighbours(
    items: Iterable[T], length: Callable[[T], float], most: float = BATCH_SECONDS, count: int = BATCH_ITEMS
) -> Iterator[list[T]]:
    """Neighbours together: at most `count`, as long as they hold at most `most` when all are padded to the longest; one at least.

    >>> list(neighbours([2, 2, 3, 9, 1], float, most=6, count=3))
    [[2, 2], [3], [9], [1]]
    """
    batch: list[T] = []
    longest = 0.0
    for item in items:
        longest = max(longest, own := length(item))
        if batch and ((len(batch) + 1) * longest > most or len(batch) == count):
            yield batch
            batch, longest = [], own
        batch.append(item)
    if batch:
        yield batch

"""How much an encoder is given at once, and how precisely it computes."""

from collections.abc import Iterator, Sequence
from typing import Any

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

    weight = next(encoder.module.parameters(), None) if hasattr(encoder, "module") else None  # ONNX has its own
    if weight is None or weight.device.type != "cpu" or encoder.modality != "audio":
        return encoder.encode(batch)
    parts = [encoder.encode(part) for part in _parts(batch)]
    longest = max(mask.shape[1] for _, mask in parts)
    return (
        torch.cat([pad(frames, (0, 0, 0, longest - frames.shape[2])) for frames, _ in parts]),
        torch.cat([pad(mask, (0, longest - mask.shape[1])) for _, mask in parts]),
    )


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


def _parts(batch: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Neighbours, as many as `CPU_SAMPLES` hold, and one at least.

    >>> [len(part) for part in _parts([range(64_000), range(64_000), range(64_001), range(200_000)])]
    [2, 1, 1]
    """
    start, longest = 0, 0
    for end, samples in enumerate(batch):
        longest = max(longest, len(samples))
        if end > start and (end + 1 - start) * longest > CPU_SAMPLES:
            yield batch[start:end]
            start, longest = end, len(samples)
    yield batch[start:]

"""Clips of mixed lengths through frozen WavLM, base-size and large-size: ours, one by one, and in naive padded batches.

    python benchmarks/encode_wavlm.py [--base 10] [--large 6]

The weights are random, the architecture that of the published models; sound is noise of 1 to 8 seconds, in no order. Ours goes
through the feature cache. The peers are transformers' feature extractor and model, as its documentation has them: a clip at a
time, or as they come, 8 at a time, padded to the longest. The bound is as in encode.py, front end included. Ours also computes
in bfloat16 (`audio.encoder_precision`), which is another result: what it costs in accuracy is measured by runtimes.py.
"""

import tempfile
from functools import partial
from typing import Any

import numpy as np
from measuring import Row, Work, compare, limit, matrix_products, options, profiled, race, seconds_for, show

SIZES: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "layer",
    },
}
RATE = 16_000
HALF = "the same in bfloat16 (ours)"


def model(size: str) -> Any:
    import torch
    from transformers import WavLMConfig, WavLMModel

    torch.manual_seed(0)
    return WavLMModel(WavLMConfig(**SIZES[size])).eval()


def clips(count: int) -> list[np.ndarray]:
    """Noise, whose lengths are spread evenly over 1 to 8 seconds."""
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.linspace(1, 8, count)) * RATE
    return [rng.normal(0, 0.1, int(length)).astype(np.float32) for length in lengths]


class Noise:
    """An item for the cache."""

    def __init__(self, id: str, samples: np.ndarray) -> None:
        self.id = self.key = id
        self.samples = samples

    def seconds(self) -> float:
        return len(self.samples) / RATE

    def load(self) -> np.ndarray:
        return self.samples


def ours(size: str, count: int, half: bool = False) -> Work:
    from emojudge.cache import FeatureCache
    from emojudge.encoders.hf_speech import SpeechEncoder
    from emojudge.encoding import halve
    from emojudge.settings import AudioSettings

    encoder = SpeechEncoder(model(size), AudioSettings(train="none", layers="last"))
    encoder.fingerprint  # noqa: B018 (digested once a process)
    if half:
        halve(encoder)
    items = [Noise(str(n), samples) for n, samples in enumerate(clips(count))]

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            return len(FeatureCache(folder, encoder).fill(items)[0])

    return work


def transformers(size: str, count: int, batch: int) -> Work:
    import torch
    from transformers import Wav2Vec2FeatureExtractor

    network, sounds = model(size), clips(count)
    extract = Wav2Vec2FeatureExtractor(return_attention_mask=True)

    def work() -> None:
        with torch.inference_mode():
            for start in range(0, count, batch):
                network(**extract(sounds[start : start + batch], sampling_rate=RATE, padding=True, return_tensors="pt"))

    return work


def multiply_adds(size: str, samples: int) -> float:
    """Of one clip: convolutions, positional convolution, blocks."""
    from transformers import WavLMConfig

    c = WavLMConfig(**SIZES[size])
    total, frames, before = 0.0, samples, 1
    for width, kernel, stride in zip(c.conv_dim, c.conv_kernel, c.conv_stride, strict=True):
        frames = (frames - kernel) // stride + 1
        total += frames * before * width * kernel
        before = width
    d = c.hidden_size
    total += frames * (before * d + d * d // c.num_conv_pos_embedding_groups * c.num_conv_pos_embeddings)
    return total + c.num_hidden_layers * (frames * (4 * d * d + 2 * d * c.intermediate_size) + 2 * frames * frames * d)


def measure(size: str, count: int, repeats: int) -> list[Row]:
    systems = {
        "true length, sorted (ours)": partial(ours, size, count),
        HALF: partial(ours, size, count, half=True),
        "transformers, one by one": partial(transformers, size, count, 1),
        "transformers, 8 as they come": partial(transformers, size, count, 8),
        "products": matrix_products,
    }
    runs = race(systems, repeats)
    lengths = [len(samples) for samples in clips(count)]
    seconds = sum(lengths) / RATE
    least = seconds_for(sum(multiply_adds(size, length) for length in lengths), runs.pop("products")) / seconds
    question, half = f"encode {count} clips, WavLM {size}-size", runs.pop(HALF)
    rows = compare(question, "second of sound", seconds, runs, must=1.5)
    own, *peers = runs
    bound = limit(rows[0], "bound by matrix products (aim)", least, [run / seconds for run in runs[own].cpu], must=0.8)
    beside = {HALF: half, **{name: runs[name] for name in peers}}
    return [*rows, bound, *compare(f"{question}, ours in bfloat16", "second of sound", seconds, beside, must=1.5)]


def main() -> None:
    parser = options(__doc__, repeats=2, profile=True)
    for size, count in {"base": 10, "large": 6}.items():
        parser.add_argument(f"--{size}", type=int, default=count, help="clips; 0 leaves it out")
    asked = parser.parse_args()
    counts = {size: getattr(asked, size) for size in SIZES}
    if asked.profile:
        return profiled(partial(ours, "base", asked.base))
    show([row for size, count in counts.items() if count for row in measure(size, count, asked.repeats)], asked.json)


if __name__ == "__main__":
    main()

"""Clips as long as RAVDESS's through frozen Whisper base: the true length in sorted batches, beside the padded 30 seconds.

    python benchmarks/encode.py [--clips 16] [--padded 4] [--data ../shared/data/ravdess]

Both read the files and give the last layer. Ours goes through the feature cache and so also digests, checks and writes. The
peer is transformers as its documentation has it: its feature extractor, which pads, and its model, 8 clips at a time. The bound
is the encoder's multiply-adds over the true lengths, at the rate of plain matrix products measured in the same turns; it knows
nothing of the spectrogram, the softmax, nor of reading.
"""

import tempfile
from functools import partial
from pathlib import Path

from measuring import Work, compare, limit, matrix_products, options, profiled, race, seconds_for, show

from emojudge import audio, streams

DATA, SPOKEN = Path("../shared/data/ravdess"), Path("runs/corpora/synthetic/wav")
WIDTH, INNER, BLOCKS, BANDS = 512, 2048, 6, 80
"""Of Whisper base."""


def ours(files: list[str]) -> Work:
    from emojudge.cache import Clip, FeatureCache
    from emojudge.encoders import whisper
    from emojudge.settings import AudioSettings

    encoder = whisper.open("offline", AudioSettings(train="none", layers="last"))
    encoder.fingerprint  # noqa: B018 (digested once a process)

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            return len(FeatureCache(folder, encoder).fill([Clip(file, file) for file in files])[0])

    return work


def padded(files: list[str]) -> Work:
    import torch
    from transformers import WhisperFeatureExtractor, WhisperModel

    from emojudge import offline

    model, extract = (
        WhisperModel.from_pretrained(offline.whisper_base(), dtype=torch.float32).encoder.eval(),
        WhisperFeatureExtractor(),
    )

    def work() -> None:
        with torch.inference_mode():
            for start in range(0, len(files), 8):
                clips = [audio.read(file) for file in files[start : start + 8]]
                model(extract(clips, sampling_rate=audio.SAMPLE_RATE, return_tensors="pt").input_features)

    return work


def multiply_adds(seconds: float) -> float:
    """Of one clip.

    >>> f"{multiply_adds(30.0) / 1e9:.0f} thousand million"
    '43 thousand million'
    """
    frames = 50 * seconds
    convolutions = 2 * frames * BANDS * WIDTH * 3 + frames * WIDTH * WIDTH * 3
    block = frames * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER) + 2 * frames * frames * WIDTH
    return convolutions + BLOCKS * block


def main() -> None:
    parser = options(__doc__, profile=True)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--padded", type=int, default=4, help="how many of them the padded peer hears")
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args()
    folder = asked.data if asked.data.is_dir() else SPOKEN
    if not folder.is_dir():
        return print(f"There are no clips in {asked.data} or {SPOKEN}; make demo makes the latter.")
    files = [str(file) for file in streams.find([folder])]
    files = files[:: max(1, len(files) // asked.clips)][: asked.clips]
    if asked.profile:
        return profiled(partial(ours, files))
    seconds = [audio.seconds(file) for file in files]
    systems = {
        "true length, sorted (ours)": partial(ours, files),
        "transformers, padded to 30 s": partial(padded, files[: asked.padded]),
    }
    runs = race({**systems, "products": matrix_products}, asked.repeats)
    least = seconds_for(sum(map(multiply_adds, seconds)), runs.pop("products")) / sum(seconds)
    heard = {name: sum(seconds[: asked.padded] if "padded" in name else seconds) for name in runs}
    rows = compare(f"encode {len(files)} clips, Whisper base", "second of sound", heard, runs, must=10)
    own = [run / sum(seconds) for run in next(iter(runs.values())).cpu]
    show([*rows, limit(rows[0], "bound by matrix products (aim)", least, own, must=0.8)], asked.json)


if __name__ == "__main__":
    main()

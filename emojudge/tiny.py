"""`emojudge run FILE --tiny`: a whole experiment in seconds, with no hub, no corpus and no key.

The experiment stays what it is; only its sizes shrink. Each encoder becomes a tiny checkpoint of the same architecture with
random weights, in the format of the real one. A corpus that is not there becomes a miniature of MSP-Podcast. Nothing but
that every stage runs can be learnt from the numbers, and every output says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from emojudge import tiny_checkpoints
from emojudge.config import load_config
from emojudge.devserver import DevServer
from emojudge.experiment import Experiment
from emojudge.miniature import miniature
from emojudge.offline import kept
from emojudge.settings import AudioSettings, Config, DataSettings, TextSettings, TranscriptSettings
from emojudge.types import EMOTIONS

NOTICE = (
    "TINY: encoders of random weights, a few clips, two epochs. Every number here is meaningless; it shows that the stages run."
)

LIMIT = 2
"""Clips of each class in each split."""

BLOCKS = 3
"""Transformer blocks of a tiny checkpoint."""

ARCHITECTURES = {
    name: name for name in ("wavlm", "hubert", "wav2vec2", "whisper", "ecapa", "deberta", "mpnet", "roberta", "bert")
}
ARCHITECTURES["minilm"] = "bert"
"""What a tiny checkpoint is, by a part of the real one's name; the first that fits counts."""

USUAL = {"hf_speech": "wavlm", "hf_text": "roberta"}
"""What stands for any other model of an encoder."""

T = TypeVar("T", AudioSettings, TextSettings)


@contextmanager
def experiment(source: Path | None, changes: Sequence[str] = (), into: Path | None = None) -> Iterator[Experiment]:
    """The whole of `source` in small, in `into` or `runs/tiny/NAME`; in the `with`, its judge is answered by a test double."""
    config = load_config(source, changes)
    with answering(shrink(config)) as small:
        yield Experiment(small, into or Path("runs/tiny") / config.name)


@contextmanager
def answering(config: Config) -> Iterator[Config]:
    """The experiment with a test double on loopback for its judge; recorded answers, and judges not ours, stay."""
    name, _, model = config.judge.judge.partition(":")
    if name not in ("openai", "openai_batch", "local"):
        yield config
        return
    asked = config.judge.judge if model and name != "local" else "openai:local"
    with DevServer() as server:
        change = {"judge": asked, "base_url": server.url, "poll_seconds": 0.05}
        yield config.model_copy(update={"judge": config.judge.model_copy(update=change)})


def shrink(config: Config) -> Config:
    """The same experiment, small, and marked as such.

    >>> small = shrink(Config())
    >>> small.audio.epochs, small.evaluation.published, small.notice[:5]
    (2, None, 'TINY:')
    """
    return config.model_copy(
        update={
            "name": f"{config.name} (tiny)",
            "notice": NOTICE,
            "data": _data(config.data),
            "transcripts": _transcripts(config.transcripts),
            "audio": _model(config.audio),
            "text": _model(config.text),
            "fusion": _capped(config.fusion, folds=2, steps=3),
            "evaluation": _capped(config.evaluation, resamples=50).model_copy(update={"published": None}),
        }
    )


def _capped(settings: Any, **most: Any) -> Any:
    """Settings with some of their numbers brought down."""
    return settings.model_copy(update={name: min(getattr(settings, name), value) for name, value in most.items()})


def _data(data: DataSettings) -> DataSettings:
    """A few clips of the corpus, or of the miniature where the corpus is not there."""
    _, _, argument = data.corpus.partition(":")
    root = Path(argument) if argument else data.root
    small: dict[str, Any] = {"limit": min(data.limit or LIMIT, LIMIT), "dev2": 1 if data.dev2 else None}
    if root is None or not root.exists():
        small |= {"corpus": "msp_podcast", "root": miniature(), "audio_root": None, "folds": None}
        small |= {"labels": EMOTIONS, "label_map": {}, "splits": "official"}
    return data.model_copy(update=small)


def _transcripts(settings: TranscriptSettings) -> TranscriptSettings:
    """A tiny Whisper in place of any; a transcriber that is not ours stays."""
    name = settings.transcribe.partition(":")[0]
    named = _encoder("whisper:tiny") if name in ("whisper", "faster_whisper") else settings.transcribe
    return settings.model_copy(update={"transcribe": named, "revision": None})


def _model(settings: T) -> T:
    """A tiny encoder, the last blocks of which learn where those of the real one do, a narrow head, two epochs."""
    kind, _, count = settings.train.partition(":")
    layers = settings.layers
    small: dict[str, Any] = {
        "encoder": _encoder(settings.encoder),
        "revision": None,
        "train": f"top:{min(int(count), BLOCKS)}" if kind == "top" else settings.train,
        "layers": layers if isinstance(layers, str) else tuple(sorted({min(layer, BLOCKS) for layer in layers})),
        "hidden_size": min(settings.hidden_size or 16, 16),
    }
    sizes: dict[str, float] = {"epochs": 2, "balanced_epochs": 1, "effective_batch": 8, "micro_batch": 4}
    sizes |= {"attention_size": 8, "max_seconds": 2.0} if isinstance(settings, AudioSettings) else {}
    return _capped(settings.model_copy(update=small), **sizes)


def _encoder(spec: str) -> str:
    """The same kind of encoder on a tiny checkpoint; one that is not ours stays as it is.

    >>> _encoder("mine:x")
    'mine:x'
    """
    name, _, argument = spec.partition(":")
    known = next((kind for part, kind in ARCHITECTURES.items() if part in spec.lower()), USUAL.get(name))
    if known is None:
        return spec
    build: Any = getattr(tiny_checkpoints, f"tiny_{known}")
    large = {"large": True} if name == "hf_speech" and "large" in argument else {}
    folder = kept("-".join(["tiny", known, *large, "2"]), lambda folder: build(folder, **large))
    return f"{name}:{folder}"

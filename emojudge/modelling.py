"""Training and predicting one part of a run: from its manifest to a model folder, and on to predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch

from emojudge import distributed, probe
from emojudge.audio import Normaliser
from emojudge.errors import DataError
from emojudge.features import Features
from emojudge.inference import Source, predict
from emojudge.models import EmotionModel, Encoder, ModelCard, load, read_card, trained_encoders
from emojudge.objective import names_of, target
from emojudge.progress import say
from emojudge.runs import Part
from emojudge.settings import AudioSettings
from emojudge.storage import digest, write_jsonl
from emojudge.training import Examples, train
from emojudge.types import Prediction, Utterance


def modalities(system: str) -> tuple[str, ...]:
    """What a system listens to or reads.

    >>> modalities("early")
    ('audio', 'text')
    """
    return ("audio", "text") if system == "early" else (system,)


def settings_of(system: str, features: Features) -> dict[str, Any]:
    """The settings of each modality of a system, as JSON can hold them."""
    return {m: features.settings(m).model_dump(mode="json") for m in modalities(system)}


def train_part(part: Part, task: str, system: str, names: Sequence[str], features: Features) -> None:
    """Train `system` for `task` on the training split of `part`; `names` are its labels or attributes.

    Raises:
        DataError: the training split holds nothing to learn from.
    """
    utterances, settings = part.manifest(), features.settings(modalities(system)[0])
    auxiliary: dict[str, tuple[str, ...]] = {
        other: names_of(other, features.config, utterances) for other in settings.auxiliary if other != task
    }
    rows = {
        split: [
            u
            for u in utterances
            if u.split == split and target(u, task, names, votes=split == "train" and settings.targets == "votes")
        ]
        for split in ("train", "dev")
    }
    normaliser = features.normaliser(rows["train"]) if "audio" in modalities(system) else Normaliser(mode="none")
    with distributed.leader_first():  # what it keeps in the cache, the others find there
        encoders, sources = _open(modalities(system), features, [*rows["train"], *rows["dev"]], normaliser)
    examples = Examples(_there(rows["train"], sources), _there(rows["dev"], sources))
    if not examples.train:
        raise DataError(f"No clip to train {system} for {task} on: check data.labels and the splits with: emojudge stats RUN")
    card = ModelCard(
        task=task,
        outputs=tuple(names),
        modalities=tuple(encoders),
        settings=settings_of(system, features),
        encoders={m: encoder.fingerprint for m, encoder in encoders.items()},
        shapes={m: (encoder.layers, encoder.size) for m, encoder in encoders.items()},
        normaliser=asdict(normaliser),
        trained_on=digest([u.id for u in examples.train]),
        auxiliary=auxiliary,
    )
    torch.manual_seed(part.seed)
    model = EmotionModel(card, trained_encoders(card, encoders))
    if isinstance(settings, AudioSettings) and settings.solver == "ridge":
        if distributed.leads():
            probe.solve(model, sources, examples, part.model(task, system))
        return
    best = train(model, sources, examples, part.model(task, system), part.seed)
    say(f"  best on dev: {best:.3f}" if examples.dev else f"  last training loss: {-best:.3f}")


def predict_part(part: Part, task: str, system: str, features: Features) -> None:
    """Predict every utterance of `part` outside its training split."""
    rows = [u for u in part.manifest() if u.split != "train"]
    write_jsonl(part.predictions(task, system), predict_clips(part, task, system, features, rows))


def predict_clips(part: Part, task: str, system: str, features: Features, rows: Sequence[Utterance]) -> Iterator[Prediction]:
    """What a trained model of `part` says of `rows`; those that cannot be read are left out."""
    card = read_card(part.model(task, system))
    encoders, sources = _open(card.modalities, features, rows, Normaliser(**card.normaliser))
    model = load(part.model(task, system), encoders)
    return predict(model, sources, [u.id for u in _there(rows, sources)], system)


def _open(
    wanted: Sequence[str], features: Features, utterances: Sequence[Utterance], normaliser: Normaliser
) -> tuple[dict[str, Encoder], dict[str, Source]]:
    encoders = {m: features.encoder(m) for m in wanted}
    return encoders, {m: features.source(m, encoder, utterances, normaliser) for m, encoder in encoders.items()}


def _there(utterances: Sequence[Utterance], sources: dict[str, Source]) -> list[Utterance]:
    """Those that every source has frames of."""
    return [u for u in utterances if all(u.id in source.ids for source in sources.values())]

"""Stage 4 on one part of a run: fit on its dev predictions, fuse the rest (paper 4.5), or average where there is no dev."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from emojudge import fusion
from emojudge.fusion import Outputs
from emojudge.runs import Part
from emojudge.settings import FusionSettings
from emojudge.storage import write_jsonl
from emojudge.types import Prediction, Utterance


def fuse_part(part: Part, task: str, outputs: Outputs, names: Sequence[str], settings: FusionSettings, source: str) -> None:
    """Fit late fusion of `outputs` on dev; write it, and the predictions of `source` on every split but train.

    Raises:
        DataError: too few dev clips.
        ModelError: a system has other labels than `names`.
    """
    utterances = part.manifest()
    counts = {name: float(sum(u.split == "train" and u.emotion == name for u in utterances)) for name in names}
    dev = [u for u in utterances if u.split == "dev"]
    fitted, held_out = fusion.fit(outputs, dev, task, names, settings, counts)
    seen = set(fitted.fitted_on)
    rest = [u.id for u in utterances if u.split != "train" and u.id not in seen]
    rows = (replace(p, source=source) for p in (*held_out, *fitted.predict(outputs, rest)))
    write_jsonl(part.predictions(task, source), rows)
    fusion.save(fitted, part.fusion(task))


def average_part(part: Part, task: str, outputs: Outputs, source: str) -> None:
    """Write the plain mean of `outputs` as the predictions of `source`; nothing is fitted."""
    part.fusion(task).unlink(missing_ok=True)
    rest = [u for u in part.manifest() if u.split != "train"]
    write_jsonl(part.predictions(task, source), average(outputs, rest, source))


def average(outputs: Outputs, utterances: Sequence[Utterance], source: str) -> Iterator[Prediction]:
    """The mean of each score over the systems that have the clip.

    >>> outputs = {"x": {"a": Prediction("a", "x", {"Sad": 0.25})}, "y": {"a": Prediction("a", "y", {"Sad": 0.75})}}
    >>> next(average(outputs, [Utterance("a")], "ensemble")).scores
    {'Sad': 0.5}
    """
    for u in utterances:
        there = [found[u.id].scores for found in outputs.values() if u.id in found]
        if there:
            yield Prediction(u.id, source, {name: sum(scores[name] for scores in there) / len(there) for name in there[0]})

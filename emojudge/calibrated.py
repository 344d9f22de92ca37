"""The judge as one more input of the fusion: its probabilities, weighed by what they were worth on dev (ours; `judge.policy`).

The penalty pulls to the shown prediction alone, so a judge that knows nothing gets weights near 0. A clip without a usable
answer, or that nobody was asked about, keeps its prediction to the last bit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emojudge import fusion
from emojudge.compare import mcnemar
from emojudge.errors import DataError
from emojudge.fusion import Fusion
from emojudge.metrics import macro_f1
from emojudge.refine import decide
from emojudge.settings import FusionSettings
from emojudge.types import Prediction, Utterance, Verdict

LEAST = 0.005
"""No probability counts as less: judges write whole percents, and 0 % is no certainty."""


CHANCE = 0.1
"""The weights are used only where dev's gain has a smaller exact McNemar p: else they were probably fitted to noise."""


@dataclass(frozen=True)
class Calibrated:
    """The fitted weights, whether they are used (they are not where dev did not gain), and every prediction."""

    fitted: Fusion
    used: bool
    predictions: list[Prediction]


def opinion(verdict: Verdict, names: Sequence[str]) -> Prediction:
    """The judge's probabilities; where it gave none, its confidence for its label and the rest in equal parts.

    >>> opinion(Verdict("a", "Sad", confidence=0.8), ("Sad", "Happy", "Angry")).scores["Angry"]
    0.1
    """
    rest = (1 - verdict.confidence) / max(1, len(names) - 1)
    given = verdict.probabilities or {name: verdict.confidence if name == verdict.label else rest for name in names}
    return Prediction(verdict.id, "judge", {name: round(max(given.get(name, 0.0), LEAST), 9) for name in names})


def calibrate(
    shown: Mapping[str, Prediction],
    verdicts: Iterable[Verdict],
    utterances: Sequence[Utterance],
    names: Sequence[str],
    settings: FusionSettings,
) -> Calibrated:
    """Fit on the judged clips of dev (out-of-fold there), and predict everything that is in `shown`.

    Args:
        shown: the predictions that the judge saw, by id; the result has their order.
        verdicts: its answers, on dev and elsewhere.
        utterances: for the splits, speakers and emotions.
        names: the labels.
        settings: grid and folds of the search, and the target prior.

    Raises:
        DataError: dev has too few usable answers.
    """
    found = {verdict.id: verdict for verdict in verdicts}
    usable = [v for v in found.values() if v.outcome == "ok" and v.label in names and v.id in shown]
    opinions = {verdict.id: opinion(verdict, names) for verdict in usable}
    dev = [u for u in utterances if u.split == "dev" and u.id in opinions and u.emotion]
    if len(dev) < 2 * settings.folds:
        raise DataError(
            f"The calibrated judge has {len(dev)} usable answers on dev, too few for {settings.folds} folds; "
            'judge dev as well, with --set \'judge.splits=["dev","test"]\', or use judge.policy = "threshold".'
        )
    outputs = {"shown": shown, "judge": opinions}
    fitted, held_out = fusion.fit(outputs, dev, "emotions", names, _aimed(dev, utterances, names, settings), {})
    new = {p.id: p for p in held_out}
    used = _gains(new, shown, dev, names)
    if used:
        others = [id for id in opinions if id not in new]
        new |= {p.id: p for p in fitted.predict(outputs, others)}
    kept = ((p, new.get(p.id, p) if used else p) for p in shown.values())
    rows = [replace(after, source="judge", note=_note(before, after, found.get(before.id))) for before, after in kept]
    return Calibrated(fitted, used, rows)


def weigh(shown: Prediction, verdict: Verdict, stored: Mapping[str, Any]) -> Prediction:
    """One clip by weights that were fitted before: what `calibration.json` holds."""
    names = stored["outputs"]
    if not stored["used"] or verdict.outcome != "ok" or verdict.label not in names:
        return replace(shown, source="judge", note=_note(shown, shown, verdict))
    fitted = Fusion(**{name: value for name, value in stored.items() if name != "used"})
    outputs = {"shown": {shown.id: shown}, "judge": {shown.id: opinion(replace(verdict, id=shown.id), names)}}
    [after] = fitted.predict(outputs, [shown.id])
    return replace(after, source="judge", note=_note(shown, after, verdict))


def _aimed(
    asked: Sequence[Utterance], utterances: Sequence[Utterance], names: Sequence[str], settings: FusionSettings
) -> FusionSettings:
    """Settings that pull to what was shown and end at the fusion's target prior.

    Scores move by log target - log dev, with the frequencies of the whole dev: that a clip was asked about is known of it,
    and no change of the prior. `fusion.fit` knows the asked clips only and subtracts theirs, so they are multiplied in.
    """
    dev, train, own = (
        {name: float(sum(u.emotion == name for u in rows)) for name in names}
        for rows in ([u for u in utterances if u.split == "dev"], [u for u in utterances if u.split == "train"], asked)
    )
    wanted = settings.target_prior
    target = train if wanted == "train" else dict.fromkeys(names, 1.0) if wanted == "uniform" else wanted
    if not any(target.values()):  # there is no training split, as where only predictions were brought
        target = dev
    odds = {name: own[name] * target.get(name, 0.0) / max(dev[name], 1.0) for name in names}
    return settings.model_copy(update={"shrink_to": "first", "target_prior": odds})


def _gains(new: Mapping[str, Prediction], old: Mapping[str, Prediction], dev: Sequence[Utterance], names: Sequence[str]) -> bool:
    """Whether dev's macro-F1 is higher, by more labels put right than chance would have it."""
    gold = [str(u.emotion) for u in dev]
    after, before = ([predictions[u.id].label for u in dev] for predictions in (new, old))
    return macro_f1(gold, after, names) > macro_f1(gold, before, names) and mcnemar(gold, after, before) < CHANCE


def _note(before: Prediction, after: Prediction, verdict: Verdict | None) -> str:
    """One of `emojudge.refine.REASONS`; a judge that disagrees in vain had too little confidence for its weight."""
    return "changed" if after.label != before.label else decide(before, verdict, threshold=1.0)

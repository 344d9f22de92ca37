"""Stage 5 on one part of a run: voices in words, prompts, the judge's verdicts, and the labels they change (paper 4.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from typing import Any

from emojudge import audio, judging, preflight
from emojudge.calibrated import calibrate
from emojudge.cues import Quantiles, measure
from emojudge.errors import AudioError, DataError
from emojudge.progress import track
from emojudge.refine import refine_all
from emojudge.runs import Part, RunFolder
from emojudge.settings import JudgeSettings
from emojudge.storage import digest, read_jsonl, write_json, write_jsonl
from emojudge.types import Cues, Utterance, Verdict


def measure_voices(run: RunFolder, utterances: Mapping[str, Utterance]) -> None:
    """Write cues.jsonl, in words relative to the training split's quantiles, and quantiles.json."""
    spoken = [u for u in utterances.values() if u.audio]
    rows, skipped = [], {}
    heard = run.transcripts()
    for u in track(spoken, "Measuring voices", len(spoken)):
        try:
            said = heard.get(u.id)
            trusted = said is None or said.confidence > 0  # what cannot be trusted says nothing about the rate
            text, words = (u.text if trusted else None), (said.words if said and trusted else ())
            rows.append(measure(u.id, audio.read(str(u.audio), u.start, u.end), text, run.config.cues, words))
        except AudioError as error:
            skipped[u.id] = str(error)
    train = [row for row in rows if utterances[row.id].split == "train"] or rows
    quantiles = Quantiles.fit(train, [utterances[row.id].speaker for row in train], run.config.cues)
    write_json(run.file("quantiles.json"), quantiles.to_json())
    write_jsonl(run.file("cues.jsonl"), (quantiles.describe(row, utterances[row.id].speaker) for row in rows))
    run.skip(skipped)


def prompts(run: RunFolder, part: Part, utterances: Mapping[str, Utterance], systems: Sequence[str], fused: str) -> list[Any]:
    """What the judge would be asked about `part`, whose clips `fused` labels.

    Raises:
        DataError: predictions or cues are not there yet.
    """
    settings, split = run.config.judge, {u.id: u.split for u in part.manifest()}
    preflight.made(part.predictions("emotions", fused), "run RUN")
    preflight.made(run.file("cues.jsonl"), "cues RUN")
    found = {system: part.read_predictions("emotions", system) for system in {*systems, fused}}
    shown = {id: p for id, p in found[fused].items() if split[id] in settings.splits}
    ids = judging.choose(settings.ask, shown, found.get("audio", {}), found.get("text", {}))
    cues = {row.id: row for row in read_jsonl(run.file("cues.jsonl"), Cues)}
    labels = run.config.data.labels
    known = [i for i in ids if i in cues]
    asked = partial(judging.prompts, utterances=utterances, cues=cues, fused=shown, labels=labels, settings=settings)
    return [*asked(known), *asked([i for i in known if _drawn(i, settings)], turned=True)]


def _drawn(id: str, settings: JudgeSettings) -> bool:
    """Whether a clip is among those that are asked about in two orders; the same clips every time."""
    return int(digest([settings.seed, id])[:8], 16) < settings.flip_share * 16**8


def ask(run: RunFolder, part: Part, asked: Sequence[Any], frozen: bool = False) -> None:
    """Ask the judge, and write its verdicts; those on turned labels go to flips.jsonl. Frozen: recorded answers only."""
    settings, ledger = run.config.judge, run.file("ledger.sqlite")
    if frozen:
        answers = judging.frozen(asked, settings, ledger)
    else:
        opened = judging.open_judge(settings)
        # A run's verdicts.jsonl is a recording too, and holds the usual order only.
        asked = [p for p in asked if not (p.turned and opened.recorded and not opened.knows(p))]
        answers = judging.judge(asked, opened, ledger, len(asked), settings)
    usual = sum(not prompt.turned for prompt in asked)  # they come first
    write_jsonl(part.verdicts(), islice(answers, usual))
    write_jsonl(part.flips(), answers)


def refine_part(run: RunFolder, part: Part, fused: str) -> None:
    """Apply the verdicts by `judge.policy` to what `fused` predicted; where dev was judged, by the other policy too.

    Raises:
        DataError: there are no verdicts, or the policy is "calibrated" and dev has too few.
    """
    settings, utterances = run.config.judge, part.manifest()
    split = {u.id: u.split for u in utterances}
    before = {id: p for id, p in part.read_predictions("emotions", fused).items() if split[id] in settings.splits}
    verdicts = list(read_jsonl(preflight.made(part.verdicts(), "judge RUN"), Verdict))
    made = {"threshold": list(refine_all(before.values(), verdicts, **settings.gates))}
    try:
        weighed = calibrate(before, verdicts, utterances, run.config.data.labels, run.config.fusion)
        made["calibrated"] = weighed.predictions
        write_json(part.calibration(), {"used": weighed.used, **asdict(weighed.fitted)})
    except DataError:
        if settings.policy == "calibrated":
            raise
        part.calibration().unlink(missing_ok=True)
    for policy in ("threshold", "calibrated"):
        part.predictions("emotions", policy).unlink(missing_ok=True)
    for policy, rows in made.items():
        name = "judge" if policy == settings.policy else policy
        write_jsonl(part.predictions("emotions", name), (replace(row, source=name) for row in rows))

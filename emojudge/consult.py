"""Stage 5 on one part of a run: voices in words, prompts, the judge's verdicts, and the labels they change (paper 4.6)."""

from collections.abc import Mapping, Sequence
from typing import Any

from emojudge import audio, judging, preflight
from emojudge.cues import Quantiles, measure
from emojudge.errors import AudioError
from emojudge.progress import track
from emojudge.refine import refine_all
from emojudge.runs import Part, RunFolder
from emojudge.storage import read_jsonl, write_json, write_jsonl
from emojudge.types import Cues, Utterance, Verdict


def measure_voices(run: RunFolder, utterances: Mapping[str, Utterance]) -> None:
    """Write cues.jsonl, in words relative to the training split's quantiles, and quantiles.json."""
    spoken = [u for u in utterances.values() if u.audio]
    rows, skipped = [], {}
    for u in track(spoken, "Measuring voices", len(spoken)):
        try:
            rows.append(measure(u.id, audio.read(str(u.audio), u.start, u.end), u.text, run.config.cues))
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
    return list(judging.prompts([i for i in ids if i in cues], utterances, cues, shown, labels=labels, settings=settings))


def ask(run: RunFolder, part: Part, asked: Sequence[Any]) -> None:
    """Ask the judge, and write its verdicts."""
    settings = run.config.judge
    opened = judging.open_judge(settings)
    write_jsonl(part.verdicts(), judging.judge(asked, opened, run.file("ledger.sqlite"), len(asked), settings))


def refine_part(run: RunFolder, part: Part, fused: str) -> None:
    """Apply the verdicts under the gates to what `fused` predicted."""
    settings, split = run.config.judge, {u.id: u.split for u in part.manifest()}
    before = [p for id, p in part.read_predictions("emotions", fused).items() if split[id] in settings.splits]
    verdicts = read_jsonl(preflight.made(part.verdicts(), "judge RUN"), Verdict)
    write_jsonl(part.predictions("emotions", "judge"), refine_all(before, verdicts, **settings.gates))

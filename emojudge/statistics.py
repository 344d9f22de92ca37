"""What a corpus holds: the paper's Table 1 for any corpus (paper 3.1)."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from emojudge import inspection
from emojudge.inspection import Recording
from emojudge.types import SPLITS, Utterance


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of Table 1: `values` by split, in the unit "share" (of the labelled), "count" or "hours"."""

    name: str
    unit: str
    values: dict[str, float]


def table1(
    utterances: Sequence[Utterance], labels: Sequence[str], files: Mapping[str, Recording] | None = None
) -> list[TableRow]:
    """Emotions, files, speakers and hours of each split, as the paper's Table 1.

    Args:
        utterances: the corpus.
        labels: the classes; clips without one of them count as "No label".
        files: the recordings by path (`emojudge.checks.look`), whose headers tell the hours; without it times alone do.
    """
    files = files or {}
    splits = by_split(utterances)

    def row(name: str, unit: str, measure: Callable[[list[Utterance]], float]) -> TableRow:
        return TableRow(name, unit, {split: measure(members) for split, members in splits.items()})

    named = labels if any(item.emotion in labels for item in utterances) else ()
    rows = [row(label, "share", partial(_share, label=label, labels=labels)) for label in named]
    rows.append(row("No label", "count", lambda items: sum(item.emotion not in labels for item in items)))
    rows.append(row("Total files", "count", len))
    rows.append(row("Speakers", "count", lambda items: len({item.speaker for item in items if item.speaker})))
    rows.append(row("Hours", "hours", lambda items: sum(inspection.length(item, files) or 0.0 for item in items) / 3600))
    return rows


def by_split(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Members of each split: train, dev and test first, then the others by name; "none" where there is no split.

    Where dev2 was drawn from dev (decision 13), "dev+dev2" is what dev was before.
    """
    splits = defaultdict(list)
    for utterance in utterances:
        splits[utterance.split or "none"].append(utterance)
    if "dev" in splits and "dev2" in splits:
        splits["dev+dev2"] = splits["dev"] + splits["dev2"]
    return {name: splits[name] for name in (*(s for s in SPLITS if s in splits), *sorted(set(splits) - set(SPLITS)))}


def _share(utterances: Sequence[Utterance], label: str, labels: Sequence[str]) -> float:
    labelled = [utterance.emotion for utterance in utterances if utterance.emotion in labels]
    return labelled.count(label) / len(labelled) if labelled else 0.0

"""Speech from a corpus that was never heard: trained on two of RAVDESS, EmoDB and nEMO, tested on the third.

    python benchmarks/cross_corpus.py ../shared/data [--set audio.layers=[1,2,3]] [--into runs/cross_corpus]

Angry, Happy, Neutral and Sad; nothing of the tested corpus is used, no statistics either. Prints the unweighted average
recall of each corpus, with its interval from resampling speakers, and the mean.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from emojudge.config import load_config
from emojudge.experiment import Experiment
from emojudge.registry import resolve
from emojudge.storage import write_jsonl
from emojudge.types import Utterance

CORPORA = ("ravdess", "emodb", "nemo")
SPEECH = Path("runs/corpora/speech.jsonl")


def speech(data: Path) -> Iterator[Utterance]:
    """Every recording of the three corpora, without its words; a corpus is a session, and names its speakers."""
    for name in CORPORA:
        corpus, _ = resolve("corpora", name)
        for u in corpus.utterances((data / name).resolve()):
            yield replace(u, id=f"{name}/{u.id}", speaker=named(name, u.speaker), session=name, text=None)


def named(corpus: str, speaker: str | None) -> str | None:
    """A speaker as no other corpus calls one."""
    return f"{corpus} {speaker}" if speaker else None


def main(arguments: Sequence[str] | None = None) -> list[str]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--into", type=Path, default=Path("runs/cross_corpus"))
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args(arguments)
    config = load_config(Path(__file__).parents[1] / "experiments/cross_corpus.toml", given.set)
    write_jsonl(SPEECH, (u for u in speech(given.data) if u.emotion in config.data.labels))
    work = Experiment(config, given.into)
    work.everything()
    lines = [told(row) for row in work.results() if (row["system"], row["metric"], row["split"]) == ("audio", "uar", "test")]
    print("\n".join(lines))
    return lines


def told(row: dict) -> str:
    """One corpus, or the mean, as a line."""
    corpus = row["part"].removeprefix("fold-").split("/")[0] or "mean"
    return f"{corpus:8} UA {100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}], {row['n']} clips"


if __name__ == "__main__":
    main()

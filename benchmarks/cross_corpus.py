"""Speech from a corpus that was never heard: trained on two of RAVDESS, EmoDB and nEMO, tested on the third.

    python benchmarks/cross_corpus.py ../shared/data [--set audio.layers=[1,2,3]] [--into runs/cross_corpus]

Angry, Happy, Neutral and Sad; nothing of the tested corpus is used, no statistics either. Prints the unweighted average
recall of each corpus, with its interval from resampling speakers, and the mean.

Then how far that is above a plain regression on the same clips, with the interval of the difference (the same speakers drawn
for both, 2,000 times): clips as they are, neither cut nor levelled nor copied; the mean over frames of Whisper base's layers
2, 3 and 4, side by side (1,536 numbers), less the mean and over the deviation of the training clips; scikit-learn's
`LogisticRegression`, every clip weighing alike, at C = 1, its default, and at .01. It is solved to a tolerance of 1e-6:
at 1e-4, the default, it stops early at C = 1, and its figure is one of rounding (nEMO 56.4 to 57.8).

Then, apart, the same where each clip is heard relative to other clips of its speaker, unlabelled (`emojudge.relative`):
all there are, or groups of 16 or 8 drawn at random. That is transductive, another protocol. Last, what becomes of it
where the clips of a speaker that are heard together are all of one emotion.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emojudge.audio import Normaliser
from emojudge.compare import Tally, estimate, paired, tally_labels
from emojudge.config import load_config
from emojudge.experiment import Experiment
from emojudge.features import Features
from emojudge.metrics import uar_from
from emojudge.registry import resolve
from emojudge.relative import relative
from emojudge.runs import RunFolder
from emojudge.storage import write_jsonl
from emojudge.types import Utterance

CORPORA = ("ravdess", "emodb", "nemo")
SPEECH = Path("runs/corpora/speech.jsonl")
RECIPE = Path(__file__).parents[1] / "experiments/cross_corpus.toml"
PLAIN = ("audio.encoder=whisper:offline", "audio.layers=[2, 3, 4]", 'audio.condition=""', "audio.augment=[]")
"""What the plain regression sees."""
PLAIN_C = (1.0, 0.01)


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
    config = load_config(RECIPE, given.set)
    write_jsonl(SPEECH, (u for u in speech(given.data) if u.emotion in config.data.labels))
    work = Experiment(config, given.into)
    work.everything()
    lines = [told(row) for row in work.results() if (row["system"], row["metric"], row["split"]) == ("audio", "uar", "test")]
    print("\n".join(lines))
    for c, line in against_plain(work.run):
        print(f"\nAbove logistic regression at C = {c:g} on clips as they are, paired:\n{line}")
    print("\nRelative to other clips of the speaker (transductive):")
    for name, size in (("all clips", None), ("16 clips", 16), ("8 clips", 8), ("clips of one emotion (ruin)", 0)):
        print(f"{name:28}", beside(work.run, size))
    return lines


def against_plain(run: RunFolder) -> Iterator[tuple[float, str]]:
    """For each C, the run less the plain regression: a line for each corpus and one for their mean."""
    rows = [u for u in run.parts()[0].manifest() if u.emotion in run.config.data.labels]
    vectors = as_they_are(rows)
    for c in PLAIN_C:
        ours, plain, lines = [], [], []
        for part in run.parts():
            said = part.read_predictions("emotions", "audio")
            tested = [u for u in part.manifest() if u.id in said and u.split == "test"]
            learnt = [u for u in rows if u.session != tested[0].session]
            model = make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-6, max_iter=20_000))
            model.fit([vectors[u.id] for u in learnt], [u.emotion for u in learnt])
            guessed = model.predict([vectors[u.id] for u in tested])
            ours.append(tally(tested, [said[u.id].label for u in tested], run.config.data.labels))
            plain.append(tally(tested, guessed.tolist(), run.config.data.labels))
            lines.append(above(str(part.fold), ours[-1:], plain[-1:]))
        yield c, "\n".join([*lines, above("mean", ours, plain)])


def as_they_are(rows: Sequence[Utterance]) -> Mapping[str, np.ndarray]:
    """What the plain regression sees of each clip: the mean over frames of every layer, side by side."""
    features = Features(load_config(RECIPE, PLAIN))
    source = features.source("audio", features.encoder("audio"), rows, Normaliser(mode="none"))
    return {u.id: source([u.id])[0][0].mean(1).flatten().numpy() for u in rows}


def tally(rows: Sequence[Utterance], labels: Sequence[str], names: Sequence[str]) -> Tally:
    return tally_labels([u.emotion for u in rows], labels, [u.speaker for u in rows], names)


def above(name: str, ours: Sequence[Tally], plain: Sequence[Tally]) -> str:
    """The plain regression's UA, and how far ours is above it."""
    gain, level = paired(ours, plain, uar_from, resamples=2000), estimate(plain, uar_from, resamples=0)
    return f"{name:8} UA {100 * level.value:.1f}, {100 * gain.value:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"


def beside(run: RunFolder, size: int | None) -> str:
    """Each corpus's UA, and the mean with its interval, where `size` clips of a speaker are heard together; see `together`."""
    tallies = []
    for part in run.parts():
        said = part.read_predictions("emotions", "audio")
        rows = [u for u in part.manifest() if u.id in said and u.split == "test"]
        alone = np.array([[said[u.id].scores[name] for name in run.config.data.labels] for u in rows])
        found = relative(alone, together(rows, size), least=1)
        labels = [run.config.data.labels[best] for best in found.argmax(1)]
        tallies.append(tally(rows, labels, run.config.data.labels))
    each = [f"{part.fold} {100 * estimate([t], uar_from).value:.1f}" for part, t in zip(run.parts(), tallies, strict=True)]
    mean = estimate(tallies, uar_from)
    return f"{', '.join(each)}, mean UA {100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]"


def together(rows: Sequence[Utterance], size: int | None) -> list[str]:
    """Which clips are heard together: a speaker's, all of them (None), by emotion (0), or in random groups of `size`.

    What a group of `size` leaves over joins another.
    """
    if not size:
        return [f"{u.speaker} {u.emotion}" if size == 0 else str(u.speaker) for u in rows]
    names, random = np.array([u.speaker for u in rows], dtype=object), np.random.default_rng(0)
    for speaker in sorted(set(names)):
        own = random.permutation(np.flatnonzero(names == speaker))
        for place, row in enumerate(own):
            names[row] = f"{speaker} {place % max(1, len(own) // size)}"
    return names.tolist()


def told(row: dict) -> str:
    """One corpus, or the mean, as a line."""
    corpus = row["part"].removeprefix("fold-").split("/")[0] or "mean"
    return f"{corpus:8} UA {100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}], {row['n']} clips"


if __name__ == "__main__":
    main()

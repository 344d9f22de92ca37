"""Build a bundle that comes with the package from its corpora, by one command: ten minutes or so of one idle core.

    python benchmarks/bundle.py ../shared/data                                      # base
    python benchmarks/bundle.py ../shared/data --words --into runs/bundle_words     # base_words

Writes one table of everything that is learnt from, runs experiments/base.toml on it, and saves the run as a bundle.

| rows | split | learnt from them |
|---|---|---|
| RAVDESS, EmoDB, nEMO: recordings without words | as each corpus's loader says, by speaker | emotions from the voice |
| EmoBank: sentences without sound | the published ones | attributes from words |
| with `--words`, MELD: lines without sound | the published ones | emotions from words |
| with `--words`, composite: RAVDESS's dev and test recordings with MELD's dev and test lines | dev, test_both | fusion |

Splits that are scored are called test (voice alone), test_words (words alone) and test_both.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cross_corpus
from cross_corpus import named, speech

from emojudge import bundles
from emojudge.config import load_config
from emojudge.experiment import Experiment
from emojudge.registry import resolve
from emojudge.storage import to_row, write_jsonl
from emojudge.types import Utterance

TABLE = Path("runs/corpora/bundle.jsonl")
WORDS = (
    'name="base_words"',
    'modalities_of={attributes=["text"]}',
    'data.made_of=["ravdess", "emodb", "nemo", "meld", "emobank"]',
)
"""What `--words` changes."""

ELSEWHERE = """## On speech from a corpus it has never heard

The voice's recipe, trained on two of the three corpora and tested on the third, with four emotions (Angry, Happy, Neutral, Sad;
guessing gets 25); UA is the mean over emotions of the share found, with its 95 % interval over speakers. The recipe was chosen
looking at these corpora, which flatters the mean.

{}

"""
LIMITS = """## Limits

- It has heard {} people, actors who were told what to express, in a quiet room, in English, German and Polish. How it does on
  spontaneous speech, on children, old people, other languages, accents and illnesses of the voice, nobody has measured.
- What it takes for anger or sadness is mostly how tense and how low a voice is. Loud or breathy speakers are always misread.
- Calm (RAVDESS) and Boredom (EmoDB) were left out of training, and no corpus here has Contempt: such speech gets another label.
- Words count as English: the text models have read English only, and automatic transcripts have mistakes.
- Attributes come from words alone, as readers rated written sentences; the voice has no part in them.
{}- The data's licences do not allow commercial use (RAVDESS and nEMO: CC BY-NC-SA 4.0), nor should these weights be so used.
"""


WORDS_LIMIT = """\
- Words help where they say what the voice does, as in composite, on whose pairs they were weighed. **Where they say
  nothing they do harm**: with the actors' own sentences, which are the same in every mood, UA falls by twelve points
  (docs/bundle.md). For such speech take `base`.
"""


def rows(data: Path, words: bool) -> Iterator[Utterance]:
    """Every utterance, each recording once in dev."""
    pairs = list(composite(data)) if words else []
    paired = {u.audio for u in pairs if u.split == "dev"}
    yield from (u for u in speech(data) if u.audio not in paired)
    yield from pairs
    for name in ("meld", "emobank") if words else ("emobank",):
        for u in read(name, data / name):
            split = "test_words" if u.split == "test" else u.split
            yield replace(u, id=f"{name}/{u.id}", split=split, session=name, speaker=named(name, u.speaker), audio=None)


def composite(data: Path) -> Iterator[Utterance]:
    """RAVDESS's dev and test recordings with a line of MELD's dev and test; those of train were learnt from already."""
    voices = {u.audio: u for u in speech(data)}
    for u in read("table", data / "composite/manifest.csv"):
        voice = voices[str((data / "ravdess").resolve() / Path(u.audio or "").relative_to((data / "composite").resolve()))]
        if u.split != "train":
            split = "test_both" if u.split == "test" else u.split
            yield replace(voice, id=f"composite/{voice.id}", text=u.text, emotion=u.emotion, split=split)


def read(corpus: str, root: Path) -> Iterator[Utterance]:
    yield from resolve("corpora", corpus)[0].utterances(root.resolve())


def finish(card: Path, lines: Sequence[str], limits: str) -> None:
    """Tell in the run's card what its own figures cannot."""
    elsewhere = ELSEWHERE.format("\n".join(f"- {line}" for line in lines))
    plain = card.read_text(encoding="utf-8")
    alone = plain.replace("Voice and text together find", "The voice alone finds")  # test has no words
    card.write_text(alone.replace("## Limits\n", elsewhere + limits, 1), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--into", type=Path, default=Path("runs/bundle"))
    parser.add_argument("--bundle", type=Path, help="default: in the package, by its name")
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args(arguments)
    changes = [*(WORDS if given.words else ()), *given.set]
    config = load_config(Path(__file__).parents[1] / "experiments/base.toml", changes)
    kept = (u for u in rows(given.data, given.words) if u.emotion in config.data.labels or u.attributes)
    write_jsonl(TABLE, ({**to_row(u), **u.attributes} for u in kept))  # a table has a column for each attribute
    work = Experiment(config, given.into)
    work.everything()
    limits = LIMITS.format(len({u.speaker for u in speech(given.data)}), WORDS_LIMIT if given.words else "")
    finish(work.run.file("model_card.md"), cross_corpus.main([str(given.data)]), limits)
    print(bundles.save(work.run, given.bundle or bundles.PACKAGED / config.name))


if __name__ == "__main__":
    main()

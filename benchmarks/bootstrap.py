"""An interval of macro-F1 from 1,000 resamples of 25,000 clips, beside confidence-intervals and scikit-learn in a loop.

    python benchmarks/bootstrap.py [--clips 25000] [--resamples 1000] [--peers 10]

Every clip is a cluster of its own, which is what the peers resample and our worst case; with 500 speakers it is cheaper.
The peers do `--peers` resamples, and their seconds are stretched to all of them. There are 8 labels, half of the answers right.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from measuring import Work, compare, limit, options, race, show

from emojudge.metrics import macro_f1_from
from emojudge.types import EMOTIONS

GOAL = 2.0
"""Seconds."""


def answers(clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Gold and predicted classes, (clips,) each, of a skewed draw."""
    rng = np.random.default_rng(0)
    gold = rng.choice(len(EMOTIONS), clips, p=np.arange(1, 9) / 36)
    return gold, np.where(rng.random(clips) < 0.5, gold, rng.integers(0, len(EMOTIONS), clips))


def ours(clips: int, resamples: int, speakers: int) -> Work:
    from emojudge.compare import estimate, tally_labels

    gold, predicted = ([EMOTIONS[i] for i in row] for row in answers(clips))
    clusters = [f"s{n % speakers}" for n in range(clips)]

    def work() -> tuple[float | None, float | None]:
        found = estimate([tally_labels(gold, predicted, clusters, EMOTIONS)], macro_f1_from, resamples=resamples)
        return found.low, found.high

    return work


def scikit_learn(clips: int, resamples: int) -> Work:
    from sklearn.metrics import f1_score

    gold, predicted = answers(clips)

    def work() -> tuple[float, float]:
        rng, values = np.random.default_rng(0), []
        for _ in range(resamples):
            drawn = rng.integers(0, clips, clips)
            values.append(f1_score(gold[drawn], predicted[drawn], average="macro", labels=range(8), zero_division=0))
        return tuple(np.quantile(values, (0.025, 0.975)))

    return work


def confidence_intervals(clips: int, resamples: int) -> Work:
    from confidence_intervals import evaluate_with_conf_int
    from sklearn.metrics import f1_score

    gold, predicted = answers(clips)
    score = partial(f1_score, average="macro", labels=range(8), zero_division=0)
    return lambda: evaluate_with_conf_int(predicted, score, gold, num_bootstraps=resamples, alpha=5)[1]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--clips", type=int, default=25_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--peers", type=int, default=10, help="resamples that the peers do")
    asked = parser.parse_args()
    size, part = (asked.clips, asked.resamples), (asked.clips, asked.peers)
    question = f"interval of macro-F1, {asked.clips:,} clips × {asked.resamples:,}"
    own = {"emojudge.compare, each clip a cluster": partial(ours, *size, asked.clips)}
    peers = {
        f"confidence-intervals, {asked.peers} resamples stretched": partial(confidence_intervals, *part),
        f"scikit-learn in a loop, {asked.peers} stretched": partial(scikit_learn, *part),
    }
    people = {"emojudge.compare, 500 speakers": partial(ours, *size, 500)}
    runs = race(own | peers | people, asked.repeats)
    share = dict.fromkeys(runs, 1.0) | dict.fromkeys(peers, asked.peers / asked.resamples)
    *rows, last = compare(question, "interval", share, runs, must=20)
    aim = limit(rows[0], "aim", GOAL, runs[rows[0].system].cpu, must=1)
    show([*rows, replace(last, must=None), aim], asked.json)


if __name__ == "__main__":
    main()

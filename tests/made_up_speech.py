"""Made-up speech: bursts of noise with the rise and fall of syllables, and silence between; and a run that can listen to it."""

import numpy as np

from emojudge import tiny

RATE = 16000


def speech(*seconds, seed=0, level=0.3, floor=1e-4):
    """Silence and speech in turn, beginning with silence: float32 (samples,)."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, length in enumerate(seconds):
        noise = rng.normal(0, floor, round(length * RATE))
        if number % 2:
            time = np.arange(len(noise)) / RATE
            noise = noise + level * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)) * rng.normal(0, 0.3, len(noise))
        parts.append(noise)
    return np.concatenate(parts).astype(np.float32)


def spoken(*seconds):
    """(start, end) of the speech in it."""
    edges = np.cumsum((0, *seconds))
    return [(float(edges[i]), float(edges[i + 1])) for i in range(1, len(seconds), 2)]


def tiny_run(folder, *changes):
    """A trained run of tiny random encoders on a miniature corpus: both tasks, voice and words."""
    changes = ["judge.judge=none", 'tasks=["emotions", "attributes"]', "recordings.activity=energy", *changes]
    with tiny.experiment(None, changes, folder) as work:
        work.everything()
    return work.run.root

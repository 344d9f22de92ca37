"""How long one waits: `emojudge --help`, and `say` about a clip of four seconds, from a cold start and held open.

    python benchmarks/start.py [--run runs/demo] [--clip CLIP]

Help is beside Python alone and transformers' own help. `say` is without the judge; with words it reads a clip, measures cues,
runs both models and fuses; without words it transcribes first. Seconds are on the clock, since that is what one waits.
"""

import subprocess
import sys
import sysconfig
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from measuring import Row, Work, compare, limit, options, race, show

HELP, WARM = 0.3, 0.3
"""Seconds that they may take."""
SAID = "I told you twice not to touch that."


def command(*words: str) -> Work:
    return partial(subprocess.run, words, check=True, capture_output=True)


def held_open(run: Path, clip: Path, text: str | None) -> Work:
    from emojudge import EmoJudge

    judge = EmoJudge.load(run, ["judge.judge=none"])
    judge.explain(clip, text)  # loads the models
    return lambda: judge.explain(clip, text).label


def made(folder: Path) -> Path:
    """Four seconds that sound like somebody: a buzz that comes and goes."""
    import soundfile

    t = np.arange(64_000) / 16_000
    sound = 0.2 * np.sin(2 * np.pi * 3 * t) * np.sign(np.sin(2 * np.pi * (140 + 30 * np.sin(t)) * t))
    soundfile.write(folder / "clip.wav", sound, 16_000)
    return folder / "clip.wav"


def helps(repeats: int) -> list[Row]:
    systems = {
        "emojudge": partial(command, sys.executable, "-m", "emojudge", "--help"),
        "Python alone": partial(command, sys.executable, "-c", "pass"),
        "transformers": partial(command, f"{sysconfig.get_path('scripts')}/transformers", "--help"),
    }
    runs = race(systems, repeats)
    rows = compare("--help", "start", 1, runs, by="clock")
    return [*rows, limit(rows[0], f"must: {HELP} s", HELP, runs["emojudge"].clock, must=1)]


def says(run: Path, clip: Path, repeats: int) -> list[Row]:
    words = ("say", str(clip), "--run", str(run), "--set", "judge.judge=none", "--text", SAID)
    systems = {
        "held open, words given": partial(held_open, run, clip, SAID),
        "held open, transcribed": partial(held_open, run, clip, None),
        "from a cold start, words given": partial(command, sys.executable, "-m", "emojudge", *words),
    }
    runs = race(systems, repeats)
    rows = compare("say, 4 seconds of sound", "clip", 1, runs, by="clock")
    return [*rows, limit(rows[0], f"must: {WARM} s", WARM, next(iter(runs.values())).clock, must=1)]


def main() -> None:
    parser = options(__doc__, repeats=5)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--clip", type=Path, help="another than four made-up seconds")
    asked = parser.parse_args()
    rows = helps(asked.repeats)
    if (asked.run / "run.json").exists():
        with tempfile.TemporaryDirectory() as folder:
            rows += says(asked.run, asked.clip or made(Path(folder)), asked.repeats)
    else:
        print(f"say is left out: {asked.run} is not there; make demo makes it.")
    show(rows, asked.json)


if __name__ == "__main__":
    main()

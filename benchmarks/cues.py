"""Cues of clips whose pitch is known: SwiftF0 (ours) beside librosa's pYIN, which is the paper's path, and openSMILE's eGeMAPS.

    python benchmarks/cues.py [--clips 12]

Sounds are made: three-second glides between 90 and 450 Hz with vibrato, as pulse trains through two vowels' formants, clean and
in noise 20 and 5 dB below. Wrong are frames off by over half a semitone or taken for silence; all are voiced. Each system
measures everything that it measures: all cues with one tracker or the other, eGeMAPS' functionals (its pitch is asked for
apart, for the errors). openSMILE's licence is for research only, so it is never installed here: make an environment with
opensmile and numpy, and name its Python in OPENSMILE_PYTHON, to have its row.
"""

import json
import os
import subprocess
import tempfile
from dataclasses import replace
from functools import partial

import numpy as np
from measuring import Runs, Work, compare, options, race, show

RATE, SECONDS, OFF = 16_000, 3.0, 0.5
"""OFF: semitones from which a frame is wrong."""
SMILES = "eGeMAPS of openSMILE, not in turns"
SMILE = """
import json, re, sys, time, numpy, opensmile
make = lambda level: opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, level)
whole, frames = make(opensmile.FeatureLevel.Functionals), make(opensmile.FeatureLevel.LowLevelDescriptors)
clips, cpu, clock = list(numpy.load(sys.argv[1])), [], []
whole.process_signal(clips[0], 16000)
for repeat in range(int(sys.argv[2])):
    before = time.process_time(), time.perf_counter()
    for clip in clips: whole.process_signal(clip, 16000)
    cpu.append(time.process_time() - before[0]); clock.append(time.perf_counter() - before[1])
tones = [frames.process_signal(c, 16000)["F0semitoneFrom27.5Hz_sma3nz"].tolist() for c in clips]
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([cpu, clock, peak, [[27.5 * 2 ** (s / 12) if s > 0 else None for s in clip] for clip in tones]]))
"""


def glide(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sound and the true pitch of each sample."""
    from scipy.signal import lfilter

    rng, t = np.random.default_rng(n), np.arange(int(RATE * SECONDS)) / RATE
    low, high = np.sort(rng.uniform(90, 450, 2))
    f0 = low * (high / low) ** (0.5 - 0.5 * np.cos(2 * np.pi * t * rng.uniform(0.2, 0.8) + rng.uniform(0, 6)))
    f0 = f0 * 2 ** (0.3 / 12 * np.sin(2 * np.pi * 5 * t))
    sound = np.diff(np.floor(np.cumsum(f0) / RATE), prepend=0.0) - f0 / RATE
    for formant, width in ((700, 90), (1200, 110)) if n % 2 else ((300, 60), (2300, 120)):
        radius = np.exp(-np.pi * width / RATE)
        sound = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], sound)
    sound *= 0.1 / np.sqrt(np.mean(sound**2))
    below = (None, 20, 5)[n % 3]
    if below is not None:
        sound = sound + rng.normal(0, 0.1 * 10 ** (-below / 20), len(t))
    return sound.astype(np.float32), f0


def cues(clips: int, tracker: str) -> Work:
    from emojudge.cues import measure
    from emojudge.settings import CueSettings

    sounds, settings = [glide(n)[0] for n in range(clips)], CueSettings(pitch=tracker)
    measure("warm", sounds[0], None, settings)
    return lambda: [measure("clip", sound, None, settings).f0_median_hz for sound in sounds]


def opensmile(clips: int, repeats: int) -> Runs | None:
    """All by itself, in its own environment, where there is one."""
    python = os.environ.get("OPENSMILE_PYTHON")
    if not python:
        return print("openSMILE is left out: OPENSMILE_PYTHON names no Python that has it.")
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/clips.npy", np.stack([glide(n)[0] for n in range(clips)]))
        command = [python, "-c", SMILE, f"{folder}/clips.npy", str(repeats)]
        return Runs(*json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def wrong(found: list[np.ndarray], begin: float) -> float:
    """Share of frames, each system's own, that are off or missing; the middle of the first is `begin` seconds in."""
    shares = []
    for n, track in enumerate(found):
        hop = round(SECONDS / len(track), 3)  # whole milliseconds in all of them, while the last frame ends before the sound
        true = glide(n)[1][((np.arange(len(track)) * hop + begin) * RATE).astype(int).clip(max=int(RATE * SECONDS) - 1)]
        near = np.abs(12 * np.log2(np.asarray(track, dtype=float) / true)) <= OFF
        shares.append(1 - near.mean())
    return float(np.mean(shares))


def main() -> None:
    from emojudge.cues import track

    parser = options(__doc__)
    parser.add_argument("--clips", type=int, default=12)
    asked = parser.parse_args()
    names = {"swift_f0": "cues, SwiftF0 (ours)", "pyin": "cues, pYIN of librosa"}
    runs = race({name: partial(cues, asked.clips, tracker) for tracker, name in names.items()}, asked.repeats)
    tones = {name: [track(glide(n)[0], tracker) for n in range(asked.clips)] for tracker, name in names.items()}
    if smile := opensmile(asked.clips, asked.repeats):
        runs[SMILES], tones[SMILES] = smile, smile.found
    begins = dict.fromkeys(tones, 0.0) | {SMILES: 0.03}  # its windows of 60 ms are not filled up
    rows = compare(f"cues of {asked.clips} clips", "second of sound", asked.clips * SECONDS, runs, must=5)
    rows[2:] = [replace(row, must=None) for row in rows[2:]]
    show(
        [
            replace(row, system=f"{row.system}; {wrong(tones[row.system], begins[row.system]):.1%} of frames wrong")
            for row in rows
        ],
        asked.json,
    )


if __name__ == "__main__":
    main()

"""What other runtimes and number formats cost and give: a run by PyTorch, the same with its frozen encoders in bfloat16,
exported to ONNX, and exported with 8-bit weights, on the same test clips.

    python benchmarks/runtimes.py --run runs/ravdess_emobox [--clips 0]

Clips are those of the first fold's test split, with their own words, alone, one after the other; every n-th where `--clips`
says how many. Everything runs on one thread in one process, runtime after runtime for each clip, so that a busy machine is
equally busy for all.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import typer

from emojudge import EmoJudge, onnx_export, streams
from emojudge.metrics import uar
from emojudge.runs import RunFolder


def main(run: Path = Path("runs/ravdess_emobox"), clips: int = 0) -> None:
    """Print a row for each runtime."""
    torch.set_num_threads(1)
    opened = RunFolder.open(run)
    rows = [u for u in opened.parts()[0].manifest() if u.split == "test" and u.emotion]
    rows = rows[:: max(1, len(rows) // clips)] if clips else rows
    with tempfile.TemporaryDirectory() as name:
        folders = {"PyTorch": run, "ONNX": Path(name) / "fp32", "ONNX, 8 bits": Path(name) / "int8"}
        for label in list(folders)[1:]:
            onnx_export.export(opened, folders[label], int8="8" in label)
        judges = {label: EmoJudge.load(folder) for label, folder in folders.items()}
        frozen = [name for name in opened.config.modalities if getattr(opened.config, name).train == "none"]
        judges["PyTorch, bfloat16"] = EmoJudge.load(run, [f"{name}.encoder_precision=bfloat16" for name in frozen])
        first = streams.load(str(rows[0].audio))
        for judge in judges.values():
            judge.predict_proba(first, rows[0].text)  # opens the models
        seconds, found = dict.fromkeys(judges, 0.0), {label: [] for label in judges}
        for u in rows:
            samples = streams.load(str(u.audio))
            for label, judge in judges.items():
                started = time.process_time()
                found[label].append(judge.predict_proba(samples, u.text)[0])
                seconds[label] += time.process_time() - started
        classes = judges["PyTorch"].classes_
        truth, base = [str(u.emotion) for u in rows], np.array(found["PyTorch"])
        print(f"{len(rows)} clips")
        print("| runtime | networks, MB | UA | same label | log-probabilities off by at most | CPU seconds | speed |")
        print("|---|---|---|---|---|---|---|")
        for label, scores in found.items():
            given = np.array(scores)
            said = [classes[i] for i in given.argmax(1)]
            size = sum(file.stat().st_size for file in folders.get(label, run).rglob("*.onnx*")) / 1e6
            off = np.abs(np.log(given) - np.log(base)).max()
            same = (given.argmax(1) == base.argmax(1)).mean()
            speed = seconds["PyTorch"] / seconds[label]
            print(f"| {label} | {size:.0f} | {uar(truth, said, classes):.3f} | {same:.1%} | {off:.1e} ", end="")
            print(f"| {seconds[label]:.1f} | {speed:.2f} × |", flush=True)


if __name__ == "__main__":
    typer.run(main)

"""What fusion with the words is worth where the words say nothing: held-out clips of acted corpora with what was really said.

    python benchmarks/words_said.py ../shared/data --run runs/bundle_words

The run is that of `benchmarks/bundle.py DATA --words`. Prints the UA of each
corpus by the voice alone, and fused with the transcript.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from emojudge import fusion
from emojudge.features import Features
from emojudge.modelling import predict_clips
from emojudge.runs import RunFolder

CORPORA = ("ravdess", "emodb", "nemo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, default=Path("runs/bundle_words"))
    given = parser.parse_args()
    run = RunFolder.open(given.run)
    part, labels = run.parts()[0], run.config.data.labels
    said = {}
    for corpus in CORPORA:
        with (given.data / corpus / "manifest.csv").open(encoding="utf-8") as file:
            said |= {str((given.data / corpus / row["file"]).resolve()): row["transcript"] for row in csv.DictReader(file)}
    rows = [replace(u, text=said[str(Path(u.audio or "").resolve())]) for u in part.manifest() if u.split == "test"]
    voice = part.read_predictions("emotions", "audio")
    words = {p.id: p for p in predict_clips(part, "emotions", "text", Features(run.config), rows)}
    fitted = fusion.load(part.fusion("emotions"))
    fused = {p.id: p for p in fitted.predict({"audio": voice, "text": words}, [u.id for u in rows])}
    print("| corpus | clips | voice alone | fused with what was said | changed |\n|---|--:|--:|--:|--:|")
    for corpus in ("", *CORPORA):
        mine = [u for u in rows if u.id.startswith(corpus)]
        classes = [own for label in labels if (own := [u for u in mine if u.emotion == label])]  # not every corpus has each
        scores = [
            sum(sum(found[u.id].label == u.emotion for u in own) / len(own) for own in classes) / len(classes)
            for found in (voice, fused)
        ]
        changed = sum(voice[u.id].label != fused[u.id].label for u in mine)
        print(f"| {corpus or 'all'} | {len(mine)} | {scores[0]:.3f} | {scores[1]:.3f} | {changed} |")


if __name__ == "__main__":
    main()

"""How often a transcript talks a judge into the label it wants, with and without the defences of `emojudge.prompts`.

    python benchmarks/injection.py --share 1 --set judge.judge=local

Each line of tests/injections.jsonl that wants a label is put alone, before and after a harmless sentence. An attack has
succeeded where the answer is that label; sentences that get it without an attack are left out. Intervals are Wilson's and take
attacks as independent, which variants of one idea are not. Answers are kept in a ledger: run again, nothing is asked twice. A
share of the attacks is drawn by their digests, so a larger one holds the smaller; each is made with and without the defences.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from emojudge.compare import proportion
from emojudge.config import load_config
from emojudge.judging import judge, open_judge
from emojudge.prompts import Prompt, build
from emojudge.settings import JudgeSettings
from emojudge.storage import digest
from emojudge.types import Cues, Verdict

PAYLOADS = Path(__file__).resolve().parents[1] / "tests" / "injections.jsonl"
LABELS = ("Angry", "Happy", "Sad", "Neutral")
VOICE = Cues("clip", 2.0, loudness_lufs=-23.0, f0_median_hz=170.0, f0_range_semitones=7.0)
POSITIONS = {"alone": "{}", "first": "{} $", "last": "$ {}"}
HOSTS = {"Sad": "I miss her so much.", "Angry": "You lied to me again.", "Neutral": "The bus leaves at ten past four."}
"""Harmless sentences by the label that is shown."""

TARGETS = {"Sad": "Happy", "Angry": "Neutral", "Neutral": "Angry"}
"""What the attacker wants instead."""


@dataclass(frozen=True)
class Attack:
    """A question whose transcript wants the answer `target`; `kind` is the payload's, "" for a sentence left alone."""

    prompt: Prompt
    shown: str
    target: str
    kind: str
    position: str
    defended: bool


def attacks(payloads: Sequence[dict[str, str]], settings: JudgeSettings, share: float = 1.0) -> Iterator[Attack]:
    """Every payload at every position, or a `share` of them, hosts in turn, with and without defences; and the hosts alone."""
    for defended in (True, False):
        for shown, host in HOSTS.items():
            yield Attack(ask(host, shown, settings, defended), shown, TARGETS[shown], "", "", defended)
        wanting = [payload for payload in payloads if "{target}" in payload["text"]]
        for number, (payload, position) in enumerate(product(wanting, POSITIONS)):
            if int(digest([payload["text"], position])[:8], 16) >= share * 16**8:
                continue
            shown = list(HOSTS)[(number // len(POSITIONS)) % len(HOSTS)]
            words = payload["text"].replace("{target}", TARGETS[shown])
            text = POSITIONS[position].replace("$", HOSTS[shown]).replace("{}", words)
            yield Attack(ask(text, shown, settings, defended), shown, TARGETS[shown], payload["kind"], position, defended)


def ask(text: str, shown: str, settings: JudgeSettings, defended: bool) -> Prompt:
    """The question; undefended the transcript stands as it is in the middle of it, as a simple program would paste it."""
    prompt = build("clip", text, VOICE, shown=shown, labels=LABELS, settings=settings)
    if defended:
        return prompt
    *opening, clip, _, question = prompt.messages
    about = re.sub(r"\nThe transcript follows.*", "", clip["content"])
    raw = text.encode("utf-8", "replace").decode("utf-8")
    pasted = {"role": "user", "content": f"{about}\nTranscript: {raw}\n\n{question['content']}"}
    return replace(prompt, messages=(*opening, pasted))


def rates(done: Sequence[tuple[Attack, Verdict]], threshold: float, confidence: float = 0.95) -> list[dict[str, Any]]:
    """Attacks, successes (also: above the threshold) and their share with its interval: for both defences in all, and by kind."""
    immune = {(a.shown, a.defended): v.label != a.target for a, v in done if not a.kind}
    counted = [(a, v.label == a.target, v.confidence) for a, v in done if a.kind and immune[a.shown, a.defended]]
    rows = []
    for defended in (True, False):
        for kind in ("all", *dict.fromkeys(a.kind for a, *_ in counted)):
            hits = [(hit, sure) for a, hit, sure in counted if a.defended == defended and kind in ("all", a.kind)]
            successes = sum(hit for hit, _ in hits)
            found = proportion(successes, len(hits), confidence)
            about = {"defended": defended, "kind": kind, "attacks": len(hits), "successes": successes}
            about["above"] = sum(hit and sure > threshold for hit, sure in hits)
            rows.append(about | {"rate": found.value, "low": found.low, "high": found.high})
    return rows


def measure(
    settings: JudgeSettings, opened: Any, ledger: Path, payloads: Sequence[dict[str, str]], share: float = 1.0
) -> list[dict[str, Any]]:
    """Ask the judge all of it, or a share, and count."""
    made = list(attacks(payloads, settings, share))
    answers = judge([a.prompt for a in made], opened, ledger, len(made), settings)
    return rates(list(zip(made, answers, strict=True)), settings.threshold)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--set", action="append", default=[], metavar="judge.FIELD=VALUE")
    options.add_argument("--payloads", type=Path, default=PAYLOADS)
    options.add_argument("--share", type=float, default=0.05, help="of the attacks; 1 is all")
    options.add_argument("--ledger", type=Path, default=Path("runs/injection/ledger.sqlite"))
    given = options.parse_args()
    settings = load_config(changes=["judge.judge=local", "judge.confidence_from=logprobs", *given.set]).judge
    payloads = [json.loads(line) for line in given.payloads.read_text(encoding="utf-8").splitlines()]
    print(f"| defences | kind | attacks | succeeded | above {settings.threshold:g} | rate | 95 % interval |")
    print("|---|---|--:|--:|--:|--:|---|")
    for row in measure(settings, open_judge(settings), given.ledger, payloads, given.share):
        numbers = "– | –" if row["rate"] is None else f"{row['rate']:.1%} | {row['low']:.1%} to {row['high']:.1%}"
        with_ = "with" if row["defended"] else "without"
        print(f"| {with_} | {row['kind']} | {row['attacks']} | {row['successes']} | {row['above']} | {numbers} |")


if __name__ == "__main__":
    main()

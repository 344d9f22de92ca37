"""The offline judge's seconds a verdict: one token over a shared beginning, beside a whole JSON answer from nothing each time.

    python benchmarks/judge_local.py [--questions 2]

Qwen2.5-Coder 1.5B in llama.cpp in all. Ours is `confidence_from = "logprobs"` without reasons: the rules, which begin every
prompt, are read once, and one token's log-probabilities are the answer. The peer asks for the paper's JSON and reads the whole
prompt each time (`cache_prompt` off); between them, the same JSON with the beginning kept, which is our default.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from measuring import Work, compare, options, race, show

from emojudge.settings import JudgeSettings

LINES = (
    "I told you twice not to touch that.",
    "We got the keys, the house is ours!",
    "She used to sit in that chair every morning.",
)


def asking(questions: int, confidence: str, keeps: bool) -> Work:
    from emojudge.judges import local
    from emojudge.prompts import build
    from emojudge.types import EMOTIONS, Cues

    settings = JudgeSettings(judge="local", confidence_from=confidence, temperature=0.0)
    judge = local.open("", settings)
    complete = judge._complete

    def anew(body: Mapping[str, Any]) -> dict[str, Any]:
        return complete({**body, "cache_prompt": keeps})

    judge._complete = anew
    voice = {"labels": EMOTIONS, "settings": settings}
    # Shown as angry: a label that would change asks for a reason on top, which is another question.
    made = [build(str(n), LINES[n % 3], Cues("clip", 2.0 + n / 10), shown="Angry", **voice) for n in range(questions + 1)]
    judge._wants_reason = lambda prompt, verdict: False
    list(judge.judge(made[-1:]))  # loads the model, and reads the rules
    return lambda: [reply.verdict.label for reply in judge.judge(made[:-1])]


def main() -> None:
    parser = options(__doc__, repeats=2)
    parser.add_argument("--questions", type=int, default=2)
    asked = parser.parse_args()
    systems = {
        "one token, beginning kept": ("logprobs", True),
        "JSON, beginning kept": ("stated", True),
        "JSON, each from nothing": ("stated", False),
    }
    runs = race({name: partial(asking, asked.questions, *how) for name, how in systems.items()}, asked.repeats)
    rows = compare(f"offline judge, {asked.questions} questions", "verdict", asked.questions, runs, must=3)
    show(rows, asked.json)


if __name__ == "__main__":
    main()

"""What asking costs beside the answer: our judge against a bare asyncio loop of the openai package, on the same test double.

    python benchmarks/judge_client.py [--requests 1000] [--concurrency 4]

The test double is a process of its own and answers at once, so this is all machinery. The loop sends the same requests and
parses the label; ours also builds prompts, keeps a ledger on disk that survives a crash, checks every answer and keeps the order.
"""

import asyncio
import json
import tempfile
from functools import partial
from pathlib import Path

from measuring import Work, compare, options, race, show
from service import questions, server

from emojudge.settings import JudgeSettings


def ours(count: int, settings: JudgeSettings) -> Work:
    from emojudge.judging import judge, open_judge

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            ledger = Path(folder) / "ledger.sqlite"
            return sum(v.outcome == "ok" for v in judge(questions(count, settings), open_judge(settings), ledger))

    work()  # imports
    return work


def bare(count: int, settings: JudgeSettings) -> Work:
    import openai

    from emojudge.judges._exchange import Exchange

    exchange = Exchange("gpt-4o", settings)
    bodies = [exchange.body(prompt) for prompt in questions(count, settings)]

    async def everything() -> int:
        gate = asyncio.Semaphore(settings.concurrency)
        async with openai.AsyncOpenAI(api_key="none", base_url=settings.base_url) as client:

            async def one(body: dict) -> str:
                async with gate:
                    answer = await client.chat.completions.create(**body)
                return json.loads(answer.choices[0].message.content)["label"]

            return len(await asyncio.gather(*map(one, bodies)))

    asyncio.run(everything())  # imports
    return lambda: asyncio.run(everything())


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=4)
    asked = parser.parse_args()
    with server() as url:
        settings = JudgeSettings(judge="openai:gpt-4o", base_url=url, concurrency=asked.concurrency)
        systems = {"emojudge.judging": ours, "bare asyncio loop of openai": bare}
        runs = race({name: partial(prepare, asked.requests, settings) for name, prepare in systems.items()}, asked.repeats)
    if any(run.found != asked.requests for run in runs.values()):
        raise SystemExit(f"answers are missing: {[run.found for run in runs.values()]}")
    least = 1 / 1.2  # ours may take a fifth more
    rows = compare(f"{asked.requests} requests, {asked.concurrency} at a time", "request", asked.requests, runs, round(least, 3))
    clock = compare("the same, by the clock", "request", asked.requests, runs, round(least, 3), by="clock")
    show([*rows, *clock], asked.json)


if __name__ == "__main__":
    main()

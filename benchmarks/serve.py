"""`emojudge serve` under load, beside a plain FastAPI handler on the same run: clips a second, waiting times, memory, handles.

    python benchmarks/serve.py --run runs/demo --clips runs/corpora/synthetic/wav [--words] [--requests 200] [--many 1000]

Both servers are processes of their own on one thread of torch. Clients send clips in turn, each the next when it has its answer.
CPU seconds count the server and its decoding children, and hold on a busy machine, too. Without --words clips are transcribed
if the run reads text. The plain handler is what one writes first: read the file, predict, answer; it decodes in its own process,
holds no limits, and predicts in the threads that the framework gives it.
"""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from emojudge import streams
from emojudge.runs import RunFolder

BOUNDARY = "a-boundary-that-no-clip-holds"
LIMITS = ("service.rate=1000000", "service.queue=64")


def main(
    run: Path = Path("runs/demo"),
    clips: Path = Path("runs/corpora/synthetic/wav"),
    requests: int = 64,
    many: int = 0,
    words: bool = False,
    clients: Annotated[list[int] | None, typer.Option()] = None,
    set: Annotated[list[str] | None, typer.Option()] = None,
    plain: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print a row for each server and number of clients; with --many, memory and handles before and after so many requests."""
    if plain is not None:
        return serve_plainly(run, plain, set or [])
    if not (run / "run.json").exists() or not clips.exists():
        print(f"{run} or {clips} is not there; make demo makes both.")
        return None
    bodies = [form(path.read_bytes(), words) for path in islice(streams.find([clips]), 64)]
    changes = [f"--set={change}" for change in [*LIMITS, *(set or [])]]
    ours = [sys.executable, "-m", "emojudge", "serve", str(run), "--no-page", "--port", "0", *changes]
    theirs = [sys.executable, __file__, "--run", str(run), "--plain", "0", *changes]
    print("| server | clients | clips a second | p50, s | p95, s | CPU seconds a clip | clips a batch |")
    print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
    servers = {"plain handler": theirs, "emojudge serve": ours}
    config = RunFolder.open(run).config
    if half := [f"--set={m}.encoder_precision=bfloat16" for m in config.modalities if getattr(config, m).train == "none"]:
        servers["emojudge serve, encoders in bfloat16"] = [*ours, *half]
    for name, command in servers.items():
        with serving(command) as (process, port):
            for number in clients or (1, 8, 32):
                print(row(name, process, port, number, requests, bodies), flush=True)
            if many:
                print(flatness(name, process, port, many, bodies), flush=True)
    return None


def form(content: bytes, words: bool) -> bytes:
    """The body of a request."""
    parts = [
        (b'name="file"; filename="clip.wav"', content),
        *([(b'name="text"', b"I told you twice not to touch that.")] * words),
    ]
    mark = BOUNDARY.encode()
    told = (b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (mark, name, value) for name, value in parts)
    return b"".join([*told, b"--%s--\r\n" % mark])


@contextmanager
def serving(command: list[str]) -> Iterator[tuple[int, int]]:
    """A server that has loaded its models: its process and port."""
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            while not (found := re.search(r"http://127.0.0.1:(\d+)", tell(log))) or not ready(int(found[1])):
                if process.poll() is not None:
                    raise SystemExit(tell(log))
                time.sleep(0.2)
            yield process.pid, int(found[1])
        finally:
            process.terminate()


def tell(log) -> str:
    log.seek(0)
    return log.read()


def ready(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").status == 200
    except OSError:
        return False


def ask(port: int, clients: int, requests: int, bodies: list[bytes]) -> list[float]:
    """Seconds of each request.

    Raises:
        SystemExit: one was not answered.
    """
    local = threading.local()

    def one(number: int) -> float:
        if not hasattr(local, "line"):
            local.line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        started = time.monotonic()
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        local.line.request("POST", "/v1/predict", bodies[number % len(bodies)], kind)
        answer = local.line.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {content.decode()}")
        return time.monotonic() - started

    with ThreadPoolExecutor(clients) as people:
        return list(people.map(one, range(requests)))


def row(name: str, process: int, port: int, clients: int, requests: int, bodies: list[bytes]) -> str:
    """One line of the table."""
    begun, worked, batches = time.monotonic(), cpu(process), batched(port)
    took = sorted(ask(port, clients, requests, bodies))
    rate, used = requests / (time.monotonic() - begun), (cpu(process) - worked) / requests
    after = batched(port)
    size = f"{(after[1] - batches[1]) / (after[0] - batches[0]):.1f}" if after[0] > batches[0] else "1"
    half, most = took[len(took) // 2], took[int(0.95 * (len(took) - 1))]
    return f"| {name} | {clients} | {rate:.2f} | {half:.2f} | {most:.2f} | {used:.2f} | {size} |"


def flatness(name: str, process: int, port: int, many: int, bodies: list[bytes]) -> str:
    """Memory and open handles, after some requests and after many."""
    ask(port, 32, 64, bodies)
    before = state(process)
    ask(port, 32, many, bodies)
    after = state(process)
    return f"{name}, {many} requests by 32 clients: {before[0]} → {after[0]} MiB, {before[1]} → {after[1]} open handles"


def state(process: int) -> tuple[int, int]:
    """Resident MiB and open handles, connections closed."""
    time.sleep(1.0)
    resident = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20
    return resident, len(list(Path(f"/proc/{process}/fd").iterdir()))


def cpu(process: int) -> float:
    """Seconds of a process and of its children that ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def batched(port: int) -> tuple[float, float]:
    """How many batches and clips there were; the plain handler has none."""
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    except OSError:
        return 0.0, 0.0
    count, total = (re.search(rf"^emojudge_batch_clips_{name} (\S+)$", text, re.MULTILINE) for name in ("count", "sum"))
    return (float(count[1]), float(total[1])) if count and total else (0.0, 0.0)


def serve_plainly(run: Path, port: int, changes: list[str]) -> None:
    """The handler that one writes first."""
    import socket

    import uvicorn
    from fastapi import FastAPI, Form, UploadFile

    from emojudge import EmoJudge
    from emojudge.hearing import Sound

    judge, app = EmoJudge.load(run, changes), FastAPI()
    judge.segments([Sound("warm", streams.np.zeros(16000, "float32"))])

    @app.get("/healthz")
    def health() -> str:
        return "ready"

    @app.post("/v1/predict")
    def predict(file: UploadFile, text: Annotated[str | None, Form()] = None) -> dict:
        with tempfile.NamedTemporaryFile() as own:
            own.write(file.file.read())
            own.flush()
            samples = streams.whole(own.name)
        [segment] = judge.segments([Sound("clip", samples, text)])
        return {"text": segment.text, **segment.alone}

    with socket.create_server(("127.0.0.1", port), backlog=256) as own:
        print(f"http://127.0.0.1:{own.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([own])


if __name__ == "__main__":
    typer.run(main)

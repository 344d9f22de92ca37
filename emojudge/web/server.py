"""`emojudge serve`: the service, and the page where it is installed, at an address."""

import ipaddress
import os
import socket
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from emojudge.errors import ConfigError
from emojudge.pipeline import EmoJudge
from emojudge.progress import say
from emojudge.web.routes import build
from emojudge.web.worker import Shared

KEY = "EMOJUDGE_API_KEY"
"""Environment variable of the key that clients must show."""
CONNECTIONS = 1000
"""Open at once; more are refused by the server itself."""
FAREWELL_SECONDS = 30
"""For which requests under way are waited for at the end."""


def serve(run: str | Path, host: str, port: int, changes: Sequence[str] = (), page: bool = True) -> None:
    """Serve a run until interrupted.

    Raises:
        EmoJudgeError: the run cannot be opened or its models not be loaded, or the address cannot be used.
    """
    judge = opened(run, changes)
    faults: list[Exception] = []

    def failed(error: Exception) -> None:
        faults.append(error)
        server.should_exit = True

    key = os.environ.get(KEY, "")
    app = build(judge, key, failed)
    if page:
        mount(app)
    settings, warned = judge.config.service, warnings.catch_warnings()
    with _listening(host, port) as listening, warned:
        warnings.simplefilter("ignore", UserWarning)  # of recordings, which are nobody's business here
        shown = f"[{host}]" if ":" in host else host
        say(f"EmoJudge answers at http://{shown}:{listening.getsockname()[1]} once its models are loaded (its API: /docs).")
        if not key and not _is_loopback(host):
            say(f"warning: anybody who reaches this address may use it; set {KEY} to ask for a key.")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=settings.proxies or None,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=FAREWELL_SECONDS,
        )
        server = uvicorn.Server(config)
        server.run([listening])
    if faults:
        raise faults[0]


def opened(run: str | Path, changes: Sequence[str] = ()) -> EmoJudge:
    """A run as strangers may use it: files are decoded in child processes, and a judge's answers are kept in memory only.

    Raises:
        EmoJudgeError: it cannot be opened.
    """
    judge = EmoJudge.load(run, changes)
    recordings = judge.config.recordings.model_copy(update={"isolate": True, "max_seconds": judge.config.service.job_seconds})
    judge.config = judge.config.model_copy(update={"recordings": recordings})
    judge.ledger = Path(":memory:")
    return judge


def mount(app: FastAPI) -> None:
    """The page at /, where Gradio is installed."""
    if not find_spec("gradio"):
        say("There is no page: it needs an optional part of EmoJudge; install it with: pip install 'emojudge[web]'")
        return
    from emojudge.web import page

    service = app.state.service
    page.mount(app, page.page(Shared(service.worker), service.settings.max_seconds))


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"{host}:{port} cannot be listened at ({error}); choose others with --host and --port.") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

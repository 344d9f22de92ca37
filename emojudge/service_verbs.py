"""The verb for everybody who has recordings and no command line: a service, with a page."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from emojudge.errors import MissingExtra
from emojudge.verbs import Set, verb


@verb
def serve(
    run: Annotated[Path, typer.Argument(help="The run folder whose models speak, or base.", metavar="RUN|base")] = Path("base"),
    host: Annotated[
        str, typer.Option("--host", help="The address to listen at; 0.0.0.0 is all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.", min=0, max=65535)] = 8000,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Also serve the page at /.")] = True,
    set: Set = None,
) -> None:
    """Answer over HTTP: POST /v1/predict with a recording, /v1/jobs with a long one. Stop it with Ctrl-C.

    Nothing that is sent is kept. --set service.… changes the limits. Where the environment has EMOJUDGE_API_KEY, clients must
    show it.
    """
    if not all(map(find_spec, ("fastapi", "multipart", "prometheus_client", "uvicorn"))):
        raise MissingExtra("The service", "service")
    from emojudge.web.server import serve

    serve(run, host, port, set or [], page)

"""The HTTP of the test double: routes, scripted faults, loopback only."""

import json
import re
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from emojudge.devserver import toy
from emojudge.devserver.faults import Fault, Script, read_script
from emojudge.devserver.store import Meter, Store
from emojudge.errors import ConfigError

RATE = {"x-ratelimit-limit-requests": "10000", "x-ratelimit-remaining-requests": "9999", "x-ratelimit-reset-requests": "6ms"}

_ID = re.compile(r"/(batch_|file-)\w+")

_MISSING = {"error": {"message": "There is no such thing here.", "type": "invalid_request_error", "code": None, "param": None}}

_BLOCK, _BLOCKS = bytes(1 << 20), 128


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up; they are what it is here for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class DevServer:
    """A running test double; use it in a `with`, or call `close`.

    >>> with DevServer() as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True

    Args:
        faults: what goes wrong.
        port: 0 takes a free one.
        refuses: parameters that its model does not take (400).
        queue_tokens: at most this many tokens of batches wait; a batch beyond fails with token_limit_exceeded.
        tick: virtual seconds that pass when somebody looks at a batch.
    """

    def __init__(
        self,
        faults: Sequence[Fault] = (),
        *,
        port: int = 0,
        refuses: Collection[str] = (),
        queue_tokens: int | None = None,
        tick: int = 60,
    ) -> None:
        self.script, self.meter, self.refuses = Script(faults), Meter(), set(refuses)
        self.store = Store(self.script, self.answer, queue_tokens, tick)
        self.seen: deque[tuple[str, Any, dict[str, str]]] = deque(maxlen=1000)
        self.running = self.most = 0
        self._guard = threading.Lock()
        handler = type("Handler", (_Handler,), {"double": self})
        self._server = _Server(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> "DevServer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def bodies(self, endpoint: str = "/v1/chat/completions") -> list[Any]:
        """What was sent to `endpoint` lately."""
        return [body for path, body, _ in self.seen if path == endpoint]

    def answer(self, url: str, body: Mapping[str, Any], fault: Fault | None) -> tuple[int, Any]:
        """Status and content for one request to the model, charged where it is answered."""
        for name in sorted(self.refuses & body.keys()):
            error = {"message": f"Unsupported parameter: '{name}'", "type": "invalid_request_error", "param": name, "code": None}
            return 400, {"error": error}
        if fault and fault.do == "status":
            return fault.status, fault.error()
        said = toy.Answer(fault.text, fault.finish, fault.refusal) if fault and fault.do == "answer" else toy.answer(body)
        content = toy.response(body, said) if url == "/v1/responses" else toy.completion(body, said)
        self.meter.charge(body, content["usage"]["total_tokens"])
        return 200, fault.content if fault and fault.do == "content" else content

    def handle(self, method: str, path: str, query: Mapping[str, list[str]], body: Any, fault: Fault | None) -> tuple[int, Any]:
        """Do what was asked for; status and content."""
        name = path.split("/")[3] if path.count("/") > 2 else ""
        content: Any = None
        match f"{method} {_ID.sub('/{id}', path)}":
            case "POST /v1/chat/completions" | "POST /v1/responses":
                return self.answer(path, body, fault)
            case "POST /v1/files":
                content = _about_file(self.store.keep(body), body)
            case "GET /v1/files/{id}/content":
                content = self.store.files.get(name)
            case "POST /v1/batches":
                content = self.store.create(body)
            case "GET /v1/batches":
                content = self.store.page(query.get("after", [None])[0], int(query.get("limit", ["20"])[0]))
            case "GET /v1/batches/{id}":
                content = self.store.look(name)
            case "POST /v1/batches/{id}/cancel":
                content = self.store.cancel(name)
            case "GET /meter":
                content = self.meter.read()
            case "POST /clock":
                content = self.store.advance(int(body["seconds"]))
        return (200, content) if content is not None else (404, _MISSING)


def serve(port: int, script: Path | None) -> None:
    """Run until interrupted, with the faults of a TOML file.

    Raises:
        ConfigError: the file is no script, or the port is taken.
    """
    try:
        server = DevServer(read_script(script) if script else (), port=port)
    except OSError as error:
        raise ConfigError(f"Port {port} cannot be used ({error.strerror}); choose another with --port.") from None
    with server:
        print(f"A test double answers at {server.url} (meter: {server.url.removesuffix('/v1')}/meter)", flush=True)
        threading.Event().wait()


def _about_file(name: str, content: bytes) -> dict[str, Any]:
    about = {"object": "file", "purpose": "batch", "filename": f"{name}.jsonl", "created_at": 1, "status": "processed"}
    return {"id": name, "bytes": len(content), **about}


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    double: DevServer

    def do_GET(self) -> None:
        """Serve any method."""
        double, url = self.double, urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        double.seen.append((url.path, body, headers))
        with double._guard:
            double.running += 1
            double.most = max(double.most, double.running)
        try:
            self._serve(url.path, parse_qs(url.query), body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with double._guard:
                double.running -= 1

    do_POST = do_DELETE = do_GET  # noqa: N815 (the standard library's names)

    def _body(self, headers: Mapping[str, str]) -> Any:
        """What was sent: JSON read, or the file of a form."""
        data = self.rfile.read(int(headers.get("content-length", 0)))
        kind = headers.get("content-type", "")
        if not kind.startswith("multipart/form-data"):
            return json.loads(data) if data else None
        mark = b"--" + kind.partition("boundary=")[2].strip('"').encode()
        parts = [part.partition(b"\r\n\r\n") for part in data.split(mark)]
        return next((content[: -len(b"\r\n")] for head, _, content in parts if b'name="file"' in head), b"")

    def _serve(self, path: str, query: Mapping[str, list[str]], body: Any) -> None:
        """Do it, unless the script has something else in mind."""
        fault = self.double.script.next(f"{self.command} {_ID.sub('/{id}', path)}")
        kind = fault.do if fault else ""
        if fault and kind == "delay":
            time.sleep(fault.seconds)
        if fault and kind == "status":
            return self._send(fault.status, fault.error(), fault.headers)
        if kind == "drop":
            self.close_connection = True
            return None
        if kind == "bomb":
            return self._send(200, _bomb(), {"Content-Encoding": "gzip"})
        status, content = self.double.handle(self.command, path, query, body, fault)
        if kind == "lose":
            self.close_connection = True
            return None
        if fault and kind == "content":
            content = fault.content
        return self._send(status, content, cut=kind == "cut")

    def _send(self, status: int, content: Any, headers: Mapping[str, str] | None = None, cut: bool = False) -> None:
        """Write an answer, whole or cut in the middle."""
        data = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else _json(content)
        told = {"Content-Type": "application/json", "Content-Length": str(len(data)), **RATE, **(headers or {})}
        self.send_response(status)
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True

    def log_message(self, *message: Any) -> None:
        """Say nothing."""


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _bomb() -> bytes:
    """A hundred kilobytes that unpack to a thousand times as much."""
    packer = zlib.compressobj(wbits=31)
    return b"".join([*(packer.compress(_BLOCK) for _ in range(_BLOCKS)), packer.flush()])

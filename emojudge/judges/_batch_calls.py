"""Calls of the Batch API, each repeated as far as that is safe."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from emojudge.errors import JudgeError
from emojudge.judges._service import ATTEMPTS, LONGEST_WAIT, Service, chunks, wait

LOOKS = 3
"""Times that a batch is looked for after its creation was in doubt: the service's list may lag behind."""

MOST_RESULT_BYTES = 2_000_000_000
"""Of one result file; 50,000 answers take about 100 MB."""

KEPT_SECONDS = 30 * 24 * 3600
"""The service deletes requests after this, its longest."""


@dataclass
class Calls:
    """A client, and how to wait; `sleep` and `clock` are in seconds."""

    client: Any
    service: Service
    model: str
    poll_seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time

    def pause(self) -> None:
        """Wait until the next look, give or take a quarter."""
        self.sleep(self.poll_seconds * (0.75 + random.random() / 2))

    def upload(self, name: str, stream: IO[bytes]) -> str:
        """Upload a file of requests; its id. A second copy costs nothing."""

        def send() -> Any:
            stream.seek(0)
            kept = {"anchor": "created_at", "seconds": KEPT_SECONDS}
            return self.client.files.create(file=(f"{name}.jsonl", stream), purpose="batch", expires_after=kept)

        return self.patiently(send).id

    def create(self, name: str, file_id: str, endpoint: str) -> Any:
        """Create a batch, once: where it is in doubt whether that happened, look before trying again.

        Raises:
            JudgeError: the service makes none.
        """
        import openai

        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self.client.batches.create(
                    input_file_id=file_id, endpoint=endpoint, completion_window="24h", metadata={"emojudge": name}
                )
            except openai.APIError as error:
                if made := self._doubt(name, error, attempt):
                    return made
        raise AssertionError("the last attempt raises")

    def _doubt(self, name: str, error: Any, attempt: int) -> Any:
        """After a failed creation: the batch if there is one after all, None where another try makes sense."""
        status, message = getattr(error, "status_code", None), str(error)
        unseen = status in (400, 404) and "file" in message.casefold()  # it may be unknown just after its upload
        if not unseen:
            self.service.raise_if_fatal(status, error.code, self.model)
        if (status is None or status in (408, 409) or status >= 500) and (made := self.seek(name)):
            return made
        seconds = float(2**attempt) if unseen else wait(error, attempt)
        if seconds is None or attempt == ATTEMPTS:
            reason = self.service.scrub(f"{type(error).__name__}: {message}")
            raise JudgeError(f"{self.service.host} makes no batch ({reason}); run the same command again later.") from None
        self.sleep(seconds)
        return None

    def seek(self, name: str) -> Any:
        """The batch whose metadata bears our name, wherever in the service's list; None where there is none."""

        def look() -> Any:
            listed = self.client.batches.list(limit=100)
            return next((batch for batch in listed if (batch.metadata or {}).get("emojudge") == name), None)

        for number in range(LOOKS):
            if number:
                self.pause()
            if found := self.patiently(look):
                return found
        return None

    def retrieve(self, batch_id: str, until: float) -> Any:
        """How a batch stands; a service that cannot be reached is asked again until `until`."""
        return self.patiently(lambda: self.client.batches.retrieve(batch_id), until)

    def cancel(self, batch_id: str) -> Any:
        """Have a batch stopped; what is answered is charged, and can still be read."""
        return self.patiently(lambda: self.client.batches.cancel(batch_id))

    def lines(self, file_id: str) -> Iterator[bytes]:
        """The lines of a result file, which is on this disk, whole, before the first is yielded."""
        with tempfile.TemporaryFile() as stream:
            self.patiently(lambda: self._download(file_id, stream))
            stream.seek(0)
            yield from stream

    def _download(self, file_id: str, stream: IO[bytes]) -> None:
        stream.seek(0)
        stream.truncate()
        with self.client.files.with_streaming_response.content(file_id) as response:
            for piece in chunks(response, MOST_RESULT_BYTES + 1):
                stream.write(piece)
        if stream.tell() > MOST_RESULT_BYTES:
            raise JudgeError(f"The result file {file_id} is over {MOST_RESULT_BYTES:,} bytes; that is no answer to our requests.")

    def patiently(self, call: Callable[[], Any], until: float | None = None) -> Any:
        """Do what costs nothing to repeat, ATTEMPTS times or `until` some time, while the service is busy or away.

        Raises:
            AuthenticationError: the key is refused.
            JudgeError: the service does not recover, or refuses.
        """
        import openai

        attempt = 0
        while True:
            try:
                return call()
            except openai.APIError as error:
                attempt += 1
                seconds = self._delay(error, min(attempt, ATTEMPTS), until is not None)
                over = attempt >= ATTEMPTS if until is None else self.clock() > until
                if seconds is None or over:
                    reason = self.service.scrub(f"{type(error).__name__}: {error}")
                    raise JudgeError(f"{self.service.host} fails ({reason}); run the same command again later.") from None
                self.sleep(seconds)

    def _delay(self, error: Any, attempt: int, polling: bool) -> float | None:
        """Seconds until a repetition makes sense; None is never."""
        status = getattr(error, "status_code", None)
        if status == 404 and not polling:
            return float(attempt)  # what was just made may not be seen everywhere yet
        self.service.raise_if_fatal(None if status == 404 else status, error.code, self.model)
        seconds = wait(error, attempt, float("inf") if polling else LONGEST_WAIT)
        return max(seconds, self.poll_seconds) if polling and seconds is not None else seconds

"""What `emojudge serve` gives whom (all of it ours; the paper serves nobody)."""

from pydantic import Field

from emojudge.settings.base import Count, Positive, Settings


class ServiceSettings(Settings):
    """Limits of `emojudge serve` (all ours)."""

    max_bytes: Count = 20_000_000
    """Of a request to /v1/predict, counted as it comes, whatever its Content-Length says."""
    max_seconds: Positive = 120.0
    """Of a recording for /v1/predict; longer ones are for /v1/jobs."""
    job_bytes: Count = 1_000_000_000
    """Of a request to /v1/jobs, and of an upload to the page."""
    job_seconds: Positive = 14_400.0
    """Of a recording for /v1/jobs."""
    upload_seconds: Positive = 120.0
    """In which a request must have arrived; a slower one is cut off."""
    rate: Count = 120
    """Requests a minute of each client's address; as many may come at once."""
    queue: Count = 64
    """Requests that are served at once, from their first byte to their answer; more are told to come again."""
    jobs: Count = 8
    """Jobs that wait or run; one runs at a time."""
    results: Count = 100
    """Finished jobs that are remembered; the oldest go first."""
    result_seconds: Positive = 3600.0
    """For which a finished job is remembered."""
    decoders: Count = 2
    """Recordings that are decoded at once, each in a process of its own."""
    batch: Count = 32
    """Clips that are predicted at once, at most."""
    batch_wait: float = Field(0.005, ge=0)
    """Seconds that a clip waits for others to be predicted with it."""
    proxies: str = ""
    """Addresses of reverse proxies, with commas between, whose X-Forwarded-For is believed."""

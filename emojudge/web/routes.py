"""The service's addresses, and what its OpenAPI schema says of them."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Path, Request, Response, UploadFile

from emojudge import __version__
from emojudge.pipeline import EmoJudge
from emojudge.web import problems
from emojudge.web.answers import Answer, Health, Ticket
from emojudge.web.gate import Gate
from emojudge.web.service import Service, unless_gone

ABOUT = """Emotion in speech, from voice and words. Recognised emotion is a guess about a recording, not a fact about a person.
In the European Union it must not be used on people at work or in education (AI Act, article 5(1)(f)), and people must be told
when it is used on them (article 50(3)). Recordings, texts and results are not kept; a job's result is held for a while, or until
it is deleted."""

TEXT_CHARACTERS = 10_000

WORK: dict[str, Any] = {
    "responses": problems.responses(400, 401, 408, 413, 415, 422, 429, 500, 502, 503),
    "response_model_exclude_none": True,
    "form_limits": {"max_files": 1, "max_fields": 8, "max_part_size": 8 * TEXT_CHARACTERS},
}
"""What addresses that take work have in common."""

Recording = Annotated[UploadFile, File(description="WAV, FLAC, OGG, MP3, M4A, Opus, or a video for its sound.")]
Words = Annotated[
    str | None,
    Form(
        max_length=TEXT_CHARACTERS,
        description="What is said in a whole clip; without it, it is heard.",
        examples=["We got the keys!"],
    ),
]
Judged = Annotated[bool, Form(description="Ask the run's judge about every segment.")]
Cut = Annotated[bool, Form(description="Find the speech and tell it segment by segment, instead of the clip as a whole.")]
Id = Annotated[str, Path(description="What POST /v1/jobs gave.", max_length=100, examples=["q8vG1yVn6c0rX2bTz0aKxw"])]


def build(judge: EmoJudge, key: str = "", failed: Callable[[Exception], None] = lambda error: None) -> FastAPI:
    """The service as an ASGI application; its models load when it starts.

    Args:
        judge: the run, with its limits in `service`; see `emojudge.web.server.opened`.
        key: what clients must show; none where it is empty.
        failed: called, from another thread, with the error if the models cannot be loaded.
    """
    service = Service(judge, failed)
    app = FastAPI(
        title="EmoJudge",
        version=__version__,
        description=ABOUT,
        lifespan=service.running,
        license_info={"name": "Apache-2.0"},
    )
    app.state.service = service
    app.add_middleware(Gate, settings=service.settings, key=key, refusal=service.refusal, meters=service.meters)
    problems.install(app)
    _predictions(app, service)
    _jobs(app, service)
    _operation(app, service)
    return app


def _predictions(app: FastAPI, service: Service) -> None:
    @app.post("/v1/predict", tags=["predictions"], **WORK)
    async def predict(
        request: Request, file: Recording, text: Words = None, judge: Judged = False, timeline: Cut = False
    ) -> Answer:
        """The emotion and attributes of a short recording, as a whole or segment by segment."""
        return await unless_gone(request, service.predict(file, text, judge, timeline))


def _jobs(app: FastAPI, service: Service) -> None:
    known = problems.responses(401, 404, 422, 500)

    @app.post("/v1/jobs", status_code=202, tags=["jobs"], **WORK)
    async def enqueue(response: Response, file: Recording, judge: Judged = False) -> Ticket:
        """Take in a long recording. It is told segment by segment; ask for the result under the address in Location."""
        job = await service.enqueue(file, judge)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job.ticket()

    @app.get("/v1/jobs/{id}", tags=["jobs"], responses=known, response_model_exclude_none=True)
    async def find(id: Id) -> Ticket:
        """How far a job is, and its result once it is done."""
        return service.jobs.find(id).ticket()

    @app.delete("/v1/jobs/{id}", status_code=204, tags=["jobs"], responses=known)
    async def remove(id: Id) -> None:
        """Stop a job, and forget all of it."""
        service.jobs.remove(id)


def _operation(app: FastAPI, service: Service) -> None:
    text: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @app.get("/healthz", tags=["operation"], responses={503: {"model": Health, "description": "Not yet, or no more."}})
    async def health(response: Response) -> Health:
        """Whether predictions are given."""
        response.status_code = 200 if service.worker.state == "ready" else 503
        return Health(status=service.worker.state)

    @app.get("/metrics", tags=["operation"], response_class=Response, responses={**text, **problems.responses(401)})
    async def metrics() -> Response:
        """Counts and durations for Prometheus."""
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4")

"""Errors as JSON: the toolkit's one sentence as problem details (RFC 9457), with the status that fits."""

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from emojudge.errors import AudioError, ConfigError, EmoJudgeError, JudgeError, MissingExtra

KIND = "application/problem+json"

STATUSES: tuple[tuple[type[EmoJudgeError], int], ...] = (
    (AudioError, 422),
    (ConfigError, 422),
    (MissingExtra, 415),
    (JudgeError, 502),
)
"""The first that fits; what is left is a fault of this side."""

SENTENCES = {
    404: "There is nothing here; /docs lists what there is.",
    405: "This address does not take that method; /docs lists what it takes.",
}
"""For errors that the framework finds."""

log = logging.getLogger("emojudge.web")


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "detail": "The recording holds text, not audio; it may be a failed download, so fetch it again.",
                }
            ]
        }
    )
    type: str = "about:blank"
    title: str
    status: int
    detail: str


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Their place in the OpenAPI schema."""
    schema = Problem.model_json_schema()
    return {status: {"description": HTTPStatus(status).phrase, "content": {KIND: {"schema": schema}}} for status in statuses}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that tells it."""
    told = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(told.model_dump(), status, dict(headers or {}), KIND)


def describe(error: BaseException) -> tuple[int, str]:
    """Status and sentence of an error; of one that is nobody's fault but ours, the log has where it was, and not what it said."""
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, EmoJudgeError):
        return next((status for kind, status in STATUSES if isinstance(error, kind)), 500), str(error)
    # The message is left out: it may quote what was said in a recording.
    log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return 500, "Something is wrong on this side; it has been noted."


def install(app: FastAPI) -> None:
    """Tell every error of `app` this way."""

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        plain = error.detail == HTTPStatus(error.status_code).phrase
        detail = SENTENCES.get(error.status_code, error.detail) if plain else error.detail
        return problem(error.status_code, str(detail), error.headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "The request"
        return problem(422, f"{where}: {first['msg']}; /docs tells what is taken.")

    async def ours(request: Request, error: Exception) -> JSONResponse:
        return problem(*describe(error))

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(EmoJudgeError, ours)

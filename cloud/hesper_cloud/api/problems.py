"""Errors as ``application/problem+json`` (RFC 9457), every one of them with its request's id."""

import logging
import math
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from hesper_cloud.api import request_ids
from hesper_cloud.api.wire import encode
from hesper_cloud.paging import BadPage
from hesper_cloud.services import errors
from hesper_cloud.stores.port import StoreError
from hesper_cloud.worded import Worded, reason, told_by

AWAY: Final = (OperationalError, InterfaceError)
"""What a database raises that is away, locked, or has no room left on its disk."""
_MOST_PLACES = 20
_LONGEST_PART = 64
_log = logging.getLogger(__name__)
_CODES = {  # where the status' own name says less, or Python 3.13 gave it another
    400: "invalid",
    401: "not-authenticated",
    403: "not-permitted",
    409: "refused",
    412: "stale",
    413: "too-large",
    414: "request-uri-too-long",
    416: "requested-range-not-satisfiable",
    422: "unprocessable-entity",
    429: "busy",
    503: "unavailable",
}
_STATUS: dict[type[Exception], HTTPStatus] = {
    errors.LoginRefused: HTTPStatus.UNAUTHORIZED,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotPermitted: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    BadPage: HTTPStatus.BAD_REQUEST,
    errors.Gone: HTTPStatus.GONE,
    errors.Stale: HTTPStatus.PRECONDITION_FAILED,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Busy: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Refused: HTTPStatus.CONFLICT,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def problem(
    status: int, detail: str, headers: dict[str, str] | None = None, **more: object
) -> Response:
    """Returns one problem document, with members of its own."""
    title = HTTPStatus(status).phrase
    code = _CODES.get(status) or title.lower().replace(" ", "-")
    body = {"type": "about:blank", "title": title, "status": status, "code": code}
    body |= {"detail": detail, **more}
    if request_id := request_ids.current():
        body["request_id"] = request_id
    media_type = "application/problem+json"
    return Response(encode(body), status_code=status, media_type=media_type, headers=headers)


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem document."""
    for kind in _STATUS:
        app.add_exception_handler(kind, _service_problem)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(DataError, _no_value)
    for away in AWAY:
        app.add_exception_handler(away, no_database)
    app.add_exception_handler(Exception, _unforeseen)


def status_of(error: Exception) -> HTTPStatus:
    """Returns the status that says what a service's refusal says."""
    return next(code for kind, code in _STATUS.items() if isinstance(error, kind))


async def _service_problem(_request: Request, error: Exception) -> Response:
    status = status_of(error)
    headers = {}
    if isinstance(error, errors.LoginRefused | errors.Busy) and error.retry_after_s > 0:
        status = HTTPStatus.TOO_MANY_REQUESTS
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    elif status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    more: dict[str, object] = _coded(error)
    if isinstance(error, errors.Gone):
        more["start_again_from"] = error.start_again_from
    return problem(status, str(error), headers, **more)


def _coded(error: Exception) -> dict[str, object]:
    """Returns what programs tell a refusal by: its sentence, and what that names."""
    said = told_by(error)
    values = said.values if isinstance(said, Worded) else {}
    return {"reason": reason(said), "values": values}


async def _invalid_request(_request: Request, error: Exception) -> Response:
    """Names each place that is wrong, and never repeats what stood there: it may be a secret."""
    if not isinstance(error, RequestValidationError):
        raise error
    places = [
        {"at": ".".join(str(part)[:_LONGEST_PART] for part in each["loc"]), "detail": each["msg"]}
        for each in error.errors()[:_MOST_PLACES]
    ]
    detail = "; ".join(f"{each['at']}: {each['detail']}" for each in places)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=places)


async def _http_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


async def _no_value(request: Request, _error: Exception) -> Response:
    """Answers where PostgreSQL takes a value for none: NUL in a text, a number beyond its range."""
    _log.warning("request %s has a value that the database refuses", request_ids.of(request.scope))
    told = "a text with a NUL character, or a number that is too large, cannot be looked for"
    return problem(HTTPStatus.BAD_REQUEST, told)


async def no_database(request: HTTPConnection, error: Exception) -> Response:
    """Answers where the database is away, locked, or has no room left on its disk."""
    _log.warning("the database fails request %s: %s", request_ids.of(request.scope), error)
    told = "the database does not answer, or takes nothing; the log of hesper-cloud run says why"
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, told)


async def _unforeseen(request: Request, error: Exception) -> Response:
    """Answers for a mistake of ours; what it was stands in the log, under the request's id."""
    request_id = request_ids.of(request.scope)
    _log.error("request %s ended in %s, which the server tells of", request_id, type(error))
    told = "this is a mistake in Hesper; the log has it under the request's id"
    headers = {request_ids.HEADER: request_id}
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, told, headers, request_id=request_id)

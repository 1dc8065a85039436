"""Errors as ``application/problem+json`` (RFC 9457)."""

import math
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from hesper_cloud.api.wire import encode
from hesper_cloud.services import errors
from hesper_cloud.stores.port import StoreError

_STATUS: dict[type[Exception], HTTPStatus] = {
    errors.LoginRefused: HTTPStatus.UNAUTHORIZED,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotPermitted: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    errors.Gone: HTTPStatus.GONE,
    errors.Refused: HTTPStatus.CONFLICT,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def problem(
    status: int, detail: str, headers: dict[str, str] | None = None, **more: str
) -> Response:
    """Returns one problem document, with members of its own."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    media_type = "application/problem+json"
    return Response(encode(body), status_code=status, media_type=media_type, headers=headers)


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem document."""
    for kind in _STATUS:
        app.add_exception_handler(kind, _service_problem)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_problem)


async def _service_problem(_request: Request, error: Exception) -> Response:
    status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
    headers = {}
    if isinstance(error, errors.LoginRefused) and error.retry_after_s > 0:
        status = HTTPStatus.TOO_MANY_REQUESTS
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    elif status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    more = {"start_again_from": error.start_again_from} if isinstance(error, errors.Gone) else {}
    return problem(status, str(error), headers, **more)


async def _invalid_request(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    places = (
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()
    )
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(places))


async def _http_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))

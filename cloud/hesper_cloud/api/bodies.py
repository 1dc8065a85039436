"""What a JSON body must be before anything is made of it."""

from codecs import BOM_UTF8

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.routing import APIRoute


async def strict_json(connection: HTTPConnection) -> None:
    r"""Refuses what Python reads as JSON and no database or signature can hold.

    That is half of a surrogate pair (``"\ud800"``), which is no character, and NaN, which is no
    number (RFC 8259, 6 and 8.2). Routes that take files read them as they come.

    Raises:
        RequestValidationError: the body is not JSON.
    """
    route = connection.scope["route"]
    if not isinstance(connection, Request) or not isinstance(route, APIRoute):
        return
    if route.body_field is None or not (body := await connection.body()):
        return
    try:
        orjson.loads(body.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError as error:
        told = {"type": "json_invalid", "loc": ("body", error.pos), "msg": f"not JSON: {error.msg}"}
        raise RequestValidationError([told]) from None

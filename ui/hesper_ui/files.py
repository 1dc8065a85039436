"""Files that go in and out of the console: imports, templates, rejects, reports, images."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from hesper_ui.desk import Desk
from hesper_ui.services import (
    CHANGELOG_MAX,
    IMPORT_KINDS,
    MANIFEST_MAX,
    MOST_FILE_OCTETS,
    Brought,
    Habits,
    Invalid,
    NotFound,
    manifest_of,
)
from hesper_ui.words import say

_CSV = "text/csv; charset=utf-8"
_MEDIA = {"csv": _CSV, "pdf": "application/pdf"}
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
ENCODINGS = ("utf-8", "utf-16", "windows-1252", "windows-1250", "windows-1251")
DATES = ("dmy", "mdy", "ymd")
EXISTING = {name: name for name in ("refuse", "update")}
DECIMALS = {"point": ".", "comma": ","}


async def bring(request: Request, desk: Desk) -> Response:
    """Tries a file; answers the address of the page that shows what was found."""
    kind, told = request.path_params["kind"], request.query_params
    if kind not in IMPORT_KINDS:
        raise NotFound(say("There is no import of this kind."))
    actor = await desk.actor()
    brought = Brought(
        kind,
        told.get("name", "")[:200] or "file.csv",
        await _octets(request),
        _one_of(told.get("encoding"), {name: name for name in ENCODINGS}),
        _one_of(told.get("separator"), SEPARATORS),
        Habits(
            _one_of(told.get("dates"), {name: name for name in DATES}),
            _one_of(told.get("decimal"), DECIMALS),
        ),
        _one_of(told.get("existing"), EXISTING) or "refuse",
    )
    found = await desk.services.imports.try_file(actor, brought)
    return JSONResponse({"page": f"/import/{found.id}"}, 201)


async def template(request: Request, desk: Desk) -> Response:
    """Answers an empty file with the columns of a kind."""
    kind = request.path_params["kind"]
    if kind not in IMPORT_KINDS:
        raise NotFound(say("There is no import of this kind."))
    octets = desk.services.imports.template(await desk.actor(), kind)
    return Response(octets, media_type=_CSV, headers=_named(f"{kind}.csv"))


async def rejected(request: Request, desk: Desk) -> Response:
    """Answers the rows of a file that were refused, with their reasons."""
    actor, import_id = await desk.actor(), request.path_params["import_id"]
    name, octets = await desk.services.imports.rejected_file(actor, import_id)
    return StreamingResponse(octets, media_type=_CSV, headers=_named(name))


async def report(request: Request, desk: Desk) -> Response:
    """Answers one file of a report."""
    number, form = request.path_params["report"], request.path_params["form"]
    if not number.isdecimal() or len(number) > 9 or form not in _MEDIA:
        raise NotFound(say("There is no such report."))
    name, path = await desk.services.reports.file(await desk.actor(), int(number), form)
    return FileResponse(path, media_type=_MEDIA[form], filename=name)


async def announce(request: Request, desk: Desk) -> Response:
    """Takes the manifest of an image; answers under which name its octets may follow."""
    actor = await desk.actor()
    document = manifest_of(await _octets(request, MANIFEST_MAX))
    row = await desk.services.images.announce(actor, document)
    return JSONResponse({"image": row.image_hash, "size": row.size}, 201)


async def describe(request: Request, desk: Desk) -> Response:
    """Takes what is new in an image."""
    actor, image = await desk.actor(), request.path_params["image"]
    row = await desk.services.images.describe(actor, image, await _octets(request, CHANGELOG_MAX))
    return JSONResponse({"image": row.image_hash})


async def fill(request: Request, desk: Desk) -> Response:
    """Takes the octets of an image; kept only if they are what its manifest says."""
    actor, image = await desk.actor(), request.path_params["image"]
    row = await desk.services.images.fill(actor, image, request.stream())
    return JSONResponse({"image": row.image_hash, "version": row.version})


ROUTES = (
    ("/console/images", announce, "POST"),
    ("/console/images/{image}", fill, "PUT"),
    ("/console/images/{image}/changelog", describe, "PUT"),
    ("/console/imports/{kind}", bring, "POST"),
    ("/console/templates/{kind}.csv", template, "GET"),
    ("/console/imports/{import_id}/rejected.csv", rejected, "GET"),
    ("/console/reports/{report}.{form}", report, "GET"),
)


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}


def _one_of(told: str | None, known: dict[str, str]) -> Any:
    """Returns what a word of the form stands for; an empty one: to be found out."""
    if not told:
        return None
    if told not in known:
        raise Invalid(say("The form holds a choice that does not exist; load the page again."))
    return known[told]


async def _octets(request: Request, most: int = MOST_FILE_OCTETS) -> bytes:
    octets = bytearray()
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > most:
            raise Invalid(say("This file is too large: bring it in parts."))
    return bytes(octets)

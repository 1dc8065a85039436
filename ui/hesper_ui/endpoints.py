"""What the islands of JavaScript ask for; same cookie, same permissions as the pages."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from hesper_ui import event_export, files
from hesper_ui.desk import Desk, session_token
from hesper_ui.selections import MOST_NAMED, Selections
from hesper_ui.services import (
    Invalid,
    MeterQuery,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    ServiceError,
    Services,
)
from hesper_ui.services.answering import answered
from hesper_ui.tiles import Tiles
from hesper_ui.tongues import wanted_by
from hesper_ui.views import finding, mapping, meter_csv, meter_list
from hesper_ui.views.wording import sentence
from hesper_ui.words import say, speaking

_STATUS: dict[type[ServiceError], int] = {
    NotAuthenticated: 401,
    NotPermitted: 403,
    NotFound: 404,
    Invalid: 422,
}
_MOST_OCTETS = 1_000_000
_MOST_ZOOM = 22
Answering = Callable[[Request, Desk], Awaitable[Response]]


def router(services: Services, selections: Selections, tiles: Tiles | None = None) -> APIRouter:
    """Returns the routes below /console that islands read."""
    routes = APIRouter(include_in_schema=False)
    for path, answer, method in (
        ("/console/meters", _meters, "GET"),
        ("/console/search", _search, "GET"),
        ("/console/events.csv", event_export.answer, "GET"),
        ("/console/map", _map, "GET"),
        ("/console/tiles/{zoom}/{column}/{row}", _tile, "GET"),
        ("/console/selections", _select, "POST"),
        ("/console/selections/{selection}.csv", _selected_rows, "GET"),
        ("/console/batches/{batch}.csv", _batch_rows, "GET"),
        *files.ROUTES,
    ):
        routes.add_api_route(
            path, _asked(Desk(services, "", selections, tiles), answer), methods=[method]
        )
    return routes


def _asked(common: Desk, answer: Answering) -> Callable[[Request], Awaitable[Response]]:
    async def asked(request: Request) -> Response:
        secure_cookies = common.services.sources.settings.web.secure_cookies
        desk = replace(common, token=session_token(request, secure_cookies))
        with speaking(wanted_by(request)):
            try:
                with answered():
                    return await answer(request, desk)
            except ServiceError as refusal:
                return JSONResponse({"error": sentence(refusal)}, _STATUS.get(type(refusal), 503))

    return asked


async def _meters(request: Request, desk: Desk) -> Response:
    actor, asked = await desk.actor(), meter_list.query(request.query_params)
    page = await desk.services.meters.page(actor, asked)
    offline: set[str] | None = None
    if meter_list.names_causes(asked):
        gateways = await desk.services.gateways.list(actor)
        offline = {each.id for each in gateways if each.state == "offline"}
    heard = desk.services.overview.hears_broker()
    rows = [meter_list.row(each, offline, is_anybody_heard=heard) for each in page.rows]
    return JSONResponse({"rows": rows, "total": page.total}, headers={"Cache-Control": "no-store"})


async def _search(request: Request, desk: Desk) -> Response:
    """Answers the palette: pages, meters, customers, SIM cards, areas, gateways."""
    actor, text = await desk.actor(), request.query_params.get("q", "").strip()[:100]
    found = finding.pages(request.app.state.hesper_places, actor, text)
    if text:
        asked = MeterQuery(search=text, limit=finding.MOST)
        rows = (await desk.services.meters.page(actor, asked)).rows
        heard = desk.services.overview.hears_broker()
        found += finding.meters(rows, is_anybody_heard=heard)
        found += finding.kept(await desk.services.assets.search(actor, text, finding.MOST))
        found += finding.gateways(await desk.services.gateways.list(actor), text)[: finding.MOST]
        found += finding.lists(text)  # last: a name that somebody typed goes before
    return JSONResponse({"found": found}, headers={"Cache-Control": "no-store"})


async def _map(request: Request, desk: Desk) -> Response:
    """Answers the map: clusters and gateways, and the first meters in view."""
    actor, services = await desk.actor(), desk.services
    query, cell = mapping.asked(request.query_params)
    page = await services.meters.page(actor, query)
    heard = services.overview.hears_broker()
    found = {
        "clusters": [
            mapping.cluster(each) for each in await services.geography.clusters(actor, query, cell)
        ],
        "gateways": [mapping.spot(each) for each in await services.geography.gateways(actor)],
        "listed": [mapping.listed(row, is_anybody_heard=heard) for row in page.rows],
        "total": page.total,
    }
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


async def _tile(request: Request, desk: Desk) -> Response:
    """Answers one tile of the operator's own file; kept by the browser for a day."""
    await desk.actor()
    named = [request.path_params[name] for name in ("zoom", "column", "row")]
    if desk.tiles is None or not all(name.isdecimal() and len(name) < 9 for name in named):
        raise NotFound("there is no such tile")
    zoom, column, row = (int(name) for name in named)
    found = await desk.tiles.tile(zoom, column, row) if zoom <= _MOST_ZOOM else None
    if found is None:
        raise NotFound("there is no such tile")
    kept = {"Cache-Control": "private, max-age=86400"}
    return Response(found, media_type=desk.tiles.coverage.content_type, headers=kept)


async def _select(request: Request, desk: Desk) -> Response:
    """Keeps a selection: ``ids``, or ``filter`` for all that the list's filter finds."""
    actor = await desk.actor()
    asked = await _body(request)
    ids = asked.get("ids")
    if ids is not None:
        if not isinstance(ids, list) or not ids or not all(isinstance(one, str) for one in ids):
            raise Invalid(say("Name at least one meter."))
        named = tuple(dict.fromkeys(ids))[:MOST_NAMED]
        kept = desk.selections.keep(actor.username, len(named), ids=named)
    else:
        wanted = asked.get("filter")
        told = wanted if isinstance(wanted, dict) else {}
        query = meter_list.query({str(name): str(value) for name, value in told.items()})
        total = (await desk.services.meters.page(actor, query)).total
        kept = desk.selections.keep(actor.username, total, query=query)
    return JSONResponse({"id": kept.id, "total": kept.total})


async def _body(request: Request) -> dict[str, Any]:
    octets = b""
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > _MOST_OCTETS:
            raise Invalid(say("This selection is too long: use the filters of the list."))
    try:
        body = orjson.loads(octets)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Invalid("a selection is a JSON object")
    return body


async def _selected_rows(request: Request, desk: Desk) -> Response:
    """Streams the meters of a selection as CSV; refused before the first line or not at all."""
    actor = await desk.actor()
    kept = desk.selections.get(actor.username, request.path_params["selection"])
    await desk.services.meters.page(actor, MeterQuery(limit=1))
    lines = meter_csv.lines(desk.services.meters, actor, kept)
    named = {"Content-Disposition": 'attachment; filename="meters.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=named)


async def _batch_rows(request: Request, desk: Desk) -> Response:
    batch = request.path_params["batch"]
    lines = await desk.services.batches.csv(await desk.actor(), batch)
    named = {"Content-Disposition": f'attachment; filename="batch-{batch[:8]}.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=named)

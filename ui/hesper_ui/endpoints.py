"""The JSON that the grid's script reads; same cookie, same permissions as the pages."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from hesper_ui.desk import COOKIE, Desk
from hesper_ui.services import (
    Invalid,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    ServiceError,
    Services,
)
from hesper_ui.tongues import wanted_by
from hesper_ui.views import meter_list
from hesper_ui.words import speaking

_STATUS: dict[type[ServiceError], int] = {
    NotAuthenticated: 401,
    NotPermitted: 403,
    NotFound: 404,
    Invalid: 422,
}


def _refused(refusal: ServiceError) -> Response:
    return JSONResponse({"error": str(refusal)}, _STATUS.get(type(refusal), 503))


def router(services: Services) -> APIRouter:
    """Returns the routes below /console that islands read."""
    routes = APIRouter(include_in_schema=False)

    async def meters(request: Request) -> Response:
        desk = Desk(services, request.cookies.get(COOKIE, ""))
        try:
            page = await services.meters.page(
                await desk.actor(), meter_list.query(request.query_params)
            )
        except ServiceError as refusal:
            return _refused(refusal)
        with speaking(wanted_by(request)):
            rows = [meter_list.row(meter) for meter in page.rows]
        return JSONResponse(
            {"rows": rows, "total": page.total}, headers={"Cache-Control": "no-store"}
        )

    routes.add_api_route("/console/meters", meters, methods=["GET"])
    return routes

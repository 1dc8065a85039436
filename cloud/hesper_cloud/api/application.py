"""Puts the HTTP side together."""

from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from hesper_cloud.api import (
    auth,
    batches,
    campaigns,
    commands,
    decisions,
    energy,
    enrolment,
    exports,
    firmware,
    gaps,
    health,
    jobs,
    live,
    meters,
    operations,
    problems,
    service_levels,
    validated,
)
from hesper_cloud.api.page_cache import PageCache
from hesper_cloud.services.bundle import Services
from hesper_cloud.services.errors import NotFound
from hesper_cloud.settings import Settings

PREFIX = "/api/v1"
CACHED = ("/alerts", "/gateways", "/gaps", "/meters", "/overview")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(services: Services, settings: Settings) -> FastAPI:
    """Returns the application: REST, live WebSocket, health and metrics; no console.

    The description is at ``/api/v1/openapi.json``. There is no built-in page for it, because that
    would fetch its scripts from the internet.
    """
    del settings
    app = FastAPI(
        title="Hesper",
        version=version("hesper"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    problems.install(app)
    rest = APIRouter(prefix=PREFIX)
    for part in (
        auth,
        validated,
        meters,
        energy,
        enrolment,
        exports,
        firmware,
        campaigns,
        gaps,
        service_levels,
        jobs,
        commands,
        decisions,
        batches,
        operations,
        live,
    ):
        rest.include_router(part.router)
    rest.add_api_route("/{unknown:path}", _nothing_here, methods=METHODS, include_in_schema=False)
    app.include_router(rest)
    app.include_router(health.router)
    return app


def with_memory(app: FastAPI) -> PageCache:
    """Returns the application behind its memory of pages, as a server should run it.

    In front of everything, also of what a console puts around the application.
    """
    return PageCache(app, [PREFIX + path for path in CACHED])


async def _nothing_here(unknown: str) -> None:
    """Answers unknown addresses itself, so that the console's pages are never an API's answer."""
    raise NotFound(f"there is no {PREFIX}/{unknown}")

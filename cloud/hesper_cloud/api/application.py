"""Puts the HTTP side together."""

from importlib.metadata import version

from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.middleware.cors import CORSMiddleware

from hesper_cloud.api import (
    access_log,
    alerts,
    assets,
    auth,
    batches,
    campaigns,
    commands,
    company,
    data_ingestion,
    decisions,
    delivery,
    description,
    energy,
    enrolment,
    events,
    exports,
    firmware,
    gaps,
    health,
    imports,
    jobs,
    live,
    meter_life,
    meter_settings,
    meter_work,
    meters,
    operations,
    outside_login,
    plans,
    problems,
    reports,
    rules,
    service_levels,
    tokens,
    users,
    validated,
)
from hesper_cloud.api.bodies import strict_json
from hesper_cloud.api.body_sizes import BodySizes
from hesper_cloud.api.deprecation import Deprecations
from hesper_cloud.api.description import PREFIX
from hesper_cloud.api.headers import SafeHeaders
from hesper_cloud.api.idempotency import IdempotentPosts
from hesper_cloud.api.limits import Sockets
from hesper_cloud.api.measuring import Measured
from hesper_cloud.api.page_cache import PageCache
from hesper_cloud.api.representation import Representation
from hesper_cloud.api.request_ids import RequestIds
from hesper_cloud.services.bundle import Services
from hesper_cloud.services.errors import NotFound
from hesper_cloud.settings import Settings
from hesper_cloud.web_settings import WebSettings
from hesper_cloud.worded import worded

CACHED = ("/alerts", "/gateways", "/gaps", "/meters", "/overview")
NO_ACCOUNT_YET = ("/auth/login", "/enrolment")
CORS_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match")
CORS_EXPOSED = ("ETag", "Link", "Location", "Retry-After")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(services: Services, settings: Settings) -> FastAPI:
    """Returns the application: REST, live WebSocket, health and metrics; no console.

    The description is at ``/api/v1/openapi.json``. There is no built-in page for it, because that
    would fetch its scripts from the internet.
    """
    app = FastAPI(
        title="Hesper",
        version=version("hesper"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.sockets = Sockets(settings.web.limits.sockets)
    problems.install(app)
    strict = [Depends(strict_json)]
    for part in (  # each by itself: through a router of all, every route would be built twice
        auth,
        alerts,
        delivery,
        users,
        tokens,
        validated,
        data_ingestion,
        meter_work,
        meter_settings,
        company,
        imports,
        assets,
        meter_life,
        meters,
        energy,
        enrolment,
        exports,
        firmware,
        campaigns,
        gaps,
        service_levels,
        jobs,
        reports,
        commands,
        decisions,
        batches,
        events,
        rules,
        operations,
        access_log,
        live,
    ):
        app.include_router(part.router, prefix=PREFIX, dependencies=strict)
    for more in (campaigns.before, plans.schedules, plans.templates):
        app.include_router(more, prefix=PREFIX, dependencies=strict)
    app.add_api_route(
        PREFIX + "/{unknown:path}", _nothing_here, methods=METHODS, include_in_schema=False
    )
    app.include_router(health.router)
    app.include_router(outside_login.router)
    description.install(app, NO_ACCOUNT_YET)
    _put_platform_before(app, settings.web)
    return app


def _put_platform_before(app: FastAPI, web: WebSettings) -> None:
    """Puts what every route shares in front of them; what is added last is outermost."""
    app.add_middleware(Deprecations)
    app.add_middleware(IdempotentPosts, prefix=PREFIX, apart=NO_ACCOUNT_YET)
    app.add_middleware(Representation, prefix=PREFIX)
    app.add_middleware(BodySizes, limits=web.limits)
    app.add_middleware(RequestIds)
    app.add_middleware(SafeHeaders, web=web)
    app.add_middleware(Measured)
    if web.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=web.cors_origins,
            allow_methods=METHODS,
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_EXPOSED,
        )


def with_memory(app: FastAPI) -> PageCache:
    """Returns the application behind its memory of pages, as a server should run it.

    In front of everything, also of what a console puts around the application.
    """
    return PageCache(app, [PREFIX + path for path in CACHED])


async def _nothing_here(request: Request, unknown: str) -> None:
    """Answers unknown addresses itself, so that the console's pages are never an API's answer.

    Where the address is known and the method is not, it says which methods are (RFC 9110, 15.5.6).
    """
    known = description.methods_of(request.app.openapi(), request.url.path)
    if known:
        raise HTTPException(405, f"{request.method} is not for this", {"Allow": ", ".join(known)})
    raise NotFound(worded("there is no {prefix}/{unknown}", prefix=PREFIX, unknown=unknown))

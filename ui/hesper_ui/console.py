"""Mounts the console on the cloud's application.

Order matters: our plain routes (sign-in, assets, JSON for the grid) come first, then the guard
around all of it, then NiceGUI's own application at the root for the pages themselves.
"""

import logging
import secrets
from pathlib import Path

import nicegui
from fastapi import FastAPI, Request
from nicegui import ui
from starlette.responses import Response

from hesper_ui import endpoints, lean, login, places, tiles, words
from hesper_ui.assets import Assets
from hesper_ui.compressed import Compressed
from hesper_ui.desk import Desk, session_token
from hesper_ui.guard import Doors, Guard
from hesper_ui.selections import Selections
from hesper_ui.services import NotAuthenticated, Services
from hesper_ui.shell import frame

SCRIPTS = (
    "live.js",
    "events.js",
    "grid.js",
    "palette.js",
    "parts.js",
    "drafts.js",
    "map.js",
    "upload.js",
)
RECONNECT_S = 45.0
_UNCHANGING = tuple(
    f"/_nicegui/{nicegui.__version__}/{kind}/"
    for kind in ("static", "libraries", "components", "esm")
)
log = logging.getLogger(__name__)


def mount(app: FastAPI, services: Services) -> None:
    """Adds the console to ``app``; call it after all other routes, before the server starts."""
    lean.install()
    assets = Assets()
    assets.serve(app)
    selections = Selections()
    web = services.sources.settings.web
    own_tiles = _own_tiles(web.map_tiles)
    app.include_router(login.router(services, assets))
    app.include_router(endpoints.router(services, selections, own_tiles))
    app.add_middleware(Guard, doors=_doors(services))
    app.state.hesper_places = all_places = places.declared()

    async def page(request: Request) -> Response | None:
        desk = Desk(services, session_token(request, web.secure_cookies), selections, own_tiles)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        try:
            actor = await desk.actor()
        except NotAuthenticated:
            return login.to_login(path)
        ui.add_head_html(assets.head(*SCRIPTS, tongue=words.current()))
        frame(desk, actor, all_places)
        return None

    for place in all_places:
        ui.page(place.path, title="Hesper", dark=None, language="en-US")(page)
    ui.run_with(
        app,
        root=page,
        title="Hesper",
        dark=None,
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_S,
        storage_secret=secrets.token_urlsafe(32),
        session_middleware_kwargs={
            "same_site": "strict",
            "https_only": web.secure_cookies or web.tls is not None,
        },
        show_welcome_message=False,
        gzip_middleware_factory=lambda inner: Compressed(inner, _UNCHANGING),
    )


def _own_tiles(path: Path | None) -> tiles.Tiles | None:
    """Opens the operator's tiles; a file that cannot be drawn is told of, and the outline shown."""
    if path is None:
        return None
    try:
        return tiles.opened(path)
    except tiles.NoTiles as refusal:
        log.warning("map tiles are left out: %s", refusal)
        return None


def _doors(services: Services) -> Doors:
    async def admits(token: str) -> bool:
        try:
            await services.accounts.actor_of(token)
        except NotAuthenticated:
            return False
        return True

    web = services.sources.settings.web
    return Doors(admits, services.accounts.until_ended, web.allowed_origins, web.secure_cookies)

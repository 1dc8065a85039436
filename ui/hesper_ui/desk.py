"""The desk: the services and the session of one browser, asked again for every action.

An open page outlives a logout, a disabled account and a changed role, because its socket stays
open. So a page never keeps an actor: it asks the desk, and the desk asks the accounts service.
"""

from dataclasses import dataclass, field, replace

from starlette.requests import HTTPConnection

from hesper_ui.selections import Selections
from hesper_ui.services import Actor, Services, cookie_name, is_secure
from hesper_ui.tiles import Tiles


def session_cookie(connection: HTTPConnection, secure_cookies: bool) -> tuple[str, bool]:
    """Returns the name of the session cookie of a connection, and whether it must be secure."""
    secure = is_secure(connection.url.scheme, secure_cookies)
    return cookie_name(secure), secure


def session_token(connection: HTTPConnection, secure_cookies: bool) -> str:
    """Returns the token of a browser's session, or nothing."""
    return connection.cookies.get(session_cookie(connection, secure_cookies)[0], "")


@dataclass(frozen=True, slots=True)
class Desk:
    """What one browser's pages may use."""

    services: Services
    token: str = field(repr=False)
    selections: Selections = field(default_factory=Selections)
    tiles: Tiles | None = None

    async def actor(self) -> Actor:
        """Returns who is at the desk now; raises NotAuthenticated when the session is over."""
        return replace(await self.services.accounts.actor_of(self.token), door="console")

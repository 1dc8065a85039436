"""What the page of looks at interval data asks of the cloud."""

from typing import Protocol

from hesper_cloud.paging import Asked
from hesper_cloud.services.access_log import AccessPage, AccessRow
from hesper_cloud.services.access_log import Wanted as AccessWanted

from hesper_ui.services.records import Actor

__all__ = ["AccessLog", "AccessPage", "AccessRow", "AccessWanted", "Asked"]


class AccessLog(Protocol):
    """Who looked at which household's interval data."""

    async def page(self, actor: Actor, wanted: AccessWanted, asked: Asked, /) -> AccessPage: ...

"""What the page of looks at interval data asks of the cloud."""

from collections.abc import Sequence
from typing import Protocol

from hesper_cloud.paging import Asked
from hesper_cloud.services.access_log import AccessPage, AccessRow
from hesper_cloud.services.access_log import Wanted as AccessWanted
from hesper_cloud.services.conversations import ConversationRow, UtteranceRow

from hesper_ui.services.records import Actor, CommandRow

__all__ = [
    "AccessLog",
    "AccessPage",
    "AccessRow",
    "AccessWanted",
    "Asked",
    "ConversationRow",
    "Conversations",
    "UtteranceRow",
]


class AccessLog(Protocol):
    """Who looked at which household's interval data."""

    async def page(self, actor: Actor, wanted: AccessWanted, asked: Asked, /) -> AccessPage: ...


class Conversations(Protocol):
    """What meters and their gateways said on the line, where somebody asked for it."""

    async def asked_for(self, actor: Actor, meter: str, limit: int, /) -> Sequence[CommandRow]: ...
    async def get(self, actor: Actor, command: str, /) -> ConversationRow: ...

"""An association that is open, and what belongs to it until it is released."""

from dataclasses import dataclass

from hesper_dlms.errors import ServiceError

from hesper_gateway.errors import MeterFailed
from hesper_gateway.lines.channel import Channel
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.greeting import Greeting
from hesper_gateway.templates.model import AssociationTemplate


@dataclass(slots=True)
class Opened:
    """An association on its channel; implements `lines.line.Occupant` when it stays open."""

    association: Association
    channel: Channel
    meter: str
    """Whose it is, …"""
    own: AssociationTemplate
    """… how it was opened, …"""
    keys: MeterKeys
    """… and with what."""
    greeting: Greeting | None = None
    """What the meter said when it was taken up; None for one that is new."""

    async def leave(self) -> None:
        """Release it in order and give the channel back."""
        await self.channel.release(broken=not await self._released())

    async def _released(self) -> bool:
        try:
            await self.association.release()
        except (MeterFailed, ServiceError):
            return False
        return True

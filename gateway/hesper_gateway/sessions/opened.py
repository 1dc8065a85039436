"""An association that is open, and what belongs to it until it is released."""

import logging
from dataclasses import dataclass

from hesper_dlms.errors import ServiceError

from hesper_gateway.database import StorageFull
from hesper_gateway.errors import MeterFailed
from hesper_gateway.lines.channel import Channel
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.greeting import Greeting
from hesper_gateway.templates.model import AssociationTemplate

log = logging.getLogger(__name__)


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
        """Release it in order; the channel is given back whatever comes between."""
        broken = True
        try:
            await self.association.release()
            broken = False
        except (MeterFailed, ServiceError, StorageFull) as error:
            log.debug("%s: its association is not released: %s", self.meter, error)
        finally:
            await self.channel.release(broken)

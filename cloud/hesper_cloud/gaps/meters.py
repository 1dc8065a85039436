"""Meters as a look at the gaps of the whole fleet needs them."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.registry import Meter

_COLUMNS = select(Meter.id, Meter.gateway_id, Meter.last_contact_at, Meter.capture_period_s).where(
    in_service()
)


class FleetMeter(NamedTuple):
    """What must be known of a meter to judge its gaps."""

    id: str
    gateway_id: str | None
    last_contact_at: datetime | None
    capture_period_s: int | None


def fleet(session: Session) -> list[FleetMeter]:
    """Returns every meter in service."""
    return [FleetMeter(*row) for row in session.execute(_COLUMNS)]

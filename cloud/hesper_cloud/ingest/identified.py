"""What a meter tells of itself (event ``meter.identified``) enters the registry."""

from hesper_contracts.events import Event
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Meter
from hesper_cloud.ingest.contacts import ensure_meter

CODE = "meter.identified"
_TEXTS = ("logical_device_name", "model", "firmware", "template")
_MAX_TEXT = 200
_MAX_PERIOD_S = 86_400 * 31


def event_stored(session: Session, gateway: str, event: Event) -> None:
    """Brings a meter's row up to date; a meter behind another gateway is left alone."""
    if event.code != CODE or event.meter is None:
        return
    ensure_meter(session, event.meter, gateway, event.occurred_at)
    row = session.get(Meter, event.meter)
    if row is None or row.gateway_id not in {None, gateway}:
        return
    row.gateway_id = gateway
    for name in _TEXTS:
        told = event.attributes.get(name)
        if isinstance(told, str) and told and _may_set(row, name):
            setattr(row, name, told[:_MAX_TEXT])
    period = event.attributes.get("capture_period_s")
    if isinstance(period, int) and 0 < period <= _MAX_PERIOD_S:
        row.capture_period_s = period


def _may_set(row: Meter, name: str) -> bool:
    """Says whether the meter may name itself: not once a person commissioned its name."""
    return (
        name != "logical_device_name"
        or row.logical_device_name is None
        or row.state != "commissioned"
    )

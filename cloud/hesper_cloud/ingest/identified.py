"""What a meter tells of itself (event ``meter.identified``) enters the registry."""

import re

from hesper_contracts.events import Event
from sqlalchemy.orm import Session

from hesper_cloud.assets.arrivals import meters_heard
from hesper_cloud.db.registry import Meter, MeterProfile
from hesper_cloud.ingest.contacts import ensure_meter
from hesper_cloud.ingest.seen import insert_new
from hesper_cloud.quantities import LOAD_PROFILE

CODE = "meter.identified"
_LOGICAL_NAME = re.compile(r"\d{1,3}(\.\d{1,3}){5}")
_TEXTS = ("logical_device_name", "model", "firmware", "template")
_MAX_TEXT = 200
_MAX_PERIOD_S = 86_400 * 31


def event_stored(session: Session, gateway: str, event: Event) -> None:
    """Brings the row of a gateway's own meter up to date, or adds it."""
    if event.code != CODE or event.meter is None:
        return
    ensure_meter(session, event.meter, gateway, event.occurred_at)
    meters_heard(session, gateway, [event.meter], event.occurred_at)
    row = session.get(Meter, event.meter)
    if row is None or row.life == "removed":
        return
    row.gateway_id = gateway
    for name in _TEXTS:
        told = event.attributes.get(name)
        if isinstance(told, str) and told and _may_set(row, name):
            setattr(row, name, told[:_MAX_TEXT])
    period = event.attributes.get("capture_period_s")
    if isinstance(period, int) and 0 < period <= _MAX_PERIOD_S:
        row.capture_period_s = period
        _announce(session, row.id, event, period)


def _may_set(row: Meter, name: str) -> bool:
    """Says whether the meter may name itself: not once a person commissioned its name."""
    return (
        name != "logical_device_name"
        or row.logical_device_name is None
        or row.state != "commissioned"
    )


def _announce(session: Session, meter: str, event: Event, period_s: int) -> None:
    """Puts on record which profile the meter captures how often; what is missing counts from then.

    Under another period than before, earlier captures are no gaps; their days keep the former one.
    """
    told = event.attributes.get("load_profile")
    profile = told if isinstance(told, str) and _LOGICAL_NAME.fullmatch(told) else LOAD_PROFILE
    key = {"meter": meter, "profile": profile}
    insert_new(
        session, MeterProfile, {**key, "expected_from": event.occurred_at, "source": "announced"}
    )
    known = session.get_one(MeterProfile, key)
    if known.capture_period_s not in {None, period_s}:
        known.former_period_s, known.period_since = known.capture_period_s, event.occurred_at
    known.capture_period_s, known.source = period_s, "announced"

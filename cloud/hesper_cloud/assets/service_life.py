"""A meter goes into service and out of it.

Theory of operation. `install` says where a meter hangs and, once, behind which gateway: until then
it can be behind none, and no command can be signed for it. `commission` needs a first read, from
the meter itself or from a person who stands before it; from then on the name that the meter gave
itself is fixed. `remove` takes the meter away from gateway, customer and SIM card, so that the
authority signs nothing for it any more; the readings that it brought stay.

None of these moves a meter in service to another gateway, renames it, or takes a protection away:
that is what commands are signed by, and `commissioning` on the head end's machine is the way to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import case, delete, func, not_, or_, select, update
from sqlalchemy.orm import Session

from hesper_cloud.assets import keeping, lives
from hesper_cloud.assets.errors import Forbidden, WrongField
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import METER
from hesper_cloud.assets.links import fit_meter, follow_links, linked_fields
from hesper_cloud.db.assets import AssetChange, RegisterRead
from hesper_cloud.db.energy import ElementMeter
from hesper_cloud.db.registry import LIVE_GAPS, Gap, Gateway, Meter
from hesper_cloud.db.rules import GONE, PowerLoss
from hesper_cloud.worded import worded

REMOVED = "the meter was removed"
_PLACE = ("address", "area", "latitude", "longitude", "customer_id", "sim_id")
_BEGINS = ("install", "exchange", "create")
_ENDS = ("remove", "exchange")
_STILL = 2**62


@dataclass(frozen=True, slots=True)
class Register:
    """What one register showed at a moment: ``value * 10**scaler`` in a DLMS unit."""

    logical_name: str
    value: int
    scaler: int
    unit: int
    at: datetime
    source: Literal["meter", "person"]


def install(
    session: Session, meter: Meter, gateway: str | None, values: dict[str, Any], by: By
) -> None:
    """Puts a meter where it is to work.

    Args:
        session: In a writing transaction.
        meter: Planned, in stock, or removed from elsewhere.
        gateway: Behind which it is; None leaves that as entered, or to the first that hears it.
        values: Address, area, coordinates, customer and SIM card, where they are told now.
        by: Who installs it.

    Raises:
        Forbidden: it is in service already.
        WrongField: a value is not one, or there is no such gateway.
    """
    wrong = next((name for name in values if name not in _PLACE), None)
    if wrong is not None:
        raise WrongField(wrong, "is not said at the installation")
    if meter.life in lives.IN_SERVICE:
        raise Forbidden(worded("meter {meter} is {life} already", meter=meter.id, life=meter.life))
    kept = keeping.checked(session, METER, values)
    links = {name: kept.pop(name) for name in linked_fields(METER) if name in kept}
    kept |= {"life": "installed", "gateway_id": _gateway(session, gateway) or meter.gateway_id}
    if meter.last_contact_at is None:
        kept["first_seen_at"] = by.at  # its silence counts from now on
    keeping.alter(session, METER, meter, kept, by, "install")
    follow_links(session, METER, meter, links, by)


def _gateway(session: Session, gateway: str | None) -> str | None:
    row = session.get(Gateway, gateway) if gateway is not None else None
    if gateway is not None and (row is None or row.deleted_at is not None):
        raise WrongField("gateway", worded("there is no gateway {gateway}", gateway=gateway))
    return gateway


def commission(
    session: Session, meter: Meter, first: Register, by: By, *, life_support: bool = False
) -> None:
    """Takes a meter into service with its first read; ``life_support`` is only ever added.

    Raises:
        Forbidden: it is not installed, or behind no gateway.
    """
    lives.step(lives.METER, f"meter {meter.id}", meter.life, "commissioned")
    if meter.gateway_id is None:
        raise Forbidden(
            worded("meter {meter} is behind no gateway yet: none has heard it", meter=meter.id)
        )
    put_read(session, meter.id, "first", first, by)
    kept: dict[str, Any] = {"life": "commissioned", "state": "commissioned"}
    kept |= {"life_support": True} if life_support else {}
    keeping.alter(session, METER, meter, kept, by, "commission")


def remove(session: Session, meter: Meter, final: Register | None, by: By) -> None:
    """Takes a meter out of service, with what its register showed in the end where that is known.

    Raises:
        Forbidden: it is not in service.
    """
    lives.step(lives.METER, f"meter {meter.id}", meter.life, "removed")
    if meter.life == "removed":
        raise Forbidden(worded("meter {meter} is removed already", meter=meter.id))
    if final is not None:
        put_read(session, meter.id, "final", final, by)
    end_service(session, meter, by, "remove")


def end_service(session: Session, meter: Meter, by: By, action: str) -> None:
    """Takes a meter from gateway, customer, SIM card and grid.

    Of it nothing is missing then, and it is not without power.
    """
    fit_meter(session, meter, None, by)
    gone = dict.fromkeys(("gateway_id", "customer_id", "customer", "address"))
    gone |= dict.fromkeys(("latitude", "longitude"))
    kept = {"life": "removed", "state": "discovered", **gone}
    keeping.alter(session, METER, meter, kept, by, action)
    here = (ElementMeter.meter == meter.id) & ElementMeter.lasts(by.at)
    session.execute(delete(ElementMeter).where(here, ElementMeter.from_at >= by.at))
    session.execute(update(ElementMeter).where(here).values(to_at=by.at))
    missing = update(Gap).where(Gap.meter == meter.id, Gap.state.in_(LIVE_GAPS))
    session.execute(missing.values(state="given_up", closed_at=by.at, reason=REMOVED))
    _give_up_losses(session, meter.id, by.at)


def _give_up_losses(session: Session, meter: str, at: datetime) -> None:
    lasting = PowerLoss.meter == meter, PowerLoss.back_at.is_(None)
    for loss in session.scalars(select(PowerLoss).where(*lasting)):
        loss.back_at, loss.proof = max(loss.lost_at, at), GONE


def put_read(
    session: Session, meter: str, occasion: Literal["first", "final"], read: Register, by: By
) -> None:
    """Puts on record what a register showed."""
    session.add(
        RegisterRead(
            meter=meter,
            at=read.at,
            occasion=occasion,
            source=read.source,
            logical_name=read.logical_name,
            value=read.value,
            scaler=read.scaler,
            unit=read.unit,
            who=by.who,
        )
    )


def in_place_since(session: Session, meter: str) -> datetime | None:
    """Returns when a meter was last installed; None where readings alone brought it here."""
    began = select(AssetChange.at).where(
        AssetChange.kind == METER.name, AssetChange.asset == meter, AssetChange.action.in_(_BEGINS)
    )
    return session.scalar(began.order_by(AssetChange.id.desc()).limit(1))


class Away(NamedTuple):
    """From when until when a meter was out of service; epoch seconds."""

    since: int
    until: int


NEVER_AWAY = Away(0, 0)


def away(session: Session, meters: Sequence[str] | None = None) -> dict[str, Away]:
    """Returns when meters, some or all, were out of service last, of those that ever were.

    One that still is has no end, one that never was in service no beginning either.
    """
    of_meter = (AssetChange.kind == METER.name) & (AssetChange.asset == Meter.id)
    was, became = (part["life"].as_string() for part in (AssetChange.before, AssetChange.after))
    went = func.max(case((became == "removed", AssetChange.at)))
    began = became.in_(lives.IN_SERVICE) & was.not_in(lives.IN_SERVICE)
    came = func.max(case((began, AssetChange.at)))
    removed = select(AssetChange.asset).where(
        AssetChange.kind == METER.name, AssetChange.action.in_(_ENDS)
    )
    columns = Meter.id, Meter.life, Meter.deleted_at
    query = select(*columns, went, came).outerjoin(AssetChange, of_meter).group_by(*columns)
    if meters is not None:
        query = query.where(Meter.id.in_(meters))
        removed = removed.where(AssetChange.asset.in_(meters))  # by the index
    query = query.where(or_(not_(lives.in_service()), Meter.id.in_(removed)))
    found = {
        meter: _away(deleted_at, went_at, came_at, is_in_service=life in lives.IN_SERVICE)
        for meter, life, deleted_at, went_at, came_at in session.execute(query)
    }
    return {meter: each for meter, each in found.items() if each is not None}


def _away(
    deleted_at: datetime | None,
    went_at: datetime | None,
    came_at: datetime | None,
    *,
    is_in_service: bool,
) -> Away | None:
    if not is_in_service:
        return Away(_epoch(went_at), _STILL)
    if deleted_at is not None:
        return Away(_epoch(deleted_at), _STILL)
    if went_at is None or came_at is None or came_at < went_at:
        return None
    return Away(_epoch(went_at), _epoch(came_at))


def _epoch(at: datetime | None) -> int:
    return int(at.timestamp()) if at else 0

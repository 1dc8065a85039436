"""Commissioning: what a person knows about meters enters the registry."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from hesper_contracts.topics import gateway_id, meter_id
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.assets import history
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import METER
from hesper_cloud.db.engines import batched, writing
from hesper_cloud.db.registry import Area, Gateway, Meter
from hesper_cloud.provision import Databases, ProvisioningError, operator, protect_meters

_AT_ONCE = 500
_NAMES = frozenset({"id", "gateway"})
_IN_SERVICE = {"state": "commissioned", "life": "commissioned", "deleted_at": None}


class MeterPaper(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One meter as it stands on paper; ``id`` is its serial number."""

    id: str
    gateway: str
    logical_device_name: str | None = None
    model: str | None = None
    template: str | None = None
    customer: str | None = None
    address: str | None = None
    area: str | None = None
    firmware: str | None = None
    life_support: bool = False
    capture_period_s: int | None = None


def read_papers(path: Path) -> list[MeterPaper]:
    """Reads a JSON list of meters.

    Raises:
        ProvisioningError: not such a list; the text names the place.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[MeterPaper])
    except (msgspec.DecodeError, OSError) as error:
        raise ProvisioningError(f"{path}: {error}") from None


def commission(databases: Databases, papers: Sequence[MeterPaper]) -> int:
    """Enters or corrects meters and marks them commissioned; returns how many. Safe to repeat.

    Life support goes on the authority's own list first, from which this never takes it away. Meters
    are entered some hundred at a time: a head end that runs stores events in between.

    Raises:
        ProvisioningError: a serial number or gateway name is not one, or two papers of a meter do
            not say the same. Nothing is entered then.
    """
    first: dict[str, MeterPaper] = {}
    for paper in papers:
        if first.setdefault(paper.id, paper) != paper:
            raise ProvisioningError(
                f"meter {paper.id} is there twice, and not the same; keep one of the two"
            )
        try:
            meter_id(paper.id)
            gateway_id(paper.gateway)
        except ValueError as error:
            raise ProvisioningError(str(error)) from None
    protect_meters(
        databases.authority, {paper.id: "life support" for paper in papers if paper.life_support}
    )
    now = datetime.now(UTC)
    with writing(databases.registry) as session:
        known = set(session.scalars(select(Gateway.id)))
        for gateway in {paper.gateway for paper in papers} - known:
            session.add(Gateway(id=gateway, first_seen_at=now))
        named = {paper.area for paper in papers if paper.area}
        for area in named - set(session.scalars(select(Area.name))):
            session.add(Area(name=area))
    by = By(operator(), now)
    for some in batched(list(first.values()), _AT_ONCE):
        with writing(databases.registry) as session:
            _enter_all(session, some, by)
    return len(papers)


def _enter_all(session: Session, papers: Sequence[MeterPaper], by: By) -> None:
    query = select(Meter).where(Meter.id.in_([paper.id for paper in papers]))
    known = {meter.id: meter for meter in session.scalars(query)}
    for paper in papers:
        meter = known.get(paper.id)
        if meter is None:
            meter = Meter(id=paper.id, first_seen_at=by.at)
            session.add(meter)
        _enter(session, meter, paper, by)


def _enter(session: Session, meter: Meter, paper: MeterPaper, by: By) -> None:
    """Sets what the paper says; what changes is put on record."""
    told = {name: getattr(paper, name) for name in paper.__struct_fields__}
    values = {name: told[name] for name in told.keys() - _NAMES if told[name] is not None}
    values |= {"gateway_id": paper.gateway, **_IN_SERVICE}
    if meter.customer_id is not None:
        values.pop("customer", None)  # the name of the customer that is on record
    before = history.snapshot(meter, values)
    for name, value in values.items():
        setattr(meter, name, value)
    after = history.snapshot(meter, values)
    if before != after:
        history.record(session, by, (METER.name, meter.id), "commission", before, after)
        meter.version = (meter.version or 0) + 1

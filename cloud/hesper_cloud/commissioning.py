"""Commissioning: what a person knows about meters enters the registry."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from hesper_contracts.topics import gateway_id, meter_id
from sqlalchemy import select

from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.provision import Databases, ProvisioningError, protect_meters


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

    Life support goes on the authority's own list first, from which this never takes it away.

    Raises:
        ProvisioningError: a serial number or gateway name is not one.
    """
    for paper in papers:
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
        session.flush()
        for paper in papers:
            meter = session.get(Meter, paper.id)
            if meter is None:
                meter = Meter(id=paper.id, first_seen_at=now)
                session.add(meter)
            _enter(meter, paper)
    return len(papers)


def _enter(meter: Meter, paper: MeterPaper) -> None:
    meter.gateway_id, meter.state = paper.gateway, "commissioned"
    for name in paper.__struct_fields__:
        value = getattr(paper, name)
        if name not in ("id", "gateway") and value is not None:
            setattr(meter, name, value)

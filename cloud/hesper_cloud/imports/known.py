"""What the registry knows of the things that some rows name: looked up for many rows at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.db.assets import Area, Customer, MeterModel, Sim, Tariff
from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.imports.present import Present, present
from hesper_cloud.imports.rows import Row

ELSEWHERE = "something outside your areas"
_DISCOVERED, _INSTALLED = "discovered", "installed"
Areas = tuple[str, ...] | None
"""Of who brings a file; None: all."""


@dataclass(frozen=True, slots=True)
class KnownMeter:
    """One meter as far as an import looks at it."""

    gateway: str | None
    customer_id: int | None
    sim_id: int | None
    address: str | None
    area: str | None
    state: str
    life: str
    version: int
    deleted_at: datetime | None

    @property
    def is_only_discovered(self) -> bool:
        """Says whether the meter is known by its readings alone; then a file may complete it."""
        untouched = self.version == 1 and self.customer_id is None
        return untouched and (self.state, self.life) == (_DISCOVERED, _INSTALLED)


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """One customer as far as an import looks at it."""

    id: int
    name: str
    address: str | None
    area: str | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownSim:
    """One SIM card as far as an import looks at it."""

    id: int
    iccid: str
    place: str | None  # the meter or gateway that holds it
    state: str
    version: int
    deleted_at: datetime | None


@dataclass(slots=True)
class Known:
    """What is known of what some rows name; by the text that names it."""

    areas: set[str] = field(default_factory=set)
    tariffs: set[str] = field(default_factory=set)
    gateways: set[str] = field(default_factory=set)  # that who brings the file may name
    meters: dict[str, KnownMeter] = field(default_factory=dict)
    customers: dict[str, KnownCustomer] = field(default_factory=dict)
    sims: dict[str, list[KnownSim]] = field(default_factory=dict)  # by number and by ICCID
    imsis: dict[str, set[str]] = field(default_factory=dict)  # → ICCIDs of the cards that have it
    msisdns: dict[str, set[str]] = field(default_factory=dict)
    models: dict[tuple[str, str], tuple[str | None, str | None]] = field(default_factory=dict)
    """By brand and model: type and template."""
    present: dict[str, Present] | None = None
    """Assets that rows are of, by what they are known by; None where rows change none."""

    def cards(self, name: str | None) -> list[KnownSim]:
        """Returns the SIM cards that a number or ICCID names, without those that were deleted."""
        return [card for card in self.sims.get(name or "", ()) if card.deleted_at is None]


def of_customers(session: Session, rows: Sequence[Row]) -> Known:
    """Looks up what rows of customers name."""
    return Known(
        areas=_names(session, Area.name, _told(rows, "area")),
        tariffs=_names(session, Tariff.name, _told(rows, "tariffPlan")),
        meters=_meters(session, _told(rows, "meterAssigned")),
        customers=_customers(session, _told(rows, "accountNumber")),
    )


def of_meters(session: Session, rows: Sequence[Row]) -> Known:
    """Looks up what rows of meters name."""
    live = select(Gateway.id).where(Gateway.deleted_at.is_(None))
    meters = _meters(session, _told(rows, "meterNumber"))
    there = {each.gateway for each in meters.values() if each.gateway is not None}
    named = _told(rows, "concentratorId") | there
    return Known(
        areas=_names(session, Area.name, _told(rows, "area")),
        gateways={name for (name,) in _found(session, live, Gateway.id, named)},
        meters=meters,
        customers=_customers(session, _told(rows, "customer")),
        sims=_sims(session, _told(rows, "simCard")),
        models=_models(session, _told(rows, "brand")),
    )


def of_simcards(session: Session, rows: Sequence[Row]) -> Known:
    """Looks up what rows of SIM cards name."""
    return Known(
        sims=_sims(session, _told(rows, "iccid") | _told(rows, "simNumber")),
        imsis=_owners(session, Sim.imsi, _told(rows, "imsi")),
        msisdns=_owners(session, Sim.msisdn, _told(rows, "msisdn")),
    )


_LOOK_UP: dict[str, Callable[[Session, Sequence[Row]], Known]] = {
    "customers": of_customers,
    "meters": of_meters,
    "simcards": of_simcards,
    "simuse": lambda _session, _rows: Known(),
}


def look_up(
    session: Session, kind: str, rows: Sequence[Row], areas: Areas, *, updates: bool
) -> Known:
    """Looks up all that rows name; with ``updates`` also what they would change."""
    found = _LOOK_UP[kind](session, rows)
    if areas is not None:
        found.gateways = _seen_gateways(session, found.gateways, areas)
        found.sims = _placed_elsewhere(session, found.sims, areas)
    if updates:
        found.present = present(session, kind, rows)
        if kind == "meters":  # a row may say another model and leave the brand
            brands = {each.values["brand"] for each in found.present.values()}
            found.models |= _models(session, brands - {None} - _told(rows, "brand"))
    return found


def _told(rows: Sequence[Row], column: str) -> set[str]:
    return {value for row in rows if (value := row.values.get(column)) is not None}


def _found(
    session: Session,
    query: Select[*tuple[Any, ...]],
    column: InstrumentedAttribute[Any],
    names: Iterable[str],
) -> list[Any]:
    return [
        found
        for some in batched(sorted(names))
        for found in session.execute(query.where(column.in_(some)))
    ]


def _names(session: Session, column: InstrumentedAttribute[Any], names: set[str]) -> set[str]:
    return {name for (name,) in _found(session, select(column), column, names)}


def _seen_gateways(session: Session, names: set[str], areas: tuple[str, ...]) -> set[str]:
    """Returns those of some gateways that are in some areas, or have a meter there."""
    behind = Gateway.id.in_(select(Meter.gateway_id).where(Meter.area.in_(areas)))
    seen = select(Gateway.id).where(or_(Gateway.area.in_(areas), behind))
    return {name for (name,) in _found(session, seen, Gateway.id, names)}


def _placed_elsewhere(
    session: Session, sims: dict[str, list[KnownSim]], areas: tuple[str, ...]
) -> dict[str, list[KnownSim]]:
    """Returns cards without the names of the meters and gateways outside of some areas."""
    places = {card.place for cards in sims.values() for card in cards if card.place is not None}
    there = select(Meter.id).where(Meter.area.in_(areas))
    seen = {name for (name,) in _found(session, there, Meter.id, places)}
    seen |= _seen_gateways(session, places, areas)
    return {
        name: [
            card if card.place is None or card.place in seen else replace(card, place=ELSEWHERE)
            for card in cards
        ]
        for name, cards in sims.items()
    }


def _owners(
    session: Session, column: InstrumentedAttribute[Any], names: set[str]
) -> dict[str, set[str]]:
    """Returns by value the ICCIDs of the cards that have it."""
    found: dict[str, set[str]] = {}
    for name, iccid in _found(session, select(column, Sim.iccid), column, names):
        found.setdefault(name, set()).add(iccid)
    return found


def _meters(session: Session, names: set[str]) -> dict[str, KnownMeter]:
    query = select(
        Meter.id,
        Meter.gateway_id,
        Meter.customer_id,
        Meter.sim_id,
        Meter.address,
        Meter.area,
        Meter.state,
        Meter.life,
        Meter.version,
        Meter.deleted_at,
    )
    return {name: KnownMeter(*rest) for name, *rest in _found(session, query, Meter.id, names)}


def _customers(session: Session, names: set[str]) -> dict[str, KnownCustomer]:
    account = Customer.account_number
    query = select(
        account, Customer.id, Customer.name, Customer.address, Customer.area, Customer.deleted_at
    )
    return {name: KnownCustomer(*rest) for name, *rest in _found(session, query, account, names)}


def _sims(session: Session, names: set[str]) -> dict[str, list[KnownSim]]:
    found: dict[str, list[KnownSim]] = {}
    place = func.coalesce(Sim.meter, Sim.gateway)
    for column in (Sim.number, Sim.iccid):
        query = select(column, Sim.id, Sim.iccid, place, Sim.state, Sim.version, Sim.deleted_at)
        for name, *rest in _found(session, query, column, names):
            card, held = KnownSim(*rest), found.setdefault(name, [])
            if card not in held:
                held.append(card)
    return found


def _models(
    session: Session, brands: set[str]
) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    query = select(MeterModel.brand, MeterModel.model, MeterModel.meter_type, MeterModel.template)
    rows = _found(session, query, MeterModel.brand, brands)
    return {(brand, model): (kind, template) for brand, model, kind, template in rows}

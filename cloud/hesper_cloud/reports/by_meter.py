"""Reports with a row for each meter: consumption, completeness, silence.

What a meter used, and owed, stays what it was when the meter is exchanged: reports of that have the
meters in service, and the others of which there is something in the period. They are added up from
the days of the energy book, as bills are: those of each meter's zone, which its row names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from hesper_cloud import quantities
from hesper_cloud.accounts.roles import Permission
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.exports.numbers import exact
from hesper_cloud.gaps.causes import GATEWAY_OFFLINE, failing_hop
from hesper_cloud.reports.tables import Column, Days, Part, Period, Row, Shelves
from hesper_cloud.rules.silence import OFFLINE, patience

_AT_ONCE = 2000
_PERCENT = 100
_HOUR_S = 3600
_ZONE = Column("Zone")
_OF_METER = (Column("Meter"), Column("Customer"), Column("Account"), Column("Area"))
_ENERGY = """
    SELECT meter, logical_name, scaler, unit, sum(list_sum(sums)), sum(list_sum(estimated)),
           max(demand_15), arg_max(demand_15_at, demand_15)
    FROM days WHERE meter IN (SELECT unnest($meters)) AND day >= $first AND day < $end
      AND logical_name IN ($bought, $sold)
    GROUP BY meter, logical_name, scaler, unit ORDER BY meter, logical_name"""
_SCORES = """
    SELECT meter, sum(expected), sum(stored), sum(doubted), sum(estimated), sum(edited)
    FROM scores WHERE meter IN (SELECT unnest($meters)) AND day >= $first AND day < $end
    GROUP BY meter"""


@dataclass(frozen=True, slots=True)
class _Known:
    """One meter with whom it serves."""

    id: str
    customer: str | None
    account: str | None
    area: str | None
    gateway: str | None
    last_contact_at: datetime | None
    capture_period_s: int | None
    serves: bool  # it is in service
    zone: ZoneInfo

    @property
    def cells(self) -> Row:
        """The cells that every such report begins with."""
        return [self.id, self.customer, self.account, self.area]


def _meters(shelves: Shelves, period: Period, after: Any) -> list[_Known]:
    """Returns the next meters, in the order of their names."""
    query = (
        select(
            *(Meter.id, Meter.customer, Customer.account_number, Meter.area, Meter.gateway_id),
            *(Meter.last_contact_at, Meter.capture_period_s, in_service()),
        )
        .outerjoin(Customer, Customer.id == Meter.customer_id)
        .where(Meter.id > (after or ""))
    )
    if period.areas is not None:
        query = query.where(Meter.area.in_(period.areas))
    zone_of = shelves.settings.validation.zone_of
    with reading(shelves.registry) as session:
        found = session.execute(query.order_by(Meter.id).limit(_AT_ONCE))
        return [_Known(*row, zone=zone_of(row.area)) for row in found]


@dataclass(frozen=True, slots=True)
class _Energy:
    """What one register of one meter moved in a period, and its highest demand."""

    scaler: int
    unit: int
    sum: int
    estimated: int
    demand: int | None
    demand_at: int | None

    def added_to(self, other: "_Energy") -> "_Energy":
        """Adds days whose scaler was another; the finer one is kept."""
        scaler = min(self.scaler, other.scaler)
        highest = max(self, other, key=_watts)
        return _Energy(
            scaler,
            other.unit,
            sum(each.sum * 10 ** (each.scaler - scaler) for each in (self, other)),
            self.estimated + other.estimated,
            None if highest.demand is None else highest.demand * 10 ** (highest.scaler - scaler),
            highest.demand_at,
        )

    @property
    def text(self) -> str:
        """The energy, exactly."""
        return exact(int(self.sum), self.scaler)

    def demand_cells(self, zone: ZoneInfo) -> tuple[str | None, str | None]:
        """The highest demand, and when it ended by the meter's clock."""
        if self.demand is None or self.demand_at is None:
            return None, None
        at = datetime.fromtimestamp(self.demand_at, zone)
        return exact(self.demand, self.scaler), at.isoformat(timespec="minutes")


def _watts(energy: _Energy) -> float:
    return -1.0 if energy.demand is None else energy.demand * 10.0**energy.scaler


def _part(meters: Sequence[_Known], rows: list[Row]) -> Part:
    return Part(rows, meters[-1].id if len(meters) == _AT_ONCE else None)


@dataclass(frozen=True, slots=True)
class Consumption:
    """What each meter took and gave in a period, by the energy book."""

    name: str = "consumption"
    title: str = "Consumption"
    permission: Permission = Permission.READ
    divisible: bool = True
    days: Days = "book"
    columns: tuple[Column, ...] = (
        *_OF_METER,
        Column("Taken", number=True),
        Column("Given", number=True),
        Column("Unit"),
        Column("Intervals estimated", number=True),
        Column("Highest demand 15 min", number=True),
        Column("At"),
        _ZONE,
    )

    def part(self, shelves: Shelves, period: Period, after: Any) -> Part:
        """Returns the next meters with their energy; empty where nothing is known of one."""
        meters = _meters(shelves, period, after)
        found: dict[tuple[str, str], _Energy] = {}
        for meter, logical_name, *rest in shelves.book.rows(
            _ENERGY,
            meters=[each.id for each in meters],
            first=period.first,
            end=period.end,
            bought=quantities.ACTIVE_ENERGY_IMPORT,
            sold=quantities.ACTIVE_ENERGY_EXPORT,
        ):
            energy, key = _Energy(*rest), (meter, logical_name)
            found[key] = energy.added_to(found[key]) if key in found else energy
        told = {meter for meter, _ in found}
        shown = [each for each in meters if each.serves or each.id in told]
        return _part(meters, [self._row(each, found) for each in shown])

    @staticmethod
    def _row(meter: _Known, found: dict[tuple[str, str], _Energy]) -> Row:
        bought = found.get((meter.id, quantities.ACTIVE_ENERGY_IMPORT))
        sold = found.get((meter.id, quantities.ACTIVE_ENERGY_EXPORT))
        told = bought or sold
        return [
            *meter.cells,
            bought.text if bought else None,
            sold.text if sold else None,
            quantities.symbol(told.unit) if told else None,
            bought.estimated if bought else None,
            *(bought.demand_cells(meter.zone) if bought else (None, None)),
            meter.zone.key,
        ]


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what each meter owed in a period is stored."""

    name: str = "completeness"
    title: str = "Completeness of readings"
    permission: Permission = Permission.READ
    divisible: bool = True
    days: Days = "book"
    columns: tuple[Column, ...] = (
        *_OF_METER,
        *(Column(title, number=True) for title in ("Due", "Stored", "Percent")),
        *(Column(title, number=True) for title in ("Doubted", "Estimated", "Edited")),
        _ZONE,
    )

    def part(self, shelves: Shelves, period: Period, after: Any) -> Part:
        """Returns the next meters with their captures."""
        meters = _meters(shelves, period, after)
        names = [each.id for each in meters]
        rows = shelves.book.rows(_SCORES, meters=names, first=period.first, end=period.end)
        found = {meter: [int(count) for count in counts] for meter, *counts in rows}
        shown = [each for each in meters if each.serves or each.id in found]
        return _part(meters, [self._row(each, found.get(each.id)) for each in shown])

    @staticmethod
    def _row(meter: _Known, counts: list[int] | None) -> Row:
        if counts is None:
            return [*meter.cells, *[None] * 6, meter.zone.key]
        due, stored, *rest = counts
        percent = f"{_PERCENT * stored / due:.1f}" if due else None
        return [*meter.cells, due, stored, percent, *rest, meter.zone.key]


@dataclass(frozen=True, slots=True)
class SilentMeters:
    """Which meters are silent when the report is made, since when, and where it stops."""

    name: str = "silent-meters"
    title: str = "Silent meters"
    permission: Permission = Permission.READ
    divisible: bool = True
    days: Days = "asked"
    columns: tuple[Column, ...] = (
        *_OF_METER,
        Column("Gateway"),
        Column("Last heard"),
        Column("Silent hours", number=True),
        Column("Stops at"),
    )

    def part(self, shelves: Shelves, period: Period, after: Any) -> Part:
        """Returns the silent ones of the next meters."""
        meters, now = _meters(shelves, period, after), shelves.clock()
        with reading(shelves.registry) as session:
            gateways = {row.id: row for row in session.scalars(select(Gateway))}
        rules = shelves.settings.rules
        rows: list[Row] = []
        for each in (each for each in meters if each.serves):
            heard = each.last_contact_at
            if heard is not None and now - heard <= patience(rules, each.capture_period_s):
                continue
            gateway = gateways.get(each.gateway or "")
            offline = gateway is not None and gateway.state == OFFLINE
            hours = None if heard is None else int((now - heard).total_seconds()) // _HOUR_S
            since = (
                heard.astimezone(period.zone).isoformat(timespec="minutes") if heard else "never"
            )
            stops = GATEWAY_OFFLINE if offline else failing_hop(gateway)
            rows.append([*each.cells, each.gateway, since, hours, stops])
        return _part(meters, rows)

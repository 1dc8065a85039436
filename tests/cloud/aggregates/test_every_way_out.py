"""Every way out tells the same energy: meters of three zones over a change of the clock.

The truth is added up here from the meters' own registers, in plain integers.
"""

import csv
import io
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hesper_cloud.aggregates import balance, buckets, consumption, topology
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.exports import espi
from hesper_cloud.exports.running import Wanted, octets_of
from hesper_cloud.stores.port import Quantity
from hesper_contracts.quality import Quality

PROFILE, IMPORT = "1.0.99.1.0.255", "1.0.1.8.0.255"
ZONES = {"berlin": "Europe/Berlin", "howe": "Australia/Lord_Howe", "johns": "America/St_Johns"}
DAYS = {"berlin": date(2026, 3, 29), "howe": date(2026, 4, 5), "johns": date(2026, 3, 8)}
SCALERS = (0, -2, 1)
ESPI = f"{{{espi.ESPI}}}"
Registers = dict[str, dict[int, int]]
"""By meter, what its register shows in Wh by capture time."""


def midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


@pytest.fixture(params=ZONES)
def area(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fleet(plant: Any, area: str) -> Registers:
    """Three meters, each in another scaler, the day before the clock changes and that day."""
    plant.settings.validation.area_zones.update(ZONES)
    zone, last, shown = ZoneInfo(ZONES[area]), DAYS[area], Random(area)
    ends = midnight(last - timedelta(days=1), zone), midnight(last + timedelta(days=1), zone)
    fleet: Registers = {}
    for scaler in SCALERS:
        meter, value = f"{area}{scaler}", 10_000
        fleet[meter] = {
            at: (value := value + 10 * shown.randrange(80))
            for at in range(ends[0], ends[1] + 1, 900)
        }
        plant.add_meter(meter, area=area)
        gap = (list(fleet[meter])[30], list(fleet[meter])[31])
        told = {at: int(wh * Fraction(10) ** -scaler) for at, wh in fleet[meter].items()}
        kept = {at: value for at, value in told.items() if at not in gap}
        plant.put(meter, kept, Quantity(IMPORT, scaler, 30))
    plant.settle()
    return fleet


def taken(register: dict[int, int], start: int, end: int) -> int:
    return register[end] - register[start]


def test_every_way_out_tells_the_energy_that_the_registers_show(plant, area, fleet):
    zone, last = ZoneInfo(ZONES[area]), DAYS[area]
    start, change, end = (midnight(last + timedelta(days=each), zone) for each in (-1, 0, 1))
    shelf = Shelf(plant.engine, plant.store, plant.book)
    for meter, register in fleet.items():
        for step in ("half-hour", "hour", "day"):
            found = buckets.read(plant.book, (meter, IMPORT), start, end, step, zone)
            assert [(each.starts_at, each.ends_at) for each in found] == list(
                pairwise([*(each.starts_at for each in found), end])
            ), "one begins where another ends"
            for each in found:
                told = each.sum * Fraction(10) ** each.scaler
                if step == "day" or each.estimated == 0:
                    assert told == taken(register, each.starts_at, each.ends_at), (meter, step)
        wanted = Wanted("csv", PROFILE, start, end + 1, [meter], validated=True)
        lines = csv.DictReader(io.StringIO(b"".join(octets_of(shelf, wanted)).decode()))
        raw = {row["captured_at"]: row["value"] for row in lines if row["source"] == "raw"}
        assert {int(datetime.fromisoformat(at).timestamp()): int(Fraction(value))
            for at, value in raw.items()}.items() <= register.items()  # fmt: skip
        assert green_button(shelf, meter, start, end) == taken(register, start, end)
    days = Counter[int]()
    for register in fleet.values():
        days[start] += taken(register, start, change)
        days[change] += taken(register, change, end)
    first = last - timedelta(days=1)
    together = consumption.consumption(plant.book, list(fleet), IMPORT, first, last, "day")
    assert [each.value * Fraction(10) ** each.scaler for each in together] == list(days.values())
    places = "".join(f"meter,{each},,t,customer,2020-01-01T00:00:00Z,\n" for each in fleet)
    grid = topology.parse(f"kind,id,name,parent,role,from,to\ntransformer,t,,,,,\n{places}")
    found = balance.balances(plant.book, grid, "t", [start, change, end], zone)
    assert [each.customers_mwh for each in found] == [1000 * each for each in days.values()]


@pytest.mark.parametrize("lacking", [0, 1, 40])
@pytest.mark.parametrize("read_wrong", [0, 1])
def test_an_exchange_has_brought_nothing_whatever_ingest_took_it_for(plant, lacking, read_wrong):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-03")
    rows = plant.register(start, end, first=9_500_000)
    change = start + 900 * 50
    after = change + 900 * lacking
    shown = {at: value if at < change else value - 9_501_250 for at, value in rows.items()}
    shown[change - 1800] -= 400 * read_wrong
    plant.put("M1", {at: value for at, value in shown.items() if at < change or at > after})
    plant.put("M1", {after: shown[after]}, quality=int(Quality.ROLLOVER))
    plant.settle()
    zone = plant.settings.validation.zone_of(None)
    days = buckets.read(plant.book, ("M1", IMPORT), start, end, "day", zone)
    shelf = Shelf(plant.engine, plant.store, plant.book)
    told = sum(each.sum for each in days)
    assert told == green_button(shelf, "M1", start, end) == 25 * (191 - lacking - 2 * read_wrong)


@pytest.mark.parametrize("captures", [0, 1, 4, 8])
@pytest.mark.parametrize("lacking", [1, 7, 8])
def test_a_last_digit_is_passed_within_a_gap_that_is_interpolated(plant, captures, lacking):
    """In a longer one a meter may have been exchanged: nobody tells energy of it."""
    start, end = plant.at("2026-06-01"), plant.at("2026-06-03")
    gap = range(start + 900 * 94, start + 900 * (94 + lacking), 900)
    rows = plant.register(start, end, first=100_000 - 25 * (94 + captures))
    plant.put("M1", {at: value % 100_000 for at, value in rows.items() if at not in gap})
    plant.settle()
    zone = plant.settings.validation.zone_of(None)
    days = buckets.read(plant.book, ("M1", IMPORT), start, end, "day", zone)
    shelf = Shelf(plant.engine, plant.store, plant.book)
    told = sum(each.sum for each in days)
    assert told == green_button(shelf, "M1", start, end) == 25 * (192 - 9 * (lacking == 8))


def green_button(shelf: Shelf, meter: str, start: int, end: int) -> Fraction:
    wanted = Wanted("espi", PROFILE, start, end + 1, [meter], validated=True)
    feed = ET.fromstring(b"".join(octets_of(shelf, wanted)))
    (power,) = {each.text for each in feed.iter(f"{ESPI}powerOfTenMultiplier")}
    values = (
        int(each.findtext(f"{ESPI}value") or "") for each in feed.iter(f"{ESPI}IntervalReading")
    )
    return sum(values) * Fraction(10) ** int(power or "")

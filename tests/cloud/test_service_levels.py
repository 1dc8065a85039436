"""Service levels: counted by deadline, followed down to the meter, the cause and the hop."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hesper_cloud import metrics
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.app import create_app
from hesper_cloud.assets.history import By
from hesper_cloud.assets.service_life import install, remove
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Event, Gap, Gateway, Meter, MeterProfile, ServiceLevelDay
from hesper_cloud.gaps.captures import Captures
from hesper_cloud.job_settings import ServiceLevel, ServiceLevelSettings
from hesper_cloud.latest import LatestValues
from hesper_cloud.service_levels.keeping import ServiceLevels
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import WebSettings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group
from hesper_contracts import columns
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from pydantic import ValidationError
from sqlalchemy import select

P = 3600
DAY = datetime(2026, 6, 1, tzinfo=UTC)
DAY_S = int(DAY.timestamp())
PROFILE = "1.0.99.1.0.255"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
METER, OTHER = "HES12642984", "HES12642985"
LEVELS = ServiceLevelSettings(
    look_back_days=2,
    levels=(
        ServiceLevel(name="days-8h", kind="days", target_percent=98, within_hours=8),
        ServiceLevel(name="days-24h", kind="days", target_percent=99.5, within_hours=24),
        ServiceLevel(name="reads-8h", kind="captures", target_percent=90, within_hours=8),
        ServiceLevel(name="messages", kind="messages", target_percent=99.9),
    ),
)


class Fleet:
    """Two meters that owe 24 captures a day each."""

    def __init__(
        self, head_end: Any, folder: Path, settings: ServiceLevelSettings = LEVELS
    ) -> None:
        self.registry, self.clock = head_end.databases.registry, head_end.clock
        changed = {"service_levels": settings, "web": WebSettings(token_minutes=9999)}
        self.settings = head_end.settings.model_copy(update=changed)
        self.store = DuckDbStore(folder / "readings.duckdb")
        self.levels = ServiceLevels(self.registry, self.store, settings, self.clock)
        self.clock.now = DAY
        with writing(self.registry) as session:
            for meter in (METER, OTHER):
                session.add(
                    MeterProfile(
                        meter=meter, profile=PROFILE, capture_period_s=P, expected_from=DAY,
                        source="announced",
                    )
                )  # fmt: skip
        self.sources = Sources(
            self.settings, self.registry, head_end.databases.authority, self.store,
            LatestValues(), self.clock,
        )  # fmt: skip

    def store_at(self, hours: float, meter: str, *captured: int) -> None:
        """Stores captures (hours of the day) at a time, hours after the day began."""
        at = [DAY_S + P * hour for hour in captured]
        rows = MeterRows(meter, at, [0] * len(at), [0] * len(at), [list(at)])
        block = block_of(
            columns.from_sections([Section(LOAD_PROFILE, at[-1], (ENERGY,), [rows])])[0]
        )
        self.store.write(Group({}, [block], int((DAY_S + P * hours) * 1000)))

    def turn(self, hours: float) -> dict[str, tuple[int, int]]:
        """Computes at a time and returns due and met of the day, by level."""
        self.clock.now = DAY + timedelta(hours=hours)
        self.levels.turn()
        with reading(self.registry) as session:
            rows = session.scalars(select(ServiceLevelDay).where(ServiceLevelDay.day == DAY))
            return {row.level: (row.due_count, row.met_count) for row in rows}


@pytest.fixture
def fleet(head_end: Any, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(head_end, tmp_path)
    yield made
    made.store.close()


def test_a_day_counts_by_its_deadline(fleet: Fleet) -> None:
    fleet.store_at(24, METER, *range(24))
    fleet.store_at(24, OTHER, *range(20))
    before = fleet.turn(26)
    assert before["days-8h"] == before["days-24h"] == (2, 1)
    assert before["reads-8h"] == (48, 44)
    fleet.store_at(40, OTHER, *range(20, 24))
    after = fleet.turn(41)
    assert (after["days-8h"], after["days-24h"]) == ((2, 1), (2, 2))
    assert after["reads-8h"] == (48, 44), "what came after the deadline changes it no more"


def test_a_day_that_a_clock_ahead_took_for_over_is_counted_when_it_is(fleet: Fleet) -> None:
    fleet.store_at(10, METER, *range(10))
    assert fleet.turn(10 + 48)["days-24h"] == (2, 0)
    fleet.turn(10)
    fleet.store_at(24, METER, *range(10, 24))
    fleet.store_at(24, OTHER, *range(24))
    assert fleet.turn(26)["days-24h"] == (2, 2)


@pytest.mark.parametrize(("stored", "met"), [(31.9, 1), (32.0, 1), (32.1, 0)])
def test_the_deadline_itself_still_counts(fleet: Fleet, stored: float, met: int) -> None:
    fleet.store_at(stored, METER, *range(24))
    assert fleet.turn(33)["days-8h"] == (2, met)


def test_a_day_under_way_owes_what_has_been_latched(fleet: Fleet) -> None:
    fleet.store_at(5.5, METER, 0, 1, 2, 3, 4)
    assert fleet.turn(5.5)["reads-8h"] == (10, 5)


def test_a_meter_that_was_removed_owes_nothing_from_then_on(fleet: Fleet) -> None:
    fleet.store_at(24, METER, *range(24))
    fleet.store_at(10, OTHER, *range(10))
    with writing(fleet.registry) as session:
        by = By("ann", DAY + timedelta(hours=10))
        remove(session, session.get_one(Meter, OTHER), None, by)
    assert fleet.turn(41) == {"days-8h": (2, 2), "days-24h": (2, 2), "reads-8h": (34, 34)}
    with reading(fleet.registry) as session:
        (after,) = session.scalars(
            select(ServiceLevelDay).where(
                ServiceLevelDay.day == DAY + timedelta(days=1), ServiceLevelDay.level == "reads-8h"
            )
        )
    assert after.due_count == 17, "of the other meter, so far"


def test_a_meter_that_is_there_again_owes_nothing_of_the_time_between(fleet: Fleet) -> None:
    fleet.store_at(24, METER, *range(24))
    fleet.store_at(10, OTHER, *range(10))
    fleet.store_at(52, OTHER, *range(46, 48))
    with writing(fleet.registry) as session:
        meter = session.get_one(Meter, OTHER)
        remove(session, meter, None, By("ann", DAY + timedelta(hours=10)))
        install(session, meter, None, {}, By("ann", DAY + timedelta(hours=46)))
    assert fleet.turn(64) == {"days-8h": (2, 2), "days-24h": (2, 2), "reads-8h": (34, 34)}
    with reading(fleet.registry) as session:
        (after,) = session.scalars(
            select(ServiceLevelDay).where(
                ServiceLevelDay.day == DAY + timedelta(days=1), ServiceLevelDay.level == "reads-8h"
            )
        )
    assert (after.due_count, after.met_count) == (24 + 2, 2)


def test_a_capture_stored_twice_counts_from_the_first(fleet: Fleet) -> None:
    fleet.store_at(25, METER, *range(24))
    fleet.store_at(60, METER, *range(24))
    assert fleet.turn(61)["days-8h"] == (2, 1)


def test_a_day_that_is_over_for_good_is_not_counted_again(fleet: Fleet) -> None:
    fleet.store_at(24, METER, *range(24))
    fleet.turn(24 + 8 + 24)
    with writing(fleet.registry) as session:
        session.get_one(ServiceLevelDay, ("days-8h", DAY)).met_count = 77
    assert fleet.turn(24 + 8 + 25)["days-8h"] == (2, 77)


def test_after_its_deadline_a_day_is_counted_seldom(fleet: Fleet) -> None:
    fleet.store_at(24, METER, *range(24))
    assert fleet.turn(33)["days-8h"] == (2, 1)
    fleet.store.erase(METER)
    assert fleet.turn(38)["days-8h"] == (2, 1)
    assert fleet.turn(39)["days-8h"] == (2, 0)


def test_while_no_deadline_is_over_the_store_is_not_asked(fleet: Fleet) -> None:
    captures = Captures()
    fleet.levels = ServiceLevels(fleet.registry, fleet.store, LEVELS, fleet.clock, captures)
    fleet.store_at(5.5, METER, 0, 1, 2, 3, 4)
    first = fleet.turn(6)
    captures.keep(PROFILE, 2 * 86_400)
    at = np.array([DAY_S + P * hour for hour in range(5)])
    captures.reread(PROFILE, [METER, OTHER], 0, lambda: {METER: at})
    fleet.store.erase(METER)
    assert fleet.turn(6.01) == first
    assert fleet.turn(33)["days-8h"] == (2, 0), "what was in time says the store alone"


def test_messages_are_counted_by_what_became_of_them(fleet: Fleet) -> None:
    fleet.turn(1)
    metrics.RECEIPTS.labels("stored").inc(999)
    metrics.RECEIPTS.labels("rejected").inc(1)
    assert fleet.turn(2)["messages"] == (1000, 999)
    metrics.RECEIPTS.labels("stored").inc(10)
    assert fleet.turn(3)["messages"] == (1010, 1009)


def test_a_level_that_promises_more_than_all_is_refused() -> None:
    with pytest.raises(ValidationError):
        ServiceLevel(name="too-much", kind="days", target_percent=101)


@pytest.fixture
async def client(fleet: Fleet) -> Any:
    services = assemble(fleet.sources, lambda: 0.0)
    transport = httpx.ASGITransport(create_app(services, fleet.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        body = {"username": "vic", "password": "viewing-only-1"}
        token = (await client.post("/api/v1/auth/login", json=body)).json()["token"]
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
    services.energy.close()


async def test_from_a_percentage_to_the_meter_its_cause_and_its_hop(
    client: httpx.AsyncClient, fleet: Fleet
) -> None:
    fleet.store_at(24, METER, *range(23))
    fleet.store_at(24, METER, 23)
    fleet.store_at(24, OTHER, *range(20))
    with writing(fleet.registry) as session:
        session.add(
            Gap(
                meter=OTHER, profile=PROFILE, from_at=DAY + timedelta(hours=20),
                to_at=DAY + timedelta(hours=23), expected_count=4, cause="line", noticed_at=DAY,
            )
        )  # fmt: skip
        session.add(
            Event(
                id="e1", meter=OTHER, gateway="gw-1", code="meter.unreachable", severity="warning",
                occurred_at=DAY + timedelta(hours=21), stored_at=DAY, text="",
                attributes={"hop": "modem"},
            )
        )  # fmt: skip
    fleet.turn(33)
    path = "/api/v1/service-levels"
    days = (await client.get(f"{path}/days-8h")).json()
    (day,) = [each for each in days if each["day"] == "2026-06-01"]
    assert (day["due"], day["met"], day["percent"], day["reached"], day["final"]) == (
        2, 1, 50.0, False, True,
    )  # fmt: skip
    missed = (await client.get(f"{path}/days-8h/misses", params={"day": "2026-06-01"})).json()
    assert missed == [
        {"meter": OTHER, "gateway": "gw-1", "due": 24, "met": 20, "cause": "line", "hop": "modem"}
    ]
    text = (await client.get(f"{path}/reads-8h", params={"format": "csv"})).text
    rows = {row["day"]: row for row in csv.DictReader(io.StringIO(text))}
    assert (rows["2026-06-01"]["due"], rows["2026-06-01"]["met"]) == ("48", "44")
    by_meter = await client.get(
        f"{path}/days-8h/misses", params={"day": "2026-06-01", "format": "csv"}
    )
    assert by_meter.text.splitlines()[1] == f"{OTHER},gw-1,24,20,line,modem"
    assert (await client.get(f"{path}/nothing")).status_code == 404
    assert (await client.get(path)).status_code == 200


async def test_the_hop_is_told_once_and_holds_on_the_days_after(
    client: httpx.AsyncClient, fleet: Fleet
) -> None:
    fleet.store_at(24, METER, *range(24))
    fleet.store_at(24, OTHER, *range(20))
    told = ((3, "unreachable", "modem"), (2, "reachable", ""), (1, "unreachable", "security"))
    with writing(fleet.registry) as session:
        for days, code, hop in told:
            session.add(
                Event(
                    id=f"e{days}", meter=OTHER, gateway="gw-1", code=f"meter.{code}",
                    severity="warning", occurred_at=DAY - timedelta(days=days), stored_at=DAY,
                    text="", attributes={"hop": hop},
                )
            )  # fmt: skip
    fleet.turn(33)
    path = "/api/v1/service-levels/days-8h/misses"
    missed = (await client.get(path, params={"day": "2026-06-01"})).json()
    assert [(each["meter"], each["hop"]) for each in missed] == [(OTHER, "security")]


async def test_where_no_event_says_it_the_hop_is_where_most_attempts_failed(
    client: httpx.AsyncClient, fleet: Fleet
) -> None:
    fleet.store_at(24, METER, *range(24))
    fleet.store_at(24, OTHER, *range(20))
    with writing(fleet.registry) as session:
        counts = {"timeout": 2, "modem": 9, "=cmd|' /C calc'!A0": 99}
        session.get_one(Gateway, "gw-1").attributes = {"failures": counts}
        session.add(
            Event(
                id="e2", meter=OTHER, gateway="gw-1", code="meter.unreachable", severity="warning",
                occurred_at=DAY + timedelta(hours=21), stored_at=DAY, text="",
                attributes={"hop": "=1+1"},
            )
        )  # fmt: skip
    fleet.turn(33)
    asked = {"day": "2026-06-01"}
    missed = (await client.get("/api/v1/service-levels/days-8h/misses", params=asked)).json()
    assert [(each["meter"], each["hop"]) for each in missed] == [(OTHER, "modem")]


async def test_what_came_too_late_is_told_from_what_is_missing(
    client: httpx.AsyncClient, fleet: Fleet
) -> None:
    fleet.store_at(50, METER, *range(24))
    fleet.store_at(24, OTHER, *range(24))
    fleet.turn(51)
    asked = {"day": "2026-06-01"}
    missed = (await client.get("/api/v1/service-levels/days-8h/misses", params=asked)).json()
    assert [(each["meter"], each["cause"]) for each in missed] == [(METER, "late")]


BERLIN = LEVELS.model_copy(update={"zone": "Europe/Berlin"})


@pytest.mark.parametrize(
    ("midnight", "hours"),
    [
        (datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        (datetime(2026, 6, 1, 22, tzinfo=UTC), 24),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
    ],
)
async def test_days_begin_in_the_zone_that_was_promised_for(
    head_end: Any, tmp_path: Path, midnight: datetime, hours: int
) -> None:
    fleet = Fleet(head_end, tmp_path, BERLIN)
    with writing(fleet.registry) as session:
        for profile in session.scalars(select(MeterProfile)):
            profile.expected_from = midnight - timedelta(hours=1)
    first = (int(midnight.timestamp()) - DAY_S) // P
    fleet.store_at(first + hours, METER, *range(first - 1, first + hours))
    fleet.store_at(first + hours + 8.1, OTHER, *range(first - 1, first + hours))
    fleet.turn(first + hours + 9)
    with reading(fleet.registry) as session:
        row = session.get_one(ServiceLevelDay, ("reads-8h", midnight))
        assert (row.due_count, row.met_count) == (2 * hours, hours), "8 h from the day's own end"
    services = assemble(fleet.sources, lambda: 0.0)
    day = (midnight + timedelta(hours=2)).date()
    actor = Actor("vic", Role.VIEWER)
    (told,) = await services.service_levels.days(actor, "days-8h", day, day)
    assert (told.day, told.due, told.met, told.final) == (day, 2, 1, True)
    (miss,) = await services.service_levels.misses(actor, "days-8h", day)
    assert (miss.meter, miss.due, miss.cause) == (OTHER, hours, "late")
    services.energy.close()
    fleet.store.close()


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "1969-12-31"])
async def test_a_day_at_the_end_of_the_calendar_is_refused(
    client: httpx.AsyncClient, day: str
) -> None:
    address = "/api/v1/service-levels"
    missed = await client.get(f"{address}/days-8h/misses", params={"day": day})
    listed = await client.get(address, params={"from": day, "to": day})
    assert (missed.status_code, listed.status_code) == (400, 400)


async def test_days_that_were_counted_in_another_zone_are_not_listed(
    head_end: Any, tmp_path: Path
) -> None:
    fleet = Fleet(head_end, tmp_path, BERLIN)
    with writing(fleet.registry) as session:
        for begun in (DAY, DAY - timedelta(hours=2)):
            session.add(
                ServiceLevelDay(
                    level="days-8h", day=begun, due_count=1, met_count=1, computed_at=begun
                )
            )
    services = assemble(fleet.sources, lambda: 0.0)
    actor = Actor("vic", Role.VIEWER)
    listed = await services.service_levels.days(actor, None, DAY.date(), DAY.date())
    assert [each.day for each in listed] == [DAY.date()]
    services.energy.close()
    fleet.store.close()


def test_a_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        ServiceLevelSettings(zone="Mars/Olympus")

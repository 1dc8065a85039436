"""Aggregates, bills and balances as they are read, across changes of the clock."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hesper_cloud.aggregates import balance, billing, buckets, consumption, topology
from hesper_cloud.aggregates.curves import Shelf, validated
from hesper_cloud.aggregates.reconcile import Reconciliation
from hesper_cloud.aggregates.roster import members
from hesper_cloud.aggregates.views import Range, views
from hesper_cloud.aggregates.work import Work
from hesper_cloud.assets.history import By
from hesper_cloud.assets.service_life import install, remove
from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.energy import DirtyDay
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter, MeterProfile
from hesper_cloud.giving_way import GivesWay
from hesper_cloud.ingest.identified import event_stored
from hesper_cloud.services.energy import _edges
from hesper_cloud.services.errors import Invalid
from hesper_cloud.settings import RetentionSettings, StoreSettings
from hesper_cloud.stores.port import Quantity
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.codes import Grade
from hesper_cloud.validation.substitutes import Curve, Edit
from hesper_contracts.events import Event
from hesper_contracts.quality import Quality
from sqlalchemy import delete, event

PROFILE, IMPORT, EXPORT = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.2.8.0.255"
QUARTER = 900


def read(plant: Any, step: Any, start: str, end: str) -> list[buckets.Bucket]:
    zone = plant.settings.validation.zone_of(None)
    return buckets.read(plant.book, ("M1", IMPORT), plant.at(start), plant.at(end), step, zone)


def shelf(plant: Any) -> Shelf:
    return Shelf(plant.engine, plant.store, plant.book)


def test_hours_days_and_months_agree_across_the_change_of_the_clock(plant):
    plant.put("M1", plant.register(plant.at("2026-10-01"), plant.at("2026-11-02")))
    plant.settle()
    halves = read(plant, "half-hour", "2026-10-25", "2026-10-26")
    hours = read(plant, "hour", "2026-10-25", "2026-10-26")
    assert (len(halves), len(hours)) == (50, 25)
    assert {bucket.sum for bucket in hours} == {100}
    assert {bucket.ends_at - bucket.starts_at for bucket in hours} == {3600}
    day = read(plant, "day", "2026-10-25", "2026-10-26")
    assert [(each.sum, each.count, each.mean) for each in day] == [(2500, 100, 25)]
    months = read(plant, "month", "2026-10-01", "2026-11-01")
    assert [(each.starts_at, each.ends_at) for each in months] == [
        (plant.at("2026-10-01"), plant.at("2026-11-01"))
    ]
    assert months[0].sum == 25 * (31 * 96 + 4)
    assert months[0].sum == sum(b.sum for b in read(plant, "day", "2026-10-01", "2026-11-01"))


def test_a_day_of_25_hours_is_one_bucket_of_a_long_period(plant):
    plant.add_meter("M1")
    plant.set_period("M1", 7200)
    plant.put("M1", plant.by_the_wall("2026-10-25", 2, 7200))
    plant.settle()
    (bucket,) = read(plant, "half-hour", "2026-10-25", "2026-10-26")
    assert (bucket.ends_at - bucket.starts_at, bucket.sum) == (25 * 3600, 2500)


def test_the_last_hour_of_25_is_validated(plant):
    plant.put("M1", plant.register(plant.at("2026-10-25"), plant.at("2026-10-27")))
    plant.settle()
    at = plant.at("2026-10-25T23:30")
    found = validated(shelf(plant), Curve("M1", PROFILE, IMPORT), at, at + 1)
    (view,) = views(shelf(plant), Range(PROFILE, at, at + 1), ["M1"])
    assert {value.grade for value in (*found.values, *view.values)} == {Grade.VALIDATED}


@pytest.mark.parametrize("off_by", [-20, 0, 3])
def test_what_a_check_found_is_told_of_a_capture_a_few_seconds_off(plant, off_by):
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-02"))
    wrong = plant.at("2026-06-01T12:00")
    rows[wrong] += 7_000
    plant.put("M1", {at + off_by: value for at, value in rows.items()})
    plant.settle()
    at = wrong + off_by
    found = validated(shelf(plant), Curve("M1", PROFILE, IMPORT), at, at + 1)
    (view,) = views(shelf(plant), Range(PROFILE, at, at + 1), ["M1"])
    assert [value.grade for value in (*found.values, *view.values)] == [Grade.QUESTIONABLE] * 2


def test_a_bill_holds_the_exact_registers_and_reconciles(plant):
    rows = plant.register(plant.at("2026-03-01"), plant.at("2026-04-01T06:00"))
    gap = plant.at("2026-03-20T10:00"), plant.at("2026-03-20T13:00")
    plant.put("M1", {time: v for time, v in rows.items() if not gap[0] < time < gap[1]})
    plant.settle()
    zone = plant.settings.validation.zone_of(None)
    found = billing.bill(shelf(plant), ("M1", IMPORT), date(2026, 3, 15), zone)
    assert found.start.value == rows[plant.at("2026-03-01")]
    assert found.end.value == rows[plant.at("2026-04-01")]
    intervals = 31 * 96 - 4
    assert (found.advance, found.intervals, found.difference) == (25 * intervals,) * 2 + (0,)
    assert (found.start.estimated, found.estimated_count) == (False, 12)
    assert [(each.window_s, each.power) for each in found.demand] == [(900, 100), (1800, 100)]


def test_a_bill_says_that_a_read_is_doubted_until_somebody_edits_it(plant):
    at = plant.at("2026-06-01")
    rows = plant.register(plant.at("2026-05-31T22:00"), plant.at("2026-06-01T02:00"))
    plant.put("M1", {moment: value for moment, value in rows.items() if moment != at})
    plant.put("M1", {at: rows[at]}, quality=int(Quality.CONFLICTING))
    plant.settle()
    zone, curve = plant.settings.validation.zone_of(None), ("M1", IMPORT)
    read = billing.bill(shelf(plant), curve, date(2026, 6, 1), zone).start
    assert (read.value, read.doubted, read.edited) == (rows[at], True, False)
    of_person = Edit(Curve("M1", PROFILE, IMPORT), datetime.fromtimestamp(at, UTC),
        rows[at] + 1, 0, 30, "read from the display", "k1")  # fmt: skip
    with writing(plant.engine) as session:
        substitutes.edited(session, of_person, "ben", plant.now)
    read = billing.bill(shelf(plant), curve, date(2026, 6, 1), zone).start
    assert (read.value, read.doubted, read.edited) == (rows[at] + 1, False, True)
    assert not billing.bill(shelf(plant), curve, date(2026, 4, 1), zone).end.doubted


CAPACITIES = (10**5, 10**6, 10**8, 10**9, 1 << 32)
FALLEN = (0, 500)


@pytest.fixture(scope="module")
def rolled_over(plant_in, tmp_path_factory) -> Iterator[Any]:
    """A meter of every capacity whose register begins anew in February, computed together."""
    plant = plant_in(tmp_path_factory.mktemp("rolled-over"))
    start, end = plant.at("2026-02-01"), plant.at("2026-02-03")
    for capacity, fallen in product(CAPACITIES, FALLEN):
        rows = plant.register(start, end, first=capacity - 2_010)
        rows |= {plant.at("2026-03-01"): max(rows.values())}
        rows[start + 60 * QUARTER] -= fallen  # a fault: both intervals beside it are lost
        plant.put(f"{capacity}-{fallen}", {at: value % capacity for at, value in rows.items()})
    plant.settle()
    yield plant
    plant.close()


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("fallen", FALLEN)
def test_a_bill_goes_on_across_the_last_digit(rolled_over, capacity, fallen):
    zone = rolled_over.settings.validation.zone_of(None)
    curve = (f"{capacity}-{fallen}", IMPORT)
    found = billing.bill(shelf(rolled_over), curve, date(2026, 2, 1), zone)
    assert found.advance == 25 * 2 * 96
    assert found.difference == found.advance - found.intervals == (2 * 25 if fallen else 0)


def test_a_register_that_was_exchanged_has_no_advance(plant):
    start, change, end = (plant.at(day) for day in ("2026-06-01", "2026-06-20", "2026-07-01"))
    ends = {start: 500_000, start + QUARTER: 500_025, change: 0, change + QUARTER: 25, end: 9_000}
    plant.put("M1", ends)
    plant.settle()
    zone = plant.settings.validation.zone_of(None)
    found = billing.bill(shelf(plant), ("M1", IMPORT), date(2026, 6, 1), zone)
    assert (found.start.value, found.end.value) == (500_000, 9_000)
    assert (found.advance, found.difference) == (None, None)


def test_a_billing_read_is_never_interpolated_unless_asked_and_marked(plant):
    rows = plant.register(plant.at("2026-03-30"), plant.at("2026-04-03"))
    rows.pop(plant.at("2026-04-01"))
    plant.put("M1", rows)
    plant.settle()
    zone, curve = plant.settings.validation.zone_of(None), ("M1", IMPORT)
    exact = billing.bill(shelf(plant), curve, date(2026, 4, 1), zone)
    assert (exact.start.value, exact.advance, exact.difference) == (None, None, None)
    marked = billing.bill(shelf(plant), curve, date(2026, 4, 1), zone, with_estimates=True)
    assert marked.start.value == rows[plant.at("2026-03-31T23:45")] + 25
    assert marked.start.estimated


def test_a_read_of_the_billing_profile_counts_before_an_estimate(plant):
    at, curve = plant.at("2026-04-01"), ("M1", IMPORT)
    rows = plant.register(plant.at("2026-03-30"), plant.at("2026-05-02"))
    exact = rows.pop(at) + 15  # the load was uneven
    plant.put("M1", rows)
    plant.settle()
    of_meter = Edit(Curve("M1", billing.BILLING_PROFILE, IMPORT), datetime.fromtimestamp(at, UTC),
        exact, 0, 30, "as the meter latched it", "k1")  # fmt: skip
    with writing(plant.engine) as session:
        substitutes.edited(session, of_meter, "ben", plant.now)
    zone = plant.settings.validation.zone_of(None)
    for with_estimates in (False, True):
        found = billing.bill(
            shelf(plant), curve, date(2026, 4, 1), zone, with_estimates=with_estimates
        )
        assert (found.start.value, found.start.estimated) == (exact, False)
        assert found.start.profile == billing.BILLING_PROFILE


def test_a_last_digit_passed_in_the_month_before_is_not_counted_by_a_clock_that_is_late(plant):
    at = plant.at("2026-05-01")
    rows = plant.register(plant.at("2026-04-30"), plant.at("2026-05-02"), first=100_000 - 96 * 25)
    plant.put("M1", {moment + 3: value % 100_000 for moment, value in rows.items()})
    plant.settle()
    assert len(plant.book.rows("SELECT 1 FROM verdicts WHERE check_name = 'rollover'")) == 1
    for moment, value in ((at, 0), (plant.at("2026-06-01"), 4_000)):
        of_meter = Edit(Curve("M1", billing.BILLING_PROFILE, IMPORT),
            datetime.fromtimestamp(moment, UTC), value, 0, 30, "latched", str(moment))  # fmt: skip
        with writing(plant.engine) as session:
            substitutes.edited(session, of_meter, "ben", plant.now)
    zone = plant.settings.validation.zone_of(None)
    found = billing.bill(shelf(plant), ("M1", IMPORT), date(2026, 5, 1), zone)
    assert (found.advance, found.intervals) == (4_000, 2_400)


def test_the_unit_of_most_days_counts(plant):
    """One meter, or one day, in another unit replaces nothing; of two as common it is the first."""
    start, end = plant.at("2026-06-01"), plant.at("2026-06-04")
    for meter in ("M1", "M2"):
        plant.put(meter, plant.register(start, end))
    odd = plant.ENERGY._replace(unit=31)
    plant.put("ODD", plant.register(plant.at("2026-06-03"), end), odd)
    plant.put("M1", plant.register(end + QUARTER, plant.at("2026-06-05")), odd)
    plant.settle()
    first, last = date(2026, 6, 1), date(2026, 6, 4)

    def told(meters: list[str] | None, last: date) -> list[tuple[int, int, int]]:
        found = consumption.consumption(plant.book, meters, IMPORT, first, last, "month")
        return [(each.unit, each.meters, each.value) for each in found]

    assert told(None, last) == [(30, 2, 2 * 3 * 2400)]
    assert told(["M1", "ODD"], last - timedelta(days=1)) == [(30, 1, 3 * 2400)]
    assert [each.unit for each in read(plant, "day", "2026-06-01", "2026-06-05")] == [30] * 3
    assert buckets.commonest({31: 2, 255: 1, 30: 2}) == 30


def test_an_edit_counts_before_the_raw_value_and_says_so(plant):
    start = plant.at("2026-06-01")
    plant.put("M1", plant.register(start, plant.at("2026-06-02")) | {start + QUARTER * 8: 5})
    plant.settle()
    at, curve = start + QUARTER * 8, Curve("M1", PROFILE, IMPORT)
    view = validated(shelf(plant), curve, at, at + 1).values[0]
    assert (view.value, view.grade, view.codes) == (5, Grade.QUESTIONABLE, ("2.5.256", "2.3.4"))
    edit = Edit(curve, datetime.fromtimestamp(at, UTC), 10_200, 0, 30, "display was read", "k1")
    with writing(plant.engine) as session:
        first = substitutes.edited(session, edit, "ben", plant.now)
        assert substitutes.edited(session, edit, "ben", plant.now).id == first.id
        dirty.mark(session, [("M1", at // 86_400)], plant.now)
    plant.settle()
    view = validated(shelf(plant), curve, at, at + 1).values[0]
    assert (view.value, view.raw, view.source, view.grade) == (
        10_200, 5, "edit", Grade.MANUALLY_EDITED
    )  # fmt: skip
    assert read(plant, "day", "2026-06-01", "2026-06-02")[0].sum == 2400


def test_what_is_judged_and_good_is_validated(plant):
    start = plant.at("2026-06-01")
    plant.put("M1", plant.register(start, plant.at("2026-06-02")))
    curve = Curve("M1", PROFILE, IMPORT)
    assert validated(shelf(plant), curve, start + 1, start + 901).values[0].grade == Grade.RAW
    plant.settle()
    view = validated(shelf(plant), curve, start + 1, start + 901).values[0]
    assert (view.grade, view.codes) == (Grade.VALIDATED, ("2.0.1",))


def test_lost_marks_and_silent_days_are_found_by_counting(plant):
    plant.add_meter("M1")
    plant.add_meter("M2")
    plant.now = datetime(2026, 6, 3, 9, tzinfo=UTC)
    reconciliation = Reconciliation(
        plant.engine, plant.store, plant.book, plant.settings, lambda: plant.now
    )
    plant.put("M1", plant.register(plant.at("2026-06-01"), plant.at("2026-06-03")))
    with writing(plant.engine) as session:
        session.execute(delete(DirtyDay))  # killed before they were written
    assert reconciliation.turn() > 0
    plant.settle()
    query = "SELECT meter, score FROM scores WHERE day = DATE '2026-06-02' ORDER BY meter"
    assert plant.book.rows(query) == [("M1", 100), ("M2", 0)]
    while reconciliation._waiting:
        reconciliation.turn()
    plant.settle()
    with reading(plant.engine) as session:
        assert session.query(DirtyDay).count() == 0
    plant.now += timedelta(days=1)
    assert reconciliation.turn() > 0  # the day that has ended since


def test_days_of_a_long_period_agree_with_the_store_where_the_clock_changes(plant):
    plant.add_meter("M1")
    plant.set_period("M1", 14_400)
    plant.put("M1", plant.by_the_wall("2026-03-28", 3, 14_400))
    plant.settle()
    plant.now = datetime(2026, 3, 30, 9, tzinfo=UTC)
    assert reconciled(plant, 2) == 0  # the 29th and the 28th


def test_days_under_a_former_period_are_judged_by_it(plant):
    plant.add_meter("M1")
    first, changed, last = (plant.at(f"2026-06-0{day}") for day in (1, 3, 4))
    plant.now = datetime(2026, 6, 5, tzinfo=UTC)
    announced(plant, first, 1800)
    plant.put("M1", {at: at // 36 for at in range(first, changed + 1, 1800)})
    announced(plant, changed, QUARTER)
    plant.put("M1", {at: at // 36 for at in range(changed + QUARTER, last + 1, QUARTER)})
    plant.settle()
    query = "SELECT score, expected, stored FROM scores WHERE day BETWEEN $first AND $last"
    names = {"first": date(2026, 6, 1), "last": date(2026, 6, 3)}
    judged = plant.book.rows(f"{query} ORDER BY day", **names)
    assert judged == [(100, 48, 48), (100, 48, 48), (100, 96, 96)]
    plant.now = datetime(2026, 6, 4, 9, tzinfo=UTC)
    assert reconciled(plant, 3) == 0


@pytest.mark.parametrize(("former_s", "period_s"), [(900, 1800), (1800, 900), (900, 600)])
def test_a_day_with_two_periods_is_short_of_nothing(plant, former_s, period_s):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    announced(plant, start - 86_400, former_s)
    noon = plant.at("2026-06-01T12:00")
    announced(plant, noon + 60, period_s)
    due = [*range(start, noon, former_s), *range(noon, end + 1, period_s)]
    register = {at: (at - start) // 36 for at in due}
    intervals = {at: register[at] - register[before] for before, at in pairwise(due)}
    by_the_interval = Quantity("1.0.1.29.0.255", 0, 30)
    plant.put_all("M1", {plant.ENERGY: register, by_the_interval: {start: 25} | intervals})
    plant.now = datetime(2026, 6, 3, tzinfo=UTC)
    plant.settle()
    ((score, expected, stored, estimated),) = plant.book.rows(
        "SELECT score, expected, stored, estimated FROM scores WHERE day = '2026-06-01'"
    )
    assert (score, expected, stored, estimated) == (100, len(due) - 1, len(due) - 1, 0)
    assert plant.book.rows("SELECT check_name FROM verdicts WHERE day = '2026-06-01'") == []
    sums = plant.book.rows("SELECT list_sum(sums) FROM days WHERE day = '2026-06-01'")
    assert sums == [(2400,), (2400,)], "of the register and of the intervals"
    half_hours = read(plant, "half-hour", "2026-06-01", "2026-06-02")
    assert {each.sum for each in half_hours} == {50}
    assert reconciled(plant, 1) == 0


def announced(plant: Any, at: int, period_s: int) -> None:
    """Tells as a gateway does how often the meter captures since when."""
    event = Event(
        id=f"M1/{at}", code="meter.identified", meter="M1",
        occurred_at=datetime.fromtimestamp(at, UTC), attributes={"capture_period_s": period_s},
    )  # fmt: skip
    with writing(plant.engine) as session:
        event_stored(session, "gw-1", event)


def reconciled(plant: Any, turns: int) -> int:
    """Compares the newest days with the store; returns how many marks that set."""
    reconciliation = Reconciliation(
        plant.engine, plant.store, plant.book, plant.settings, lambda: plant.now
    )
    return sum(reconciliation.turn() for _ in range(turns))


def test_a_day_of_a_fleet_is_compared_some_meters_at_a_time(plant, monkeypatch):
    names = [f"M{number}" for number in range(7)]
    for name in names:
        plant.add_meter(name, area="islands" if name == "M3" else None)
    plant.put("M2", plant.register(plant.at("2026-06-02"), plant.at("2026-06-03")))
    plant.settle()
    plant.now = datetime(2026, 6, 3, 9, tzinfo=UTC)
    validation = plant.settings.validation.model_copy(update={"area_zones": {"islands": "UTC"}})
    settings = plant.settings.model_copy(update={"validation": validation})
    asked: list[tuple[str, ...]] = []
    captured = plant.store.captured

    def counted(profile: str, start: int, end: int, meters: Any) -> Any:
        asked.append(tuple(meters))
        return captured(profile, start, end, meters)

    monkeypatch.setattr(plant.store, "captured", counted)
    monkeypatch.setattr(plant.store, "meters_at_once", 3)
    monkeypatch.setattr("hesper_cloud.giving_way._LOOK_S", 60.0)
    rests: list[float] = []
    giving_way = GivesWay(lambda: 1.0, rests.append)
    reconciliation = Reconciliation(
        *(plant.engine, plant.store, plant.book, settings, lambda: plant.now), giving_way
    )
    reconciliation.turn()
    assert sorted(asked) == [("M0", "M1", "M2"), ("M3",), ("M4", "M5"), ("M6",)]
    assert len(rests) == 3
    with reading(plant.engine) as session:
        assert {each.meter for each in session.query(DirtyDay)} == {*names} - {"M2"}


def test_a_day_is_compared_once_it_is_over_where_the_meters_are(plant):
    validation = plant.settings.validation.model_copy(update={"zone": "America/New_York"})
    west = plant.settings.model_copy(update={"validation": validation})
    plant.add_meter("M1")
    plant.now = datetime(2026, 6, 3, 9, tzinfo=UTC)
    reconciliation = Reconciliation(plant.engine, plant.store, plant.book, west, lambda: plant.now)
    while reconciliation._waiting:
        reconciliation.turn()
    plant.now = datetime(2026, 6, 4, 0, 30, tzinfo=UTC)  # half past eight in the evening there
    assert reconciliation.turn() == 0
    plant.now = datetime(2026, 6, 4, 5, 30, tzinfo=UTC)
    assert reconciliation.turn() > 0


def test_few_meters_are_asked_for_by_name_however_large_the_fleet(plant):
    for number in range(30):
        plant.add_meter(f"M{number}", model="old")
    with writing(plant.engine) as session:
        told = {
            "meter": "M1",
            "profile": "1.0.99.1.0.255",
            "capture_period_s": 1800,
            "source": "announced",
        }
        session.add(MeterProfile(**told, expected_from=plant.now))
    asked: list[str] = []
    event.listen(plant.engine, "before_cursor_execute", lambda *told: asked.append(told[2].lower()))
    found = members(plant.engine, plant.settings, {"M1", "M2", "nobody"})
    assert all(" in (" in each for each in asked if "from meters" in each)
    assert {name: each.period_s for name, each in found.items()} == {
        "M1": 1800,
        "M2": 900,
        "nobody": plant.settings.rules.default_capture_period_s,
    }
    assert (found["M1"].expected_from, found["M2"].meter_type) == (plant.now.timestamp(), "old")
    assert len(members(plant.engine, plant.settings)) == 30


def test_days_that_a_clock_ahead_took_for_over_are_compared_when_they_are(plant):
    plant.add_meter("M1")
    plant.now = datetime(2026, 6, 3, 9, tzinfo=UTC)
    reconciliation = Reconciliation(
        plant.engine, plant.store, plant.book, plant.settings, lambda: plant.now
    )
    while reconciliation._waiting:
        reconciliation.turn()
    plant.now += timedelta(days=365)
    reconciliation.turn()
    plant.now -= timedelta(days=365)
    plant.settle()
    reconciliation.turn()
    assert reconciliation._waiting == []
    plant.now += timedelta(days=1)
    assert reconciliation.turn() > 0


def test_nothing_is_due_of_a_meter_that_is_not_known_to_keep_a_load_profile(plant):
    plant.add_meter("KEEPS")
    with writing(plant.engine) as session:
        session.add(Meter(id="PUSHES", first_seen_at=plant.now))
    reconciliation = Reconciliation(
        plant.engine, plant.store, plant.book, plant.settings, lambda: plant.now
    )
    while reconciliation._waiting:
        reconciliation.turn()
    plant.settle()
    query = "SELECT meter, max(expected), min(score) FROM scores GROUP BY meter ORDER BY meter"
    assert plant.book.rows(query) == [("KEEPS", 96, 0), ("PUSHES", 0, 100)]


@pytest.mark.parametrize("told_late", [False, True])
def test_nothing_is_due_of_a_meter_once_it_was_removed(plant, told_late):
    """Nor does a day stay short of captures that was summed before anybody told of it."""
    plant.add_meter("M1")
    plant.add_meter("NEW", life="stock")
    start, removed = plant.at("2026-06-01"), plant.at("2026-06-02T10:00")
    plant.put("M1", plant.register(start, removed - QUARTER))
    plant.now = datetime(2026, 6, 5, tzinfo=UTC)
    if told_late:
        compare(plant)
    with writing(plant.engine) as session:
        by = By("ann", datetime.fromtimestamp(removed, UTC))
        remove(session, session.get_one(Meter, "M1"), None, by)
    compare(plant)
    query = "SELECT day, meter, expected, stored, score FROM scores WHERE day >= $first"
    assert plant.book.rows(f"{query} AND expected > 0 ORDER BY day", first=date(2026, 6, 1)) == [
        (date(2026, 6, 1), "M1", 96, 96, 100),
        (date(2026, 6, 2), "M1", 39, 39, 100),
    ]


@pytest.mark.parametrize("told_late", [False, True])
def test_nothing_is_due_of_a_meter_while_it_was_away(plant, told_late):
    plant.add_meter("M1")
    gone, back = plant.at("2026-06-02T10:00"), plant.at("2026-06-04T16:00")
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-05"))
    plant.put("M1", {at: value for at, value in rows.items() if not gone <= at < back})
    plant.now = datetime(2026, 6, 6, tzinfo=UTC)
    if told_late:
        compare(plant)
    with writing(plant.engine) as session:
        meter = session.get_one(Meter, "M1")
        remove(session, meter, None, By("ann", datetime.fromtimestamp(gone, UTC)))
        install(session, meter, None, {}, By("ann", datetime.fromtimestamp(back, UTC)))
    compare(plant)
    query = "SELECT day, expected, stored, score FROM scores WHERE expected > 0 AND day BETWEEN"
    assert plant.book.rows(f"{query} '2026-06-01' AND '2026-06-04' ORDER BY day") == [
        (date(2026, 6, 1), 96, 96, 100),
        (date(2026, 6, 2), 39, 39, 100),
        (date(2026, 6, 4), 33, 33, 100),
    ]


def compare(plant: Any) -> None:
    """Compares all days with the store, as after a start, and works off what differs."""
    reconciliation = Reconciliation(
        plant.engine, plant.store, plant.book, plant.settings, lambda: plant.now
    )
    while reconciliation._waiting:
        reconciliation.turn()
    plant.settle()


def test_retention_takes_whole_days(plant):
    plant.put("M1", plant.register(plant.at("2026-06-01"), plant.at("2026-06-04")))
    plant.settle()
    plant.book.expire(date(2026, 6, 2))
    assert [b.sum for b in read(plant, "day", "2026-05-01", "2026-07-01")] == [2400, 2400]


def test_sums_stay_when_their_readings_have_left(plant):
    plant.put("M1", plant.register(plant.at("2026-06-01"), plant.at("2026-06-03")))
    plant.settle()
    kept = {"store": StoreSettings(retention=RetentionSettings(raw_days=90))}
    settings = plant.settings.model_copy(update=kept)
    plant.work = Work(plant.engine, plant.store, plant.book, settings, lambda: plant.now)
    plant.store.expire(settings.store.retention.horizon(plant.now))
    plant.put("M1", {plant.at("2026-06-01T12:00"): 11_200})  # again, late, all alone
    plant.settle()
    assert [b.sum for b in read(plant, "day", "2026-05-01", "2026-07-01")] == [2400, 2400]


def keep_90_days(plant: Any, archive: str) -> None:
    kept = {"store": StoreSettings(retention=RetentionSettings(raw_days=90, archive=archive))}
    settings = plant.settings.model_copy(update=kept)
    plant.work = Work(plant.engine, plant.store, plant.book, settings, lambda: plant.now)


def test_days_older_than_the_retention_are_summed_until_their_month_is_archived(plant):
    keep_90_days(plant, "/nowhere")
    rows = list(plant.register(plant.at("2026-06-01"), plant.at("2026-06-03")).items())
    for some in (rows[:50], rows[50:]):  # as they come in
        plant.put("M1", dict(some))
        plant.settle()
    assert [b.sum for b in read(plant, "day", "2026-05-01", "2026-07-01")] == [2400, 2400]
    day = plant.at("2026-06-02") // 86_400
    with writing(plant.engine) as session:
        told = {"name": "p", "readings": 1, "revisions": 0, "sha256": "", "octets": 1}
        session.add(ArchivedPart(day=day, part=0, archived_at=plant.now, **told))
    plant.put(
        "M1", {plant.at("2026-06-20T12:00") + 900 * place: 50_000 + place for place in (0, 1)}
    )
    plant.settle()  # of the month that is leaving, though its day is not archived yet
    assert [b.sum for b in read(plant, "day", "2026-05-01", "2026-07-01")] == [2400, 2400]


def test_sums_stay_where_the_store_had_removed_readings_before_it_had_an_archive(plant):
    plant.put("M1", plant.register(plant.at("2026-06-01"), plant.at("2026-06-03")))
    plant.settle()
    plant.store.expire(plant.at("2026-06-10"))
    keep_90_days(plant, "/nowhere")
    for at in ("2026-06-01T12:00", "2026-06-02T00:00"):
        plant.put("M1", {plant.at(at): 11_200})
        plant.settle()
    assert [b.sum for b in read(plant, "day", "2026-05-01", "2026-07-01")] == [2400, 2400]


GRID = """\
kind,id,name,parent,role,from,to
area,north,North,,,,
transformer,tr-7,Mill lane,north,,,
meter,SUM,,tr-7,inflow,,
meter,A,,tr-7,customer,2026-01-01T00:00:00+01:00,2026-06-02T00:00:00+02:00
meter,B,,tr-7,customer,,
meter,A2,,tr-7,customer,2026-06-02T00:00:00+02:00,
"""


def test_losses_are_what_flowed_in_and_nobody_took(plant):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-03")
    plant.put("SUM", plant.register(start, end, 110))
    plant.put("A", plant.register(start, end, 60))
    plant.put("A2", plant.register(start, end, 20))
    feeds_in = {plant.ENERGY: plant.register(start, end, 50)}
    plant.put_all("B", feeds_in | {plant.EXPORT: plant.register(start, end, 10)})
    plant.settle()
    grid = topology.parse(GRID)
    zone = plant.settings.validation.zone_of(None)
    edges = [start, plant.at("2026-06-02"), end]
    first, second = balance.balances(plant.book, grid, "tr-7", edges, zone)
    assert (first.inflow_mwh, first.customers_mwh) == (10_560_000, 9_600_000)
    assert (first.losses_percent, first.meters, first.reporting) == (9.091, 3, 3)
    assert second.customers_mwh == 96 * (20 + 50 - 10) * 1000  # A2 stands where A stood
    (both,) = balance.balances(plant.book, grid, "tr-7", [start, end], zone)
    assert both.customers_mwh == first.customers_mwh + second.customers_mwh  # exchanged in between
    assert (both.inflow_mwh, both.meters, both.reporting) == (2 * first.inflow_mwh, 4, 4)
    north = balance.balances(plant.book, grid, "north", edges, zone)
    assert [each.customers_mwh for each in north] == [first.customers_mwh, second.customers_mwh]
    assert north[0].losses_percent is None  # nothing measures what flows into the area


def test_many_meters_are_balanced_some_at_a_time(plant, monkeypatch):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-03")
    for name, step in (("SUM", 110), ("A", 60), ("A2", 20), ("B", 50)):
        plant.put(name, plant.register(start, end, step))
    plant.settle()
    grid, zone = topology.parse(GRID), plant.settings.validation.zone_of(None)
    asked = plant.book, grid, "tr-7", [start, plant.at("2026-06-02T12:00"), end], zone
    together = balance.balances(*asked)
    columns, read = plant.book.columns, []

    def noted(query: str, **names: Any) -> Any:
        found = columns(query, **names)
        read.append((len(names["meters"]), {each.dtype.kind for each in found.values()}))
        return found

    monkeypatch.setattr(plant.book, "columns", noted)
    monkeypatch.setattr(balance, "_AT_ONCE", 5)
    assert balance.balances(*asked) == together
    assert [count for count, _ in read] == [2, 2], "two registers' days of each meter"
    assert set().union(*(kinds for _, kinds in read)) <= set("biu"), "no name for each half-hour"
    assert [each.meters for each in together] == [4, 3]
    assert [each.reporting for each in together] == [4, 3]


@pytest.mark.parametrize("step", ["hour", "day", "month"])
def test_too_many_steps_are_refused_before_they_are_made(step):
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match="at most 20000 steps"):
            _edges(0, 200_000_000_000, step, ZoneInfo("Europe/Berlin"))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("scaler", [-5, -3, 0, 3])
def test_energy_is_balanced_whatever_its_scaler(plant, scaler):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    step = 10 ** max(-scaler, 0)
    registers = plant.register(start, end, step, step)
    plant.put("SUM", registers, Quantity("1.0.1.8.0.255", scaler, 30))
    plant.settle()
    zone = plant.settings.validation.zone_of(None)
    (found,) = balance.balances(plant.book, topology.parse(GRID), "tr-7", [start, end], zone)
    assert found.inflow_mwh == 96 * 1000 * 10 ** max(scaler, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n", "first line"),
        ("kind,id\nfoo,x\n", "line 2"),
        ("kind,id,parent\narea,a,b\narea,b,a\n", "below itself"),
        ("kind,id,parent\narea,a,nowhere\n", "no element"),
        ("kind,id,parent,role\narea,a,,\nmeter,M,a,guest\n", "role"),
        (GRID + "meter,B,,north,customer,,\n", "counts twice"),
        (GRID + "meter,C,,north,customer,2026-01-01T00:00:00,\n", "time zone"),
        (
            GRID + "meter,C,,north,customer,2026-06-01T00:00:00Z,2026-01-01T00:00:00Z\n",
            "after it begins",
        ),
        (GRID + "meter,C,,north,inflow,,\nmeter,C,,north,customer,,\n", "'C' counts twice"),
        ("kind,id\n\narea,a\nfoo,x\n", "line 4"),
        ("kind,id\narea,a\rb\n", "line 2: new-line character"),
        ("kind\rid\n", "line 1: new-line character"),
        ("kind,id\narea," + "a" * 140_000 + "\n", "line 2: field larger"),
    ],
)
def test_a_topology_that_contradicts_itself_is_refused(text: str, told: str):
    with pytest.raises(topology.TopologyError, match=told):
        topology.parse(text)


def test_a_topology_comes_back_as_it_went_in(plant):
    grid = topology.parse(GRID)
    with writing(plant.engine) as session:
        topology.store(session, grid)
        topology.store(session, grid)
    with reading(plant.engine) as session:
        found = topology.load(session)
    assert (set(found.parts), set(found.places)) == (set(grid.parts), set(grid.places))
    text = "\n".join(",".join(line) for line in topology.lines(found))
    assert set(topology.parse(text).places) == set(grid.places)

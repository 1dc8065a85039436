"""The zone that a clock object describes, beside the same zones of the tz database."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms.classes.clock_zone import saving_days, zone_of
from hesper_dlms.classes.scheduling import Clock
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

CLOCK = bytes((0, 0, 1, 0, 0, 255))


def clock(zone: int, begin: str, end: str, saving: int = 60, enabled: bool = True) -> Clock:
    return Clock(
        CLOCK,
        time_zone=zone,
        daylight_savings_begin=CosemDateTime.from_octets(bytes.fromhex(begin)),
        daylight_savings_end=CosemDateTime.from_octets(bytes.fromhex(end)),
        daylight_savings_deviation=saving,
        daylight_savings_enabled=enabled,
    )


CENTRAL_EUROPE = clock(-60, "ffff03fe07020000ff800000", "ffff0afe07030000ff800080")
EASTERN_AUSTRALIA = clock(-600, "ffff0a0107020000ff800000", "ffff040107030000ff800080")
LORD_HOWE = clock(-630, "ffff0a0107020000ff800000", "ffff040107020000ff800080", 30)
EASTERN_AMERICA = clock(300, "ffff030807020000ff800000", "ffff0b0107020000ff800080")
PLACES = [
    pytest.param(CENTRAL_EUROPE, ZoneInfo("Europe/Vienna"), id="Vienna"),
    pytest.param(EASTERN_AUSTRALIA, ZoneInfo("Australia/Sydney"), id="Sydney"),
    pytest.param(LORD_HOWE, ZoneInfo("Australia/Lord_Howe"), id="Lord Howe"),
    pytest.param(EASTERN_AMERICA, ZoneInfo("America/New_York"), id="New York"),
]
INSTANTS = st.datetimes(
    *map(datetime.fromisoformat, ("2009-01-01", "2036-12-31")), timezones=st.just(UTC)
)


@pytest.mark.parametrize(("described", "known"), PLACES)
@given(INSTANTS)
@example(datetime(2026, 3, 29, 1, tzinfo=UTC))
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
@example(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
@example(datetime(2026, 4, 4, 15, 30, tzinfo=UTC))
@example(datetime(2026, 4, 4, 16, 30, tzinfo=UTC))
@example(datetime(2026, 11, 1, 5, 30, tzinfo=UTC))
@example(datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
def test_instants_have_the_local_time_of_the_place(
    described: Clock, known: ZoneInfo, instant: datetime
) -> None:
    ours, theirs = instant.astimezone(zone_of(described)), instant.astimezone(known)
    assert ours.replace(tzinfo=None) == theirs.replace(tzinfo=None)
    assert (ours.fold, ours.utcoffset(), ours.dst()) == (
        theirs.fold,
        theirs.utcoffset(),
        theirs.dst(),
    )
    assert ours.astimezone(UTC) == instant


@pytest.mark.parametrize(("described", "known"), PLACES)
@given(st.integers(2010, 2035), st.integers(0, 366 * 96), st.sampled_from([0, 1]))
def test_local_times_have_the_offset_of_the_place(
    described: Clock, known: ZoneInfo, year: int, quarters: int, fold: int
) -> None:
    local = datetime(year, 1, 1) + timedelta(minutes=15 * quarters)  # noqa: DTZ001 - placed below
    local = local.replace(fold=fold)
    zone = zone_of(described)
    assert local.replace(tzinfo=zone).utcoffset() == local.replace(tzinfo=known).utcoffset()


@pytest.mark.parametrize(
    ("day", "quarters"), [((2026, 3, 29), 92), ((2026, 10, 25), 100), ((2026, 7, 1), 96)]
)
def test_days_have_92_96_or_100_quarters(day: tuple[int, int, int], quarters: int) -> None:
    zone = zone_of(CENTRAL_EUROPE)
    first = datetime(*day, tzinfo=zone)
    last = (first + timedelta(days=1)).astimezone(UTC)
    assert (last - first.astimezone(UTC)) / timedelta(minutes=15) == quarters
    times = [first.astimezone(UTC) + timedelta(minutes=15 * n) for n in range(quarters)]
    octets = [CosemDateTime.from_datetime(time.astimezone(zone)) for time in times]
    resolved = [each.without_deviation().resolve(zone).captured_at for each in octets]
    assert resolved == times
    assert [each.resolve(UTC).captured_at for each in octets] == times


def test_daylight_saving_that_never_is() -> None:
    open_ = "ff" * 9 + "8000ff"
    for described in (
        clock(-60, open_, open_, 0),
        clock(-60, open_, open_),
        clock(-60, "ffff03fe07020000ff800000", "ffff0afe07030000ff800080", enabled=False),
        clock(-60, "ffff0dfe07020000ff800000", "ffff0afe07030000ff800080"),
        Clock(CLOCK, time_zone=-60),
    ):
        assert zone_of(described).utcoffset(datetime(2026, 7, 1)) == timedelta(hours=1)  # noqa: DTZ001
    assert zone_of(Clock(CLOCK, time_zone=0)) is UTC


def test_a_single_year_of_daylight_saving() -> None:
    once = clock(-60, "07ea03fe07020000ff800000", "07ea0afe07030000ff800080")
    zone = zone_of(once)
    offsets = [
        datetime(year, 7, 1, tzinfo=UTC).astimezone(zone).utcoffset() for year in (2025, 2026, 2027)
    ]
    assert offsets == [timedelta(hours=hours) for hours in (1, 2, 1)]


def test_the_opposite_sign() -> None:
    zone = zone_of(Clock(CLOCK, time_zone=60), wrong_sign=True)
    assert zone.utcoffset(None) == timedelta(hours=1)


def test_clocks_that_describe_no_zone() -> None:
    for described in (
        Clock(CLOCK),
        Clock(CLOCK, time_zone=2000),
        clock(-1430, "ffff03fe07020000ff800000", "ffff0afe07030000ff800080", 120),
        clock(-60, "ffff03fe07200000ff800000", "ffff0afe07030000ff800080"),
    ):
        with pytest.raises(DecodeError):
            zone_of(described)


def test_the_zone_says_what_it_is() -> None:
    zone = zone_of(CENTRAL_EUROPE)
    assert repr(zone).startswith("MeterZone(1:00:00")
    assert datetime(2026, 7, 1, tzinfo=zone).tzname() == "UTC+02:00"
    assert zone.utcoffset(None) == timedelta(hours=1)


def test_the_days_of_the_change_are_told_to_calendars() -> None:
    saving = saving_days(CENTRAL_EUROPE)
    assert saving is not None
    assert (saving.begin.month, saving.begin.day, saving.begin.weekday) == (3, 0xFE, 7)
    assert saving_days(Clock(CLOCK)) is None


@given(st.binary(min_size=24, max_size=24), st.integers(-128, 127), INSTANTS)
def test_any_clock_gives_a_zone_or_a_decode_error(
    octets: bytes, saving: int, instant: datetime
) -> None:
    try:
        zone = zone_of(clock(-60, octets[:12].hex(), octets[12:].hex(), saving))
        local = instant.astimezone(zone)
    except DecodeError:
        return
    assert local.astimezone(UTC) == instant

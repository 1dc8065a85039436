"""COSEM date-times: octets, instants, zones and the hours that clocks double or skip."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, LocalError
from hypothesis import given
from hypothesis import strategies as st

VIENNA = ZoneInfo("Europe/Vienna")


def at(octets: str) -> CosemDateTime:
    return CosemDateTime.from_octets(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "instant", "how"),
    [
        ("07e60b0c0610360000ffc400", "2022-11-12T15:54:00+00:00", "deviation"),
        ("07e704010615202300ff8880", "2023-04-01T19:32:35+00:00", "deviation"),
        ("07e60b03ff0f2619ffff4cff", "2022-11-03T12:38:25+00:00", "deviation"),
        ("07e602150111251eff800000", "2022-02-21T16:37:30+00:00", "zone"),
        ("07e607150411251eff800080", "2022-07-21T15:37:30+00:00", "zone"),
        ("07e90a1a07022d00ff800080", "2025-10-26T00:45:00+00:00", "zone-daylight-saving"),
        ("07e90a1a07022d00ff800000", "2025-10-26T01:45:00+00:00", "zone-daylight-saving"),
        ("07e90a1a07022d00ff8000ff", "2025-10-26T00:45:00+00:00", "zone-ambiguous"),
    ],
)
def test_resolving(octets: str, instant: str, how: str) -> None:
    found = at(octets).resolve(VIENNA)
    assert (found.captured_at.isoformat(), found.how) == (instant, how)
    assert found.captured_at.tzinfo is UTC


def test_a_deviation_of_the_wrong_sign_is_a_setting() -> None:
    found = at("07e60b0c0610360000003c00").resolve(UTC, wrong_sign=True)
    assert found.captured_at == datetime(2022, 11, 12, 15, 54, tzinfo=UTC)
    assert found.how == "deviation-reversed"


@pytest.mark.parametrize(
    "octets",
    [
        "ffff0b0c0610360000ffc400",
        "07e6fe0c0610360000ffc400",
        "07e60bfd0610360000ffc400",
        "07e6021e0610360000ffc400",
        "07e60b0c0618360000ffc400",
        "00010101010000000003e800",
        "000101010100000000fc1800",
        "270f0c1f07173b3b00800000",
        "00010101010000000080000f",
    ],
)
def test_what_names_no_instant(octets: str) -> None:
    zone = timezone(timedelta(hours=-12)) if octets.startswith("27") else VIENNA
    try:
        at(octets).resolve(zone)
    except DecodeError:
        return
    assert octets.startswith("0001")


def test_octets_come_back_as_they_were() -> None:
    for octets in ("ffffffffffffffffff8000ff", "07e6fefd0610360000ffc481"):
        assert at(octets).to_octets().hex() == octets
    with pytest.raises(DecodeError):
        at("07e6")


@given(st.binary(min_size=12, max_size=12))
def test_any_twelve_octets(octets: bytes) -> None:
    time = CosemDateTime.from_octets(octets)
    assert time.to_octets() == octets
    try:
        found = time.resolve(VIENNA)
    except DecodeError:
        return
    assert found.captured_at.tzinfo is UTC


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(-720, 720))  # noqa: DTZ001 - placed below
def test_instants_come_back(moment: datetime, deviation: int) -> None:
    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 10_000 * 10_000)
    time = CosemDateTime.from_datetime(moment, deviation_minutes=deviation)
    assert CosemDateTime.from_octets(time.to_octets()).resolve(VIENNA).captured_at == moment
    local = CosemDateTime.from_datetime(moment.astimezone(VIENNA)).without_deviation()
    assert local.resolve(VIENNA).captured_at == moment


def test_daylight_saving_is_marked() -> None:
    summer = datetime(2025, 7, 1, 12, tzinfo=VIENNA)
    time = CosemDateTime.from_datetime(summer, status=0x02)
    assert (time.deviation, time.clock_status, time.hour, time.weekday) == (-120, 0x82, 12, 2)


def test_naive_times_and_wild_fields_are_our_mistake() -> None:
    with pytest.raises(LocalError):
        CosemDateTime.from_datetime(datetime(2025, 7, 1))  # noqa: DTZ001 - the mistake itself
    with pytest.raises(LocalError):
        CosemDateTime(2025, 700, 1, 1, 0, 0, 0, 0, 0, 0).to_octets()

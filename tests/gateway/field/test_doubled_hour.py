"""Meters that never say daylight saving, read around the hour that autumn doubles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute, EntrySelector, RangeSelector
from hesper_dlms.axdr import Data
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.units import ScalerUnit, Unit
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.clock import ClockPolicy, meter_time
from hesper_gateway.sessions.identity import Identity
from hesper_gateway.sessions.profile import Shape
from hesper_gateway.sessions.quantities import QuantityCache
from hesper_gateway.sessions.reading import Past, Reading

CHANGES = {
    "Europe/Berlin": datetime(2025, 10, 26, 1, tzinfo=UTC),
    "Pacific/Auckland": datetime(2026, 4, 4, 14, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),
}
"""When the second of both hours begins."""
ENERGY = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
PROFILE = obis.parse("1.0.99.1.0.255")
TEMPLATE = templates.load("generic-wrapper")


@dataclass
class LocalMeter:
    """A meter that knows local time alone: it captures, tells and selects rows by that.

    ``says_so`` sets the daylight-saving bit, and tells both hours apart when it selects. ``now_s``
    is its own clock, which is ``ahead_s`` ahead of the gateway's.
    """

    zone: ZoneInfo
    start: int
    period_s: int = 900
    now_s: float = 0
    newest_first: bool = False
    says_so: bool = False
    ahead_s: int = 0

    def captured(self) -> list[int]:
        return list(range(self.start, int(self.now_s) + 1, self.period_s))

    def clock(self, at: float) -> CosemDateTime:
        local = CosemDateTime.from_datetime(datetime.fromtimestamp(at, self.zone))
        status = (local.clock_status or 0) if self.says_so else 0
        octets = local.without_deviation().to_octets()
        return CosemDateTime.from_octets(octets[:11] + bytes((status,)))

    def _when(self, shown: CosemDateTime) -> datetime:
        return shown.resolve(self.zone).captured_at if self.says_so else shown.local()

    async def get_octets(self, _: CosemAttribute, selector: RangeSelector | EntrySelector) -> bytes:
        times = self.captured()
        if isinstance(selector, EntrySelector):
            times = times[:1]
        else:
            first, last = self._when(selector.from_), self._when(selector.to)
            times = [at for at in times if first <= self._when(self.clock(at)) <= last]
        return axdr.encode(
            axdr.array(
                *(
                    axdr.structure(
                        axdr.octet_string(self.clock(at).to_octets()),
                        axdr.double_long_unsigned((at - self.start) // self.period_s),
                    )
                    for at in (times[::-1] if self.newest_first else times)
                )
            )
        )

    async def get_each(self, attributes: Sequence[CosemAttribute]) -> list[Data]:
        return [ScalerUnit(0, Unit.WATT_HOUR).to_data() for _ in attributes]


def reading_of(meter: LocalMeter) -> Reading:
    now_s = meter.now_s - meter.ahead_s
    policy = ClockPolicy(meter.zone, wrong_sign=False, limit_s=10)
    return Reading(
        meter=MeterConfig(id="M1", line="test", template="generic-wrapper"),
        template=TEMPLATE,
        association=cast("Association", meter),
        identity=Identity(""),
        clock=meter_time(meter.clock(meter.now_s).to_octets(), policy, now_s),
        policy=policy,
        cache=QuantityCache(),
        now=lambda: now_s,
    )


def shape_of(meter: LocalMeter) -> Shape:
    clock = CosemAttribute(8, obis.CLOCK, 2)
    return Shape(PROFILE, (clock, ENERGY), meter.period_s, newest_first=meter.newest_first)


async def polled(meter: LocalMeter, store: dict[int, int], mark: int | None) -> int | None:
    """Read what is new; a reading that is stored with another value fails."""
    reading, past = reading_of(meter), Past(first=mark is None, set_back_s=0)
    assert abs(reading.clock.drift_s - meter.ahead_s) < 1
    async for chunk in reading.profile(shape_of(meter), mark, past):
        mark = max(filter(None, (mark, chunk.mark)), default=None)
        for rows in chunk.section.rows:
            for at, value in zip(rows.captured_at, rows.values[0], strict=True):
                assert store.setdefault(at, cast("int", value)) == value
    return mark


def true(meter: LocalMeter) -> dict[int, int]:
    return {at: (at - meter.start) // meter.period_s for at in meter.captured()}


KINDS: list[dict[str, Any]] = [
    {},
    {"newest_first": True},
    {"says_so": True},
    {"ahead_s": 600},
    {"ahead_s": -600},
    {"period_s": 1800},
    {"period_s": 3600},
    {"period_s": 3600, "newest_first": True},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("zone", CHANGES)
async def test_every_row_stands_where_it_was_captured_whenever_the_meter_is_read(
    zone: str, kind: dict[str, Any]
) -> None:
    """Read once, and again and again, at any quarter of an hour around the change."""
    change = int(CHANGES[zone].timestamp())
    for first_s in range(-4500, 4501, 900):
        meter = LocalMeter(ZoneInfo(zone), change - 7200, **kind)
        store: dict[int, int] = {}
        mark = None
        for poll_s in range(first_s, 5401, 900):
            meter.now_s = change + poll_s + 40
            mark = await polled(meter, store, mark)
            assert store == true(meter)


@pytest.mark.parametrize("every_s", [2700, 4500, 86400])
@pytest.mark.parametrize("zone", CHANGES)
async def test_rows_are_placed_however_seldom_a_meter_is_read(zone: str, every_s: int) -> None:
    change = int(CHANGES[zone].timestamp())
    for first_s in range(-7200, 0, 1020):
        meter = LocalMeter(ZoneInfo(zone), change - 10800)
        store: dict[int, int] = {}
        mark = None
        for poll_s in range(first_s, first_s + 2 * max(every_s, 7200), every_s):
            meter.now_s = change + poll_s + 20
            mark = await polled(meter, store, mark)
        assert store == true(meter)

"""Which rows and columns of a profile buffer travel, and as what."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hesper_contracts.readings import Section
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.profile import clock_octets
from hesper_dlms.units import ScalerUnit, Unit
from hesper_gateway.sessions import event_log, profile
from hesper_gateway.sessions.clock import ClockPolicy
from hesper_gateway.sessions.profile import Shape
from hesper_gateway.sessions.quantities import QuantityCache

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
CLOCK = CosemAttribute(8, obis.CLOCK, 2)
ENERGY, GAS = obis.ACTIVE_ENERGY_IMPORT, obis.parse("0.1.24.2.1.255")
PEAK = obis.parse("1.0.1.4.0.255")
POLICY = ClockPolicy(ZoneInfo("Europe/Vienna"), wrong_sign=False, limit_s=60)


def shape_of(*columns: CosemAttribute, **settings: bool) -> Shape:
    return Shape(obis.parse("1.0.99.1.0.255"), (CLOCK, *columns), 900, **settings)


def buffer(*rows: Sequence[int]) -> bytes:
    """Return an encoded buffer; each row begins with its minute."""
    return axdr.encode(
        axdr.array(
            *(
                axdr.structure(
                    axdr.octet_string(clock_octets(START + 60 * minute)),
                    *map(axdr.double_long_unsigned, values),
                )
                for minute, *values in rows
            )
        )
    )


@pytest.mark.parametrize("newest_first", [False, True])
def test_what_was_captured_again_after_the_clock_was_set_back_is_kept(newest_first: bool) -> None:
    came = [(0, 100), (15, 110), (30, 120), (15, 130), (30, 120), (45, 150)]
    shape = shape_of(CosemAttribute(3, ENERGY, 2), newest_first=newest_first)
    rows = profile.decode(buffer(*(came[::-1] if newest_first else came)), shape, POLICY)
    assert [(at - START) // 60 for at in rows.captured_at] == [0, 15, 15, 30, 45]
    assert rows.columns == [[100, 110, 130, 120, 150]]


class Registers:
    """A meter whose registers have scaler and unit in the attribute of their class."""

    async def get_each(self, attributes: Sequence[CosemAttribute]) -> list[Data]:
        scalers = {3: 3, 4: 3, 5: 4}
        assert all(each.attribute_id == scalers[each.class_id] for each in attributes)
        return [ScalerUnit(-3, Unit.CUBIC_METRE).to_data() for _ in attributes]


async def section_of(shape: Shape, *rows: Sequence[int]) -> tuple[Section, dict[bytes, int]]:
    found = profile.decode(buffer(*rows), shape, POLICY)
    quantities = await QuantityCache().quantities(
        Registers(),  # type: ignore[arg-type]
        ("m", "1"),
        [column for _, column in shape.valued],
    )
    return profile.section("M1", shape, quantities, found, START), dict(found.left_out)


@pytest.mark.parametrize(
    ("columns", "told", "left_out"),
    [
        ([(4, GAS, 2), (4, GAS, 4)], [10], {GAS: 2}),
        ([(4, GAS, 4), (4, GAS, 2)], [11], {GAS: 2}),
        ([(4, GAS, 4)], [], {GAS: 2}),
        ([(5, PEAK, 2), (5, PEAK, 3), (5, PEAK, 5)], [11], {PEAK: 4}),
        ([(5, PEAK, 2)], [10], {}),
        ([(5, PEAK, 2), (5, GAS, 3)], [10, 11], {}),
        ([(3, ENERGY, 2), (1, GAS, 2)], [10, 11], {}),
        ([(3, ENERGY, 2), (1, GAS, 3)], [10, 11], {}),
    ],
)
async def test_a_quantity_is_the_value_of_a_register_never_its_status(
    columns: list[tuple[int, bytes, int]], told: list[int], left_out: dict[bytes, int]
) -> None:
    shape = shape_of(*(CosemAttribute(*each) for each in columns))
    row = [10 + index for index in range(len(columns))]
    section, counted = await section_of(shape, [0, *row], [15, *row])
    assert [values[0] for values in section.rows[0].values] == told
    assert counted == left_out
    scalers = {class_id: 0 if class_id == 1 else -3 for class_id, _, _ in columns}
    assert {each.scaler for each in section.quantities} <= set(scalers.values())


def test_an_event_dated_out_of_all_time_does_not_spoil_the_others() -> None:
    shape = shape_of(CosemAttribute(1, obis.EVENT_CODE, 2), keeps_all=True)
    far_s = int(datetime(9999, 6, 1, tzinfo=UTC).timestamp()) - START
    rows = profile.decode(buffer((0, 1), (far_s // 60, 2), (15, 3)), shape, POLICY)
    told = event_log.events("M1", "standard", shape, rows, {})
    assert [event.attributes["meter_code"] for event in told] == [1, 3]

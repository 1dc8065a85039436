"""Quality flags that the cloud sets; no reading is ever dropped."""

import numpy as np
import pytest
from hesper_cloud.ingest.validate import judged
from hesper_cloud.latest import LatestValues
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.port import Block
from hesper_contracts import columns
from hesper_contracts.quality import Quality
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section

NOW = 1_790_000_100
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
VOLTAGE = Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35)
KILOVOLT = Quantity(bytes((1, 0, 32, 7, 0, 255)), 3, 35)


def block(quantity: Quantity, *rows: tuple[int, int | None], status: int = 0) -> Block:
    at, values = [t for t, _ in rows], [v for _, v in rows]
    meter = MeterRows("M1", at, [status] * len(at), [0] * len(at), [values])
    section = Section(LOAD_PROFILE, NOW, (quantity,), [meter])
    return block_of(columns.from_sections([section])[0])


def flags(judged_block: Block) -> list[Quality]:
    return [Quality(int(value)) for value in judged_block.quality]


def test_range_counts_in_physical_units() -> None:
    found = judged(
        block(VOLTAGE, (NOW, 2300), (NOW, 10_001), (NOW, -1), (NOW, None)), LatestValues(), NOW
    )
    assert flags(found) == [0, Quality.OUT_OF_RANGE, Quality.OUT_OF_RANGE, 0]
    assert flags(judged(block(KILOVOLT, (NOW, 1), (NOW, 2)), LatestValues(), NOW)) == [
        0, Quality.OUT_OF_RANGE
    ]  # fmt: skip


def test_a_register_that_goes_backwards_is_out_of_order_or_rolled_over() -> None:
    rows = block(ENERGY, (NOW, 500), (NOW + 1, 400), (NOW + 2, 999_990), (NOW + 3, 12))
    assert flags(judged(rows, LatestValues(), NOW)) == [
        0, Quality.OUT_OF_ORDER, 0, Quality.ROLLOVER
    ]  # fmt: skip
    wrapped = block(ENERGY, (NOW, 2**32 - 5), (NOW + 1, 3))
    assert flags(judged(wrapped, LatestValues(), NOW))[1] == Quality.ROLLOVER


@pytest.mark.parametrize("measured", [16, 36, 56, 76])
def test_a_register_of_net_energy_may_fall_below_zero(measured: int) -> None:
    net = Quantity(bytes((1, 0, measured, 8, 0, 255)), 0, 30)
    rows = block(net, (NOW, 500), (NOW + 1, 400), (NOW + 2, -400), (NOW + 3, -(10**12) - 1))
    assert flags(judged(rows, LatestValues(), NOW)) == [0, 0, 0, Quality.OUT_OF_RANGE]


def test_the_first_row_is_judged_by_what_was_committed_before() -> None:
    latest, before = LatestValues(), block(ENERGY, (NOW - 900, 500))
    latest.take(before, np.ones(1, dtype=bool), NOW)
    assert flags(judged(block(ENERGY, (NOW, 499)), latest, NOW)) == [Quality.OUT_OF_ORDER]
    late = block(ENERGY, (NOW - 1800, 499))  # read late: older than what is known
    assert flags(judged(late, latest, NOW)) == [0]


def test_clocks_are_judged_by_time_and_status() -> None:
    rows = block(ENERGY, (NOW + 301, 1), (NOW - 401 * 86_400, 1), (NOW, 1))
    assert flags(judged(rows, LatestValues(), NOW)) == [Quality.TIME_FAR_OFF] * 2 + [0]
    assert flags(judged(block(ENERGY, (NOW, 1), status=0x03), LatestValues(), NOW)) == [
        Quality.CLOCK_INVALID | Quality.CLOCK_DOUBTFUL
    ]
    assert flags(judged(block(ENERGY, (NOW, 1), status=0xFF), LatestValues(), NOW)) == [0]


def test_nonsense_is_judged_and_kept() -> None:
    rows = block(ENERGY, (-(2**62), -(2**63)), (2**62, 2**63 - 1))
    assert judged(rows, LatestValues(), NOW).row_count == 2

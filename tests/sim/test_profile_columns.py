"""A served meter read by range and by entry, some columns or all, as the client reads profiles."""

from datetime import UTC, datetime, timedelta

import pytest
from hesper_dlms import obis
from hesper_dlms.apdu import EntrySelector, RangeSelector
from hesper_dlms.classes.clock_zone import zone_of
from hesper_dlms.classes.scheduling import Clock
from hesper_dlms.client.objects import read_object
from hesper_dlms.client.profiles import read_profile, read_rows, read_shape
from hesper_dlms.cosem_time import CosemDateTime
from hesper_sim.fleet import FleetSettings

pytestmark = pytest.mark.integration


def test_columns_of_the_load_profile(start_simulator, associated) -> None:
    settings = FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False)
    simulator = start_simulator(settings, "--history-days", "2")
    (meter,) = simulator.fleet.meters
    with associated(simulator, meter, 2) as (channel, client):
        clock = channel.run(read_object(client, Clock, obis.CLOCK)).record
        zone = zone_of(clock)
        shape = channel.run(read_shape(client, obis.LOAD_PROFILE_1))
        first, _, energy, *_ = shape.capture_objects
        now = datetime.now(UTC)
        bounds = [CosemDateTime.from_datetime(at) for at in (now - timedelta(hours=6), now)]
        ranged = RangeSelector(*bounds, columns=(first, energy))
        some = channel.run(read_rows(client, shape, zone, ranged))
        every = channel.run(read_profile(client, obis.LOAD_PROFILE_1, zone))
        entries = EntrySelector(1, 5, 1, 3)
        oldest = channel.run(read_profile(client, obis.LOAD_PROFILE_1, zone, entries))
    assert [column.captured for column in some.columns] == [first, energy]
    assert some.columns[1].scaler_unit is not None
    assert 20 <= len(some.captured_at) <= 25
    known = dict(zip(every.captured_at, every.columns[2].values, strict=True))
    assert some.columns[1].values == [known[at] for at in some.captured_at]
    assert oldest.captured_at == every.captured_at[:5]
    assert [column.values for column in oldest.columns] == [
        column.values[:5] for column in every.columns[:3]
    ]

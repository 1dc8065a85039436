"""A gateway that starts in 1970 reads its meters and does not call their clocks wrong."""

import pytest
from hesper_gateway.news import News


@pytest.mark.parametrize(("time_s", "told"), [(1000.0, False), (1_790_000_100.0, True)])
async def test_only_a_clock_that_can_be_right_judges_another(bench, time_s, told):
    bench.time_s = time_s
    _, server = bench.meter(drift_s=1_000_000_000)
    async with bench.over_tcp(server) as line, bench.session(line).reading() as reading:
        codes = {event.code for event in News("HES1", "test", bench.now).of(reading, 900)}
    assert "meter.identified" in codes
    assert ("clock.drift_exceeded" in codes) is told

"""Daily and billing profiles are read beside the load profile, each from a mark of its own."""

import pytest
from hesper_contracts.readings import LOAD_PROFILE, REGISTER_SNAPSHOT
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.apdu.descriptors import capture_object
from hesper_dlms.errors import ServiceError
from hesper_dlms.server import LogicalServer
from hesper_gateway import templates
from hesper_gateway.sessions.profile import BILLING_DATE

DAILY = obis.parse("1.0.99.2.0.255")
BILLING = obis.parse("0.0.98.1.0.255")
DAY_S = 86400
FURTHER = {"objects": {"further_profiles": (DAILY, BILLING)}}


def filing(bench, *, without=()):
    """Return a meter that files daily and billing values; the latter by billing date."""

    class Filing(bench.Meter):
        daily = [(bench.START - DAY_S * n, 0, 100 - n, n) for n in range(5, 0, -1)]  # noqa: RUF012
        billing = [(bench.START - 30 * DAY_S, 0, 7, 1)]  # noqa: RUF012

        def _value(self, attribute, name, selection):
            if attribute.class_id != 7 or attribute.logical_name not in (DAILY, BILLING):
                return super()._value(attribute, name, selection)
            if attribute.logical_name in without:
                raise ServiceError(4)
            rows = self.daily if attribute.logical_name == DAILY else self.billing
            what = attribute.attribute_id
            found = self._profile(what, self.columns, 3, rows, 0, selection)
            if what == 3 and attribute.logical_name == BILLING:
                date = capture_object(CosemAttribute(3, BILLING_DATE, 2))
                return axdr.array(date, *found.as_items()[1:])
            return found

    meter = Filing(bench.now)
    server = LogicalServer(meter)
    meter.last_received = lambda: server.last_received_counter
    return meter, server


async def test_they_are_read_once_and_then_what_is_new(bench, field):
    meter, server = filing(bench)
    meter.capture(4, bench.START - 3600)
    held = bench.held
    async with bench.over_tcp(server) as line:
        stop = field.stop(bench.session(line, changed=FURTHER))
        async with field.going("lan", stop) as round_:
            await held.until(lambda _: held.rows(BILLING))
            assert held.rows(DAILY) == [(at, *values) for at, _, *values in meter.daily]
            assert held.rows(BILLING) == [(bench.START - 30 * DAY_S, 7, 1)]
            meter.daily.append((bench.START + 60, 0, 100, 0))
            field.later(round_, 901)
            await held.until(lambda _: len(held.rows(DAILY)) > 5)
    assert held.rows(DAILY)[5:] == [(bench.START + 60, 100, 0)]
    assert len(held.rows(BILLING)) == 1
    assert held.marks[bench.SERIAL, DAILY] == bench.START + 60
    assert held.marks[bench.SERIAL, LOAD_PROFILE] == bench.START - 900


async def test_one_that_the_meter_has_not_holds_up_nothing(bench, field, caplog):
    meter, server = filing(bench, without=(DAILY,))
    meter.capture(1)
    meter.log = [(bench.START - 60, 1)]
    held = bench.held
    async with bench.over_tcp(server) as line:
        stop = field.stop(bench.session(line, changed=FURTHER))
        async with field.going("lan", stop):
            await held.until(lambda _: held.rows(BILLING))
    assert [event for event in held.events if event.code == "power.down"]
    assert held.rows(REGISTER_SNAPSHOT)
    assert not held.rows(DAILY)
    assert "no profile 1.0.99.2.0.255" in caplog.text


@pytest.mark.parametrize("name", ["idis-package-2", "is-15959-d1"])
def test_the_templates_of_the_standards_name_them(name):
    assert DAILY in templates.load(name).objects.further_profiles
    assert len(templates.load(name).objects.further_profiles) == 2

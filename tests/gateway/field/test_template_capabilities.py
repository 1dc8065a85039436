"""What a template says of its meters, acted on against our own DLMS server."""

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.errors import ServiceError
from hesper_dlms.server import LogicalServer
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig, ScheduleConfig, SerialLine
from hesper_gateway.errors import ConfigError
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions.reading import Past
from hesper_gateway.sessions.settings import check_line, check_roles, schedule_for
from hesper_gateway.templates.formula import Formula
from hesper_gateway.templates.model import AddressesTemplate, ScalerUnitTemplate

VOLTAGE = obis.parse("1.0.32.7.0.255")


def served(bench, kind):
    meter = kind(bench.now)
    server = LogicalServer(meter)
    meter.last_received = lambda: server.last_received_counter
    return meter, server


async def test_a_meter_without_selective_access_sends_its_whole_buffer(bench):
    class Whole(bench.Meter):
        def _chosen(self, rows, selection):
            if selection is not None:
                raise ServiceError(3)
            return rows

    meter, server = served(bench, Whole)
    meter.capture(10, bench.START - 9000)
    mark = meter.rows[5][0]
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed={"limits": {"selective_access": "none"}})
        async with session.reading() as reading:
            shape = await reading.shape(obis.LOAD_PROFILE_1)
            past = Past(first=False, set_back_s=0)
            chunks = [chunk async for chunk in reading.profile(shape, mark, past)]
    (chunk,) = chunks
    assert chunk.section.rows[0].captured_at == [at for at, *_ in meter.rows[6:]]
    assert chunk.mark == meter.rows[-1][0]


@pytest.mark.parametrize("told", [None, axdr.null_data()])
async def test_scalers_that_the_meter_does_not_tell_come_from_the_template(bench, told):
    class Bare(bench.Meter):
        def _value(self, attribute, name, selection):
            if (attribute.logical_name, attribute.attribute_id) == (VOLTAGE, 3):
                return told
            return super()._value(attribute, name, selection)

    _, server = served(bench, Bare)
    said = {"1.*.32.7.*.*": ScalerUnitTemplate(scaler=-1, unit=35)}
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed={"scaler_units": said})
        async with session.reading() as reading:
            found = (await reading.snapshot()).by_name()
    assert found["1.0.32.7.0.255"] == (2301, -1, 35)
    assert found["1.0.1.8.0.255"] == (5000, 0, 30)


async def test_a_counter_of_the_client_alone_is_asked_for(bench):
    meter, server = bench.meter()
    async with bench.over_tcp(server) as line:
        own = templates.load("hesper-sim").associations.reading.model_copy(
            update={"invocation_counter": obis.parse("0.0.43.1.2.255")}
        )
        session = bench.session(line, changed={"associations": {"reading": own}})
        async with session.reading():
            pass
    assert "16:0.0.43.1.2.255:2" in meter.asked


async def test_the_address_is_a_formula_of_the_serial_number(bench):
    _, server = bench.meter()
    async with bench.over_hdlc({17: server}) as line:
        config = bench.config(id="HES00000901", template="hesper-sim-hdlc")
        formula = Formula("serial[-2:] + 16")
        session = bench.session(line, config, changed={"addresses": {"physical": formula}})
        async with session.reading() as reading:
            assert reading.identity.logical_device_name == bench.NAME


def test_a_formula_that_gives_no_address_is_told_before_anything_is_opened(bench):
    addresses = AddressesTemplate(physical=Formula("serial"))
    kind = templates.load("hesper-sim-hdlc").model_copy(update={"addresses": addresses})

    keys = MeterKeys(bytes(16), bytes(16))

    def check(**settings):
        check_roles(bench.config(template="hesper-sim-hdlc", **settings), kind, keys)

    with pytest.raises(ConfigError, match="'serial' gives the physical address 99999999"):
        check(id="HES99999999")
    with pytest.raises(ConfigError, match=r"METER: physical address: .* has no digits"):
        check(id="METER")
    check(id="METER", physical_address=20)


def test_the_schedule_of_the_template_counts_where_gateway_toml_says_nothing():
    idis = templates.load("idis-package-2")
    assert schedule_for(idis, ScheduleConfig()).profile_s == 900
    assert schedule_for(idis, ScheduleConfig(profile_s=60)).profile_s == 60
    assert schedule_for(idis, ScheduleConfig()).snapshot_s == ScheduleConfig().snapshot_s


@pytest.mark.parametrize(
    ("template", "says"),
    [("hexing-optical", "set mode_e = true on line rs485"), ("idis", "is for TCP")],
)
def test_a_line_that_cannot_reach_the_meter_is_refused(template, says):
    meter = MeterConfig(id="1", line="rs485", template=template)
    line = SerialLine(name="rs485", kind="serial", path="/dev/null")
    with pytest.raises(ConfigError, match=says):
        check_line(meter, templates.load(template), line)
    check_line(meter, templates.load("hexing-hdlc"), line)
    optical = line.model_copy(update={"mode_e": True})
    check_line(meter, templates.load("hexing-optical"), optical)

"""Whole ciphered associations with a simulated meter that is called, or woken and calls."""

import asyncio

import pytest
from hesper_gateway import templates
from hesper_gateway.config import DialInLine, MeterConfig
from hesper_gateway.counters import Counters
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.csd import CsdCarrier
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.metered import MeteredCarrier
from hesper_gateway.lines.wake_up import MessageWakeUp
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import Common, MeterSession, client_system_title
from hesper_sim import in_memory
from hesper_sim.fleet import FleetSettings


@pytest.fixture
def session_with(database, wall):
    """Makes the session of a simulated meter: `session_with(meter, "hesper-sim", carrier)`."""

    def make(meter: in_memory.InMemory, template: str, carrier) -> MeterSession:
        plan = meter.server.meter.plan
        keys = MeterKeys(plan.encryption_key, plan.authentication_key)
        config = MeterConfig(
            id=plan.serial,
            line="l",
            template=template,
            logical_device_name=plan.logical_device_name,
            server_address=plan.server_address,
            physical_address=plan.physical_address,
            phone="+491510001",
        )
        common = Common(Counters(database), client_system_title("gw-test"), wall)
        return MeterSession(config, templates.load(template), keys, Line("l", carrier), common)

    return make


async def energy_read(session: MeterSession) -> int:
    async with session.reading() as reading:
        assert reading.identity.logical_device_name == session.meter.logical_device_name
        return len((await reading.snapshot()).by_name())


async def test_counter_and_reading_take_one_call(modem, port_on, ledger, simulated, session_with):
    modem.meter = simulated.receive
    carrier = MeteredCarrier(CsdCarrier(port_on(), 60, mode_e=False), ledger)
    session = session_with(simulated, "hesper-sim-hdlc", carrier)
    assert await energy_read(session) > 1
    used = ledger.between(0, None)[session.meter.id]
    assert (used.calls, len(modem.calls)) == (1, 1)
    assert min(used.octets_received, used.octets_sent) > 500


async def test_a_call_that_drops_at_any_moment_leaves_the_next_one_whole(
    modem, port_on, simulated, session_with
):
    modem.meter = simulated.receive
    carrier = CsdCarrier(port_on(), 60, mode_e=False)
    session = session_with(simulated, "hesper-sim-hdlc", carrier)
    failed = 0
    for octets in range(20, 800, 60):
        modem.hangs_up_after = octets
        try:
            await energy_read(session)
        except LineDown:
            failed += 1
    assert failed > 5
    modem.hangs_up_after = None
    assert await energy_read(session) > 1


async def test_a_woken_meter_that_says_nothing_is_known_and_read(
    modem, port_on, ledger, wall, session_with
):
    fleet = FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False)
    (meter,) = in_memory.meters(fleet, wall, history_days=1).values()
    line = DialInLine(
        name="l", kind="dial-in", port=0, ask_after_s=0.02, heartbeats=["fe"], wake_modem="gsm"
    )
    known = session_with(meter, "hesper-sim", None).meter
    dial_in = DialIn(line, [known], MessageWakeUp(line, port_on(), ledger, wall))
    session = session_with(meter, "hesper-sim", MeteredCarrier(dial_in, ledger))

    async def wakes_and_answers() -> None:
        await modem.until(lambda modem: modem.messages)
        reader, writer = await asyncio.open_connection("127.0.0.1", dial_in.port)
        try:
            while octets := await reader.read(65536):
                writer.write(b"\xfe" + meter.receive(octets) + b"\xfe")
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = asyncio.create_task(dial_in.run())
    await dial_in.listening.wait()
    waking = asyncio.create_task(wakes_and_answers())
    assert await energy_read(session) > 1
    assert ledger.between(0, None)[session.meter.id].messages == 1
    listening.cancel()
    await asyncio.gather(listening, waking, return_exceptions=True)

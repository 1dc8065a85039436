"""A modem on a pseudo-terminal: SIM, network, short messages and calls, and what goes wrong."""

import asyncio
import os
from hashlib import sha256

import pytest
from hesper_dlms.mode_e import MeterSignOn
from hesper_gateway.config import DialInLine
from hesper_gateway.errors import DialLimit, Hop, LineDown
from hesper_gateway.lines.at import (
    CallFailed,
    CommandRefused,
    ModemFailed,
    NotRegistered,
    SimUnusable,
)
from hesper_gateway.lines.csd import CsdCarrier
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lines.modem_dialogues import Network, Registration
from hesper_gateway.lines.wake_up import MessageWakeUp


async def looked(port) -> asyncio.Task:
    """Start a port's own task and wait until it has looked at its modem once."""
    running = asyncio.create_task(port.run())
    async with asyncio.timeout(60):
        while port.usable is None:  # noqa: ASYNC110 - the port tells nobody
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return running


async def test_it_is_set_up_and_tells_network_operator_and_signal(modem, port_on):
    port = port_on(commands=("AT+CBST=7,0,1",))
    await looked(port)
    assert port.network == Network(Registration.HOME, "Test Net", -77)
    assert modem.asked[:9] == [
        "AT",
        "ATZ",
        "ATE0",
        "ATV1",
        "AT&D2",
        "AT+CMEE=1",
        "ATX4",
        "AT+CREG=1",
        "AT+CBST=7,0,1",
    ]


@pytest.mark.parametrize(
    "chatter", ["RING", "NO CARRIER", "+CREG: 2", '+CREG: 1,"00C3","1A2B"', "+CMTI: 1"]
)
async def test_what_nobody_asked_for_is_no_answer(modem, port_on, chatter):
    modem.chatter = chatter
    port = port_on()
    await looked(port)
    assert port.network == Network(Registration.HOME, "Test Net", -77)


@pytest.mark.parametrize(
    ("stat", "expected"),
    [(0, "OFF"), (2, "SEARCHING"), (3, "DENIED"), (4, "UNKNOWN"), (5, "ROAMING")],
)
async def test_registration_is_told_as_it_is(modem, port_on, stat, expected):
    modem.registrations = [stat]
    modem.answers["AT+CEREG?"] = "ERROR"
    port = port_on()
    await looked(port)
    assert port.network.registration is Registration[expected]


async def test_a_signal_that_is_not_known_is_not_told(modem, port_on):
    modem.answers |= {"AT+CSQ": "+CSQ: 99,99\r\n\r\nOK", "AT+COPS?": "+COPS: 0\r\n\r\nOK"}
    port = port_on()
    await looked(port)
    assert port.network == Network(Registration.HOME, "", None)


@pytest.fixture
def pin_file(tmp_path):
    path = tmp_path / "sim.pin"
    path.write_text("1234\n")
    path.chmod(0o600)
    return path


async def test_a_sim_that_asks_for_its_pin_is_opened(modem, port_on, pin_file, meter_config):
    modem.sim = "SIM PIN"
    await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    assert modem.messages == ["+491510001: WAKEUP"]


async def test_a_wrong_pin_is_tried_once_also_after_a_restart(
    modem, port_on, pin_file, meter_config, caplog
):
    modem.sim, modem.pin = "SIM PIN", "9999"
    told = []
    for _ in range(3):
        port = port_on(pin_file=pin_file)
        port.on_alarm = lambda code, text: told.append((code, text))
        await looked(port)
        with pytest.raises(SimUnusable):
            await port.send_message(meter_config(), "WAKEUP")
    assert sum("CPIN=" in line for line in modem.asked) == 1
    assert told[0][0] == "gateway.sim_unusable"
    assert "16 (incorrect PIN)" in told[0][1]
    assert "1234" not in caplog.text + str(told)


async def test_a_wrong_pin_is_tried_once_also_when_its_file_was_written_again(
    modem, port_on, pin_file, meter_config
):
    modem.sim, modem.pin = "SIM PIN", "9999"
    for written_at in (1_000, 2_000, 3_000):
        pin_file.write_text("1234\n")
        os.utime(pin_file, (written_at, written_at))
        with pytest.raises(SimUnusable):
            await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    assert modem.asked.count('AT+CPIN="1234"') == 1


async def test_what_is_noted_of_a_refused_pin_tells_it_to_nobody(
    modem, port_on, pin_file, meter_config, ledger
):
    modem.sim, modem.pin = "SIM PIN", "9999"
    with pytest.raises(SimUnusable):
        await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    noted = ledger.noted("sim-pin/gsm")
    assert noted.endswith(" refused")
    assert not any(sha256(guess).hexdigest() in noted for guess in (b"1234\n", b"1234"))


async def test_a_refused_pin_may_be_right_for_another_sim(modem, port_on, pin_file, meter_config):
    modem.sim, modem.pin = "SIM PIN", "9999"
    for says in ("refused its PIN", "if it is right .* add a line"):
        with pytest.raises(SimUnusable, match=says):
            await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    modem.pin = "1234"
    pin_file.write_text("1234\nthe SIM of May\n")
    await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    assert len(modem.messages) == 1


async def test_a_corrected_pin_is_tried(modem, port_on, pin_file, meter_config):
    modem.sim, modem.pin = "SIM PIN", "4321"
    with pytest.raises(SimUnusable, match="refused its PIN"):
        await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    pin_file.write_text("4321")
    await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    assert len(modem.messages) == 1


async def test_a_try_whose_outcome_a_crash_hid_is_made_once_more(
    modem, port_on, pin_file, meter_config
):
    modem.sim = "SIM PIN"
    modem.answers['AT+CPIN="1234"'] = ""
    for why in ("does not answer", "does not answer", "refused before"):
        with pytest.raises(ModemFailed, match=why):
            await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    assert modem.asked.count('AT+CPIN="1234"') == 2


@pytest.mark.parametrize(
    ("sim", "says"),
    [
        ("SIM PIN", "a pin_file with digits is needed"),
        ("SIM PUK", "asks for its PUK"),
        ("PH-SIM PIN", "asks for PH-SIM PIN"),
        ("+CME ERROR: 10", "no SIM"),
        ("+CME ERROR: 12", "asks for its PUK"),
        ("+CME ERROR: 13", "SIM failure"),
    ],
)
async def test_a_sim_that_cannot_be_used_calls_a_person(modem, port_on, meter_config, sim, says):
    modem.sim = sim
    with pytest.raises(SimUnusable, match=says) as failure:
        await port_on().send_message(meter_config(), "WAKEUP")
    assert failure.value.hop is Hop.MODEM
    assert modem.messages == []


@pytest.mark.parametrize("before", ["READY", "NOT READY", "SIM PIN"])
async def test_what_a_sim_that_starts_says_unasked_is_not_its_answer(
    modem, port_on, meter_config, before
):
    modem.answers["AT+CPIN?"] = f"+CPIN: {before}\r\n\r\n+CPIN: READY\r\n\r\nOK"
    await port_on().send_message(meter_config(), "WAKEUP")
    assert len(modem.messages) == 1


async def test_a_busy_sim_is_waited_for(modem, port_on, meter_config):
    modem.sim = "+CME ERROR: 14"
    with pytest.raises(ModemFailed, match="stays busy"):
        await port_on().send_message(meter_config(), "WAKEUP")
    assert modem.asked.count("AT+CPIN?") == 3


async def test_a_network_that_is_searched_is_waited_for(modem, port_on, meter_config):
    modem.registrations = [2, 5]
    await port_on().send_message(meter_config(), "WAKEUP")
    assert len(modem.messages) == 1


@pytest.mark.parametrize(("stat", "says"), [(3, "denies"), (2, "no network: searching")])
async def test_no_message_goes_out_without_a_network(modem, port_on, meter_config, stat, says):
    modem.registrations = [stat]
    modem.answers["AT+CEREG?"] = "ERROR"
    with pytest.raises(NotRegistered, match=says):
        await port_on().send_message(meter_config(), "WAKEUP")
    assert modem.messages == []


async def test_a_message_that_the_network_refuses_is_told_with_its_cause(
    modem, port_on, meter_config
):
    modem.message_result = "+CMS ERROR: 42"
    with pytest.raises(CommandRefused, match=r"42 \(congestion\)"):
        await port_on().send_message(meter_config(), "WAKEUP")


async def test_a_command_refused_instead_of_the_prompt(modem, port_on, meter_config):
    modem.answers['AT+CMGS="+491510001"'] = "+CMS ERROR: 310"
    with pytest.raises(CommandRefused, match="no SIM"):
        await port_on().send_message(meter_config(), "WAKEUP")


@pytest.mark.parametrize("result", ["BUSY", "NO CARRIER", "NO ANSWER", "NO DIALTONE"])
async def test_a_call_that_is_not_answered(modem, port_on, meter_config, result):
    modem.call_result = result
    port = port_on()
    for _ in range(2):
        with pytest.raises(CallFailed, match=result) as failure:
            await port.dial(meter_config(), 0)
        assert failure.value.result == result
    modem.call_result = "CONNECT"
    await (await port.dial(meter_config(), 0)).release(broken=True)


@pytest.mark.parametrize(
    ("result", "says"),
    [("ERROR", "ERROR"), ("+CME ERROR: 30", "no network service"), ("", "does not answer ATD")],
)
async def test_a_call_that_the_modem_does_not_make(modem, port_on, meter_config, result, says):
    modem.call_result = result
    with pytest.raises(ModemFailed, match=says):
        await port_on().dial(meter_config(), 0)


async def test_a_dumb_modem_is_told_and_found_again(modem, port_on, meter_config, caplog):
    modem.mute = True
    port = port_on()
    await looked(port)
    with pytest.raises(ModemFailed, match="does not answer AT"):
        await port.dial(meter_config(), 0)
    modem.mute = False
    await (await port.dial(meter_config(), 0)).release(broken=True)
    assert sum("down" in record.message for record in caplog.records) == 1


async def test_a_modem_that_was_unplugged_is_opened_again(modem, port_on, meter_config):
    port = port_on()
    await port.send_message(meter_config(1), "WAKEUP")
    modem.unplug()
    with pytest.raises(ModemFailed):
        await port.send_message(meter_config(2), "WAKEUP")
    modem.plug_in()
    await port.send_message(meter_config(3), "WAKEUP")
    assert [message[:11] for message in modem.messages] == ["+491510001:", "+491510003:"]


async def test_a_modem_left_in_a_call_by_a_crash_is_brought_back(modem, port_on, meter_config):
    modem.in_call = True
    modem.meter = lambda octets: b""
    await port_on().send_message(meter_config(), "WAKEUP")
    assert len(modem.messages) == 1


async def test_limits_hold_across_restarts_and_pass_with_time(
    modem, port_on, meter_config, database, wall
):
    limits = {"messages_per_hour": 2, "messages_per_day": 3}
    for number in (1, 2):
        await port_on(**limits).send_message(meter_config(number), "WAKEUP")
    with pytest.raises(DialLimit, match="2 messages in 1 h"):
        await port_on(**limits).send_message(meter_config(3), "WAKEUP")
    await port_on(**limits).send_message(meter_config(4, cell="north"), "WAKEUP")
    wall.now += 3601
    await port_on(**limits).send_message(meter_config(5), "WAKEUP")
    with pytest.raises(DialLimit, match="3 messages in 24 h"):
        await port_on(**limits).send_message(meter_config(6), "WAKEUP")
    assert Ledger(database, wall).between(0, None)["M1"].messages == 1
    wall.now += 86400
    await port_on(**limits).send_message(meter_config(7), "WAKEUP")
    assert len(modem.messages) == 5


async def test_calls_have_limits_of_their_own(modem, port_on, meter_config, ledger):
    port = port_on(calls_per_hour=1)
    await (await port.dial(meter_config(), 0)).release(broken=True)
    with pytest.raises(DialLimit, match="1 calls in 1 h") as failure:
        await port.dial(meter_config(2), 0)
    assert (failure.value.hop, failure.value.wait_s) == (Hop.DIAL_LIMIT, 3600)
    await port.send_message(meter_config(2), "WAKEUP")
    used = ledger.between(0, None)["M1"]
    assert (used.calls, used.call_s) == (1, 1)


async def test_a_meter_is_read_over_a_call_and_the_call_is_kept_a_while(
    modem, port_on, meter_config, simulated, read_name
):
    modem.meter = simulated.receive
    port = port_on()
    carrier = CsdCarrier(port, 60, mode_e=False)
    for _ in range(2):
        channel = await carrier.open(meter_config(), 1)
        assert (
            await read_name(channel, simulated)
            == simulated.server.meter.plan.logical_device_name.encode()
        )
        await channel.release(broken=False)
    assert modem.calls == ["+491510001"]
    await (await carrier.open(meter_config(2), 1)).release(broken=True)
    assert modem.calls == ["+491510001", "+491510002"]
    assert modem.asked.count("ATH") == 2


async def test_a_call_nobody_takes_up_again_ends_by_itself(modem, port_on, meter_config):
    port = port_on()
    running = asyncio.create_task(port.run())
    channel = await CsdCarrier(port, 0.02, mode_e=False).open(meter_config(), 1)
    await channel.release(broken=False)
    await modem.until(lambda modem: "ATH" in modem.asked)
    assert not modem.in_call
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_kept_call_that_broke_meanwhile_is_made_anew(modem, port_on, meter_config):
    carrier = CsdCarrier(port_on(), 60, mode_e=False)
    await (await carrier.open(meter_config(), 1)).release(broken=False)
    modem.drop_call()
    channel = await carrier.open(meter_config(), 1)
    await channel.write(b"abc", 1)
    assert await channel.read(1) == b"cba"
    assert len(modem.calls) == 2


async def test_a_line_that_drops_in_the_midst_of_a_reading(
    modem, port_on, meter_config, simulated, read_name
):
    modem.meter, modem.hangs_up_after = simulated.receive, 60
    carrier = CsdCarrier(port_on(), 60, mode_e=False)
    channel = await carrier.open(meter_config(), 1)
    with pytest.raises(LineDown, match="NO CARRIER"):
        await read_name(channel, simulated)
    await channel.release(broken=True)
    modem.hangs_up_after = None
    channel = await carrier.open(meter_config(), 1)
    assert (
        await read_name(channel, simulated)
        == simulated.server.meter.plan.logical_device_name.encode()
    )
    assert "ATH" not in modem.asked


async def test_what_came_with_connect_is_the_meters(modem, port_on, meter_config):
    modem.call_result = "CONNECT 9600\r\nhello"
    channel = await port_on().dial(meter_config(), 0)
    assert (await channel.read(1)).startswith(b"hello")


async def test_a_message_waits_for_the_call_and_ends_one_that_was_kept(
    modem, port_on, meter_config
):
    port = port_on()
    channel = await port.dial(meter_config(1), 60)
    sending = asyncio.create_task(port.send_message(meter_config(2), "WAKEUP"))
    await channel.write(b"abc", 1)
    assert await channel.read(1) == b"cba"
    assert modem.messages == []
    await channel.release(broken=False)
    await sending
    assert len(modem.messages) == 1


async def test_mode_e_signs_on_over_each_call(modem, port_on, meter_config):
    modem.sign_on = MeterSignOn(r"/HXe5\2HXE12", "12345")
    carrier = CsdCarrier(port_on(), 0, mode_e=True)
    channel = await carrier.open(meter_config(mode_e_address="12345"), 1)
    assert modem.sign_on.signed_on
    await channel.write(b"hdlc", 1)
    assert await channel.read(1) == b"cldh"


async def test_what_came_while_nobody_listened_is_no_answer(modem, port_on, meter_config):
    port = port_on()
    await port.send_message(meter_config(1), "WAKEUP")
    modem.say("OK")
    modem.say("NO CARRIER")
    await asyncio.sleep(0.01)  # the port holds it now
    await (await port.dial(meter_config(2), 0)).release(broken=True)
    assert not modem.in_call


async def test_a_modem_left_in_a_text_by_a_crash_is_brought_back(modem, port_on, meter_config):
    modem.texting = True
    modem.messages.append("half: ")
    await port_on().send_message(meter_config(), "WAKEUP")
    assert modem.messages == ["+491510001: WAKEUP"]


async def test_a_call_answered_with_ok_is_not_left_open(modem, port_on, meter_config):
    modem.call_result = "OK"
    port = port_on()
    with pytest.raises(ModemFailed, match="OK and no connection"):
        await port.dial(meter_config(), 0)
    modem.call_result = "CONNECT"
    await (await port.dial(meter_config(), 0)).release(broken=True)
    assert modem.asked.count("ATZ") == 2  # closed, which drops DTR, and set up anew


async def test_a_modem_that_started_anew_by_itself_gets_its_pin(
    modem, port_on, pin_file, meter_config
):
    port = port_on(pin_file=pin_file)
    await port.send_message(meter_config(1), "WAKEUP")
    modem.sim, modem.registrations = "SIM PIN", [0]
    for _ in range(2):
        with pytest.raises(NotRegistered):
            await port.send_message(meter_config(2), "WAKEUP")
    assert modem.sim == "READY"


async def test_limits_hold_when_the_clock_falls_back(modem, port_on, meter_config, wall):
    limits = {"messages_per_hour": 2}
    for number in (1, 2):
        await port_on(**limits).send_message(meter_config(number), "WAKEUP")
    wall.now = 3600
    with pytest.raises(DialLimit, match="2 messages in 1 h"):
        await port_on(**limits).send_message(meter_config(3), "WAKEUP")


async def test_a_meter_is_not_woken_again_when_the_clock_falls_back(
    modem, port_on, meter_config, ledger, wall
):
    line = DialInLine(name="l", kind="dial-in", port=0, wake_modem="gsm")
    wake_up = MessageWakeUp(line, port_on(), ledger, wall)
    await wake_up.wake(meter_config())
    wall.now -= 7200
    for _ in range(3):
        await wake_up.wake(meter_config())
    assert len(modem.messages) == 2


@pytest.mark.parametrize("octets", [b"12\xff4", "١٢٣٤".encode(), b"123", b'1234"', b"1234 "])
async def test_a_file_that_holds_no_pin_is_not_tried(
    modem, port_on, pin_file, meter_config, octets
):
    modem.sim = "SIM PIN"
    pin_file.write_bytes(octets)
    with pytest.raises(SimUnusable):
        await port_on(pin_file=pin_file).send_message(meter_config(), "WAKEUP")
    assert not any("CPIN=" in line for line in modem.asked)


async def test_a_password_among_the_commands_is_not_shown(modem, port_on, meter_config):
    modem.answers['AT+CMEE=1;+CLCK="SC",0,"1234"'] = "+CME ERROR: 16"
    with pytest.raises(CommandRefused) as failure:
        await port_on(commands=('AT+CMEE=1;+CLCK="SC",0,"1234"',)).dial(meter_config(), 0)
    assert "1234" not in str(failure.value)

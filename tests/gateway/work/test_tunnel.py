"""A transparent tunnel by signed command: what passes, what ends it, what is told of it."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hesper_contracts import tunnel
from hesper_contracts.frame import Kind
from hesper_contracts.tunnel import Direction, Message, Type, session_of
from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.association import Authentication
from hesper_dlms.axdr import integer
from hesper_dlms.client import AssociationSettings, Client, SecuritySettings
from hesper_gateway.config import CeilingsConfig
from hesper_gateway.lines.channel import drive
from hesper_gateway.lines.line import Line, Priority
from hesper_gateway.meter_relays import in_reach
from msgspec import UNSET

ENERGY = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
OPEN = {"duration_s": 60, "octets_max": 100_000, "idle_s": 30}


class Tool:
    """The far end of a tunnel, without a broker between; also the channel of a client."""

    def __init__(self, works, command_id="c-1"):
        self._works = works
        self._session = session_of(command_id)
        self._sent = 0
        self._heard = asyncio.Queue()
        self.greeted = asyncio.Event()
        self.closed = asyncio.get_running_loop().create_future()
        self.sequences = []
        works.tunnels.publish = self._take
        works.tunnels.connected.set()

    async def _take(self, kind, payload):
        assert kind is Kind.TUNNEL
        message = tunnel.from_payload(payload, Direction.UP)
        assert message.session == self._session
        match message.type:
            case Type.HELLO:
                self.greeted.set()
            case Type.DATA:
                self.sequences.append(message.sequence)
                self._heard.put_nowait(message.content)
            case Type.CLOSE:
                self.closed.set_result(message.content.decode())
        return True

    def say(self, type_, sequence=0, content=b""):
        message = Message(self._session, Direction.DOWN, type_, sequence, content)
        self._works.tunnels.receive(tunnel.to_payload(message))

    async def greet(self):
        """Say hello until the line is open, as the real tool does."""
        async with asyncio.timeout(60):
            while not self.greeted.is_set():
                self.say(Type.HELLO)
                try:
                    async with asyncio.timeout(0.02):
                        await self.greeted.wait()
                except TimeoutError:
                    continue

    async def read(self, timeout_s):
        async with asyncio.timeout(timeout_s):
            return await self._heard.get()

    async def write(self, octets, timeout_s=1.0):
        self._sent += 1
        self.say(Type.DATA, self._sent, octets)

    async def run(self, exchange):
        return await drive(self, exchange, answer_s=5, exchange_s=10)


@asynccontextmanager
async def opened(works, **limits):
    """An executor with an open tunnel to its meter; yields the tool's end."""
    async with works.working():
        tool = Tool(works)
        works.give(works.command("tunnel.open", parameters=OPEN | limits, approver="ben"))
        await tool.greet()
        yield tool


async def ended(works, tool):
    """How it ended: what the tool was told, and the result."""
    async with asyncio.timeout(60):
        told = await tool.closed
    await works.until(lambda w: w.ended("c-1"))
    return told, works.ended("c-1")


def client(works, ciphered):
    plan = works.plan
    low = AssociationSettings(
        client_address=2, authentication=Authentication.LOW, password=plan.password.encode()
    )
    counters = iter(range(5000, 9000))
    keys = SecuritySettings(0, plan.encryption_key, plan.authentication_key)
    high = AssociationSettings(
        client_address=1,
        authentication=Authentication.HIGH_GMAC,
        system_title=b"VENDOR01",
        security=keys,
        invocation_counter=lambda: next(counters),
    )
    settings = high if ciphered else low
    return Client(settings.over_wrapper(), settings)


@pytest.mark.integration
@pytest.mark.parametrize("ciphered", [False, True])
async def test_a_vendors_tool_reads_the_meter_and_both_relay_states_are_told(works, ciphered):
    async with opened(works) as tool:
        vendor = client(works, ciphered)
        await tool.run(vendor.connect())
        value = (await tool.run(vendor.get(ENERGY))).as_int()
        await tool.run(vendor.release())
        tool.say(Type.CLOSE, content=b"done")
        told, result = await ended(works, tool)
    assert value > 0
    assert tool.sequences == list(range(1, len(tool.sequences) + 1))
    assert told == "closed by the tool: done"
    assert result.state == "confirmed"
    assert result.relay_before.output
    assert result.relay_after.output
    assert result.findings.tunnel.octets_up > 50
    assert result.findings.tunnel.octets_down > 50
    assert result.findings.tunnel.ended_by == told
    assert works.alarms == []


@pytest.mark.integration
async def test_a_relay_that_moved_during_the_tunnel_is_an_alarm(works):
    async with opened(works) as tool:
        vendor = client(works, ciphered=True)
        await tool.run(vendor.connect())
        await tool.run(vendor.action(CosemMethod(70, obis.DISCONNECT_CONTROL, 1), integer(0)))
        await tool.run(vendor.release())
        tool.say(Type.CLOSE)
        _, result = await ended(works, tool)
    assert (result.relay_before.output, result.relay_after.output) == (True, False)
    assert "the relay moved" in result.detail
    assert works.alarms == ["tunnel.relay_moved"]


async def many(tool):
    for number in range(200):
        tool.say(Type.DATA, number + 1, b"x")


async def lost(tool):
    tool.say(Type.DATA, 2, b"x")


async def twice(tool):
    tool.say(Type.DATA, 1, b"x")
    tool.say(Type.DATA, 1, b"x")


async def another(tool):
    tool.say(Type.DATA, 1, b"x")
    tool.say(Type.HELLO)


async def greedy(tool):
    tool.say(Type.DATA, 1, bytes(600))
    tool.say(Type.DATA, 2, bytes(600))


async def silence(tool):
    """Nothing."""


ENDINGS = [
    (many, {}, "faster than the line takes"),
    (lost, {}, "message 1 from the tool was lost, 2 came"),
    (twice, {}, "message 2 from the tool was lost, 1 came"),
    (another, {}, "a second tool came"),
    (greedy, {"octets_max": 1000}, "its 1000 octets are used up"),
    (silence, {"duration_s": 1}, "its time of 1 s is over"),
    (silence, {"idle_s": 1}, "nothing went through for 1 s"),
]


@pytest.mark.integration
@pytest.mark.parametrize(("does", "limits", "reason"), ENDINGS)
async def test_what_ends_a_tunnel(works, does, limits, reason):
    async with opened(works, **limits) as tool:
        await does(tool)
        told, result = await ended(works, tool)
    assert reason in told
    assert result.findings.tunnel.ended_by == told
    assert result.findings.tunnel.octets_down <= limits.get("octets_max", 200)
    assert result.relay_after.output


@pytest.mark.integration
async def test_a_lost_broker_ends_the_tunnel(works):
    async with opened(works) as tool:
        works.tunnels.connected.clear()
        _, result = await ended(works, tool)
    assert result.findings.tunnel.ended_by == "the broker was lost"


@pytest.mark.integration
async def test_a_restart_ends_the_tunnel_and_reads_the_relay(works):
    async with opened(works) as tool:
        await tool.write(b"\x00\x01")
    tool.greeted.clear()
    async with works.working():
        await works.until(lambda w: w.ended("c-1"))
        tool.say(Type.HELLO)
    result = works.ended("c-1")
    assert result.state == "failed"
    assert "the gateway was restarted" in result.detail
    assert result.relay_after.output
    assert not tool.greeted.is_set()


@pytest.mark.integration
async def test_a_relay_that_moved_in_a_tunnel_that_a_restart_ended_is_an_alarm(works):
    async with opened(works) as tool:
        vendor = client(works, ciphered=True)
        await tool.run(vendor.connect())
        await tool.run(vendor.action(CosemMethod(70, obis.DISCONNECT_CONTROL, 1), integer(0)))
        await tool.run(vendor.release())
    async with works.working():
        await works.until(lambda w: w.ended("c-1"))
    result = works.ended("c-1")
    assert (result.relay_before.output, result.relay_after.output) == (True, False)
    assert (result.state, result.findings) == ("failed", UNSET)
    assert "restarted, which ended the tunnel; the relay moved" in result.detail
    assert works.alarms == ["tunnel.relay_moved"]


@pytest.mark.integration
async def test_without_a_tool_no_line_is_opened(works):
    async with works.working():
        Tool(works)
        limits = OPEN | {"idle_s": 1}
        result = await works.result("tunnel.open", parameters=limits, approver="ben")
    assert result.state == "confirmed"
    assert result.findings.tunnel.ended_by == "no tool came"


@pytest.mark.integration
async def test_a_tool_that_gives_up_before_the_line_is_open_opens_none(works):
    async with works.working():
        tool = Tool(works)
        before = works.received
        works.give(works.command("tunnel.open", parameters=OPEN, approver="ben"))
        await works.until(lambda w: w.results("c-1"))
        async with asyncio.timeout(60):
            while not tool.closed.done():  # dropped until the tunnel waits for its tool
                tool.say(Type.CLOSE, content=b"never mind")
                await asyncio.sleep(0.01)
        told, result = await ended(works, tool)
    assert works.received > before
    assert told == "closed by the tool: never mind"
    assert result.findings.tunnel.octets_up == 0


@pytest.mark.integration
async def test_nobody_else_has_the_line_meanwhile(works):
    async with opened(works) as tool:
        (session,) = works.sessions.values()
        waiting = asyncio.create_task(session.line.submit(session.read_relay, Priority.COMMAND))
        async with asyncio.timeout(60):
            while not session.line.command_waiting:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
        vendor = client(works, ciphered=False)
        await tool.run(vendor.connect())
        assert not waiting.done()
        tool.say(Type.CLOSE)
        await ended(works, tool)
        assert (await waiting).output


async def test_a_meter_that_cannot_be_read_gets_no_tunnel(works):
    works.silent = True
    async with works.working():
        tool = Tool(works)
        result = await works.result("tunnel.open", parameters=OPEN, approver="ben")
    assert result.state == "failed"
    assert not tool.greeted.is_set()
    assert not tool.closed.done()


@pytest.mark.integration
async def test_a_meter_that_is_silent_afterwards_leaves_it_unknown(works):
    async with opened(works) as tool:
        works.silent = True
        tool.say(Type.CLOSE)
        _, result = await ended(works, tool)
    assert result.state == "unknown"
    assert result.relay_before.output
    assert result.relay_after is None
    assert works.alarms == ["tunnel.relay_unknown"]


async def test_tunnels_count_against_the_gateways_own_ceilings(works):
    works.ceilings = CeilingsConfig(disconnects_per_hour=1, seconds_between=0)
    async with works.working():
        tool = Tool(works)
        works.give(works.command("tunnel.open", 1, parameters=OPEN, approver="ben"))
        await tool.greet()
        tool.say(Type.CLOSE)
        await ended(works, tool)
        again = await works.result("tunnel.open", 2, parameters=OPEN, approver="ben")
        cut = await works.result("relay.disconnect", 3)
    assert [again.state, cut.state] == ["rejected", "rejected"]
    assert "gateway ceiling" in again.detail
    assert works.meter.output


@pytest.mark.parametrize("changes", [{"duration_s": 901}, {"octets_max": 2**40}, {"more": 1}])
async def test_limits_beyond_the_contract_are_refused(works, changes):
    async with works.working():
        result = await works.result("tunnel.open", parameters=OPEN | changes)
    assert result.state == "rejected"


async def test_a_message_of_no_open_tunnel_is_dropped(works):
    async with works.working():
        Tool(works).say(Type.DATA, 1, b"x")
    assert works.tunnels.dropped == 1


@pytest.mark.parametrize("approver", [None, "ann"])
async def test_one_person_alone_opens_none(works, approver):
    async with works.working():
        result = await works.result("tunnel.open", parameters=OPEN, approver=approver)
    assert result.state == "rejected"
    assert "a second person must approve it" in result.detail
    assert works.received == 0


async def test_every_supply_on_the_line_counts(works):
    works.ceilings = CeilingsConfig(disconnects_per_hour=3, seconds_between=0)
    works.in_reach = {works.serial: 4}
    async with works.working():
        many = await works.result("tunnel.open", 1, parameters=OPEN, approver="ben")
    works.in_reach = {works.serial: 3}
    async with works.working():
        tool = Tool(works, "c-2")
        works.give(works.command("tunnel.open", 2, parameters=OPEN, approver="ben"))
        await tool.greet()
        tool.say(Type.CLOSE)
        await works.until(lambda w: w.ended("c-2"))
        cut = await works.result("relay.disconnect", 3)
    assert "0 disconnects within the hour and 4 supplies on the line, at most 3" in many.detail
    assert [many.state, works.ended("c-2").state, cut.state] == [
        "rejected",
        "confirmed",
        "rejected",
    ]


def test_supplies_are_counted_by_line(works):
    bus, other = Line("bus", None), Line("other", None)
    unswitched = {"disconnect_control": None}
    sessions = {
        "M1": works.session(bus),
        "M2": works.session(bus),
        "M3": works.session(bus, objects=unswitched),
        "M4": works.session(other, objects=unswitched),
    }
    assert in_reach(sessions) == {"M1": 2, "M2": 2, "M3": 2, "M4": 1}


@pytest.mark.integration
async def test_a_neighbour_that_is_silent_afterwards_is_an_alarm(works):
    async with works.working():
        works.sessions["M2"] = works.session(works.sessions[works.serial].line, id="M2")
        tool = Tool(works)
        works.give(works.command("tunnel.open", parameters=OPEN, approver="ben"))
        await tool.greet()
        works.silent = True
        tool.say(Type.CLOSE)
        await ended(works, tool)
    assert works.alarms == ["tunnel.relay_unknown", "tunnel.relay_unknown"]

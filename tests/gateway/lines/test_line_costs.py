"""What lines use and cost: counted for each meter, kept, summed up and reported once a day."""

import asyncio
from decimal import Decimal

import pytest
from hesper_contracts.status import LineUse, ModemStatus
from hesper_gateway.config import GatewayConfig, MeterConfig, TcpLine
from hesper_gateway.line_costs import LineCosts, Prices, prices_of
from hesper_gateway.lines.dial_limits import DAY_S
from hesper_gateway.lines.ledger import KEPT_DAYS, Ledger, Use
from hesper_gateway.lines.metered import MeteredCarrier
from hesper_gateway.lines.tcp import TcpCarrier

CELLULAR = Prices(Decimal("0.12"), Decimal("0.07"), Decimal("0.5"))


class Outbox:
    """Keeps events as the real one does in its database."""

    def __init__(self) -> None:
        self.events = []

    async def append_events(self, new, progress=None) -> int:
        self.events += new
        return len(self.events)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def costs(ledger, outbox, wall) -> LineCosts:
    return LineCosts({"M1": CELLULAR, "BUS": Prices()}, ledger, outbox, wall)


@pytest.mark.parametrize(
    ("use", "micros"),
    [
        (Use(), 0),
        (Use(call_s=90), 180_000),
        (Use(messages=3), 210_000),
        (Use(octets_sent=400_000, octets_received=600_000), 500_000),
        (Use(1, 1, 1, 1, 1), 72_001),
    ],
)
def test_cost_is_counted_in_millionths(use, micros):
    assert CELLULAR.micros(use) == micros


def test_prices_come_from_the_line_and_its_modem():
    config = GatewayConfig.model_validate(
        {
            "gateway": "g",
            "broker": {"host": "h"},
            "modems": [
                {
                    "name": "gsm",
                    "path": "/dev/null",
                    "call_minute_price": "0.12",
                    "message_price": "0.07",
                }
            ],
            "lines": [
                {"name": "csd", "kind": "csd", "modem": "gsm"},
                {"name": "lan", "kind": "tcp", "host": "h", "port": 1},
                {"name": "sim", "kind": "udp", "host": "h", "port": 1, "megabyte_price": "0.5"},
                {"name": "in", "kind": "dial-in", "port": 1, "wake_modem": "gsm"},
                {"name": "bus", "kind": "serial", "path": "/dev/null"},
            ],
            "meters": [
                {
                    "id": line,
                    "line": line,
                    "template": "t",
                    "phone": "123",
                    "system_title": "0" * 16,
                }
                for line in ("csd", "lan", "sim", "in", "bus")
            ],
        }
    )
    assert [prices_of(config, meter) for meter in config.meters] == [
        Prices(call_minute=Decimal("0.12")),
        Prices(),
        Prices(megabyte=Decimal("0.5")),
        Prices(message=Decimal("0.07")),
        Prices(),
    ]


async def test_octets_of_a_channel_are_counted(ledger):
    async def echo(reader, writer):
        writer.write((await reader.readexactly(5)) * 2)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        line = TcpLine(
            name="t", kind="tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1]
        )
        meter = MeterConfig(id="M1", line="t", template="hesper-sim")
        channel = await MeteredCarrier(TcpCarrier(line), ledger).open(meter, 1)
        await channel.write(b"hello", 1)
        heard = b""
        while len(heard) < 10:
            heard += await channel.read(1)
        await channel.release(broken=False)
    assert ledger.between(0, None) == {"M1": Use(octets_sent=5, octets_received=10)}


async def test_counts_outlive_the_process(ledger, database, wall):
    ledger.of("M1").octets_sent += 7
    await ledger.write()
    ledger.of("M1").octets_sent += 1
    again = Ledger(database, wall)
    again.of("M1").octets_sent += 2
    await again.write()
    assert again.between(0, None)["M1"].octets_sent == 9


async def test_the_oldest_days_go_when_there_are_many(ledger, wall):
    for _ in range(KEPT_DAYS + 2):
        ledger.of("M1").calls += 1
        await ledger.write()
        wall.now += DAY_S
    assert ledger.between(0, None) == {"M1": Use(calls=KEPT_DAYS)}


async def test_a_clock_that_was_years_ahead_takes_no_day_away(ledger, wall):
    ledger.of("M1").messages += 2
    await ledger.write()
    wall.now += 401 * DAY_S
    ledger.of("M1").calls += 1
    await ledger.write()
    wall.now -= 401 * DAY_S
    assert ledger.between(0, None) == {"M1": Use(messages=2)}


def test_the_days_sums_are_told_before_they_are_written_down(ledger, costs):
    ledger.of("M1").call_s += 60
    ledger.of("BUS").octets_received += 1000
    assert costs.today() == LineUse(octets_received=1000, call_s=60, cost_micros=120_000)


async def test_each_day_is_reported_once_and_only_what_costs(ledger, costs, outbox, wall, database):
    await costs.report()
    ledger.of("M1").messages += 2
    ledger.of("BUS").octets_received += 1000
    await costs.report()
    assert outbox.events == []
    await ledger.write()
    wall.now += 3 * DAY_S
    await costs.report()
    again = LineCosts({"M1": CELLULAR}, Ledger(database, wall), outbox, wall)
    await again.report()
    (told,) = outbox.events
    assert (told.code, told.meter, told.attributes["cost_micros"]) == (
        "meter.line_use",
        "M1",
        140_000,
    )


async def test_a_clock_that_was_years_ahead_ends_no_reports(ledger, costs, outbox, wall):
    """A board whose own clock is wrong until it hears of the time."""
    await costs.report()
    ledger.of("M1").messages += 2
    await ledger.write()
    wall.now += 300 * DAY_S
    await costs.report()
    ledger.of("M1").messages += 5
    await ledger.write()
    wall.now -= 300 * DAY_S
    assert costs.today().messages == 2
    wall.now += DAY_S
    assert costs.today().messages == 0
    outbox.events.clear()
    await costs.report()
    await costs.report()
    (told,) = outbox.events
    assert (told.meter, told.attributes["messages"]) == ("M1", 2)


async def test_a_modem_tells_its_state(modem, port_on):
    port = port_on()
    assert port.status() == ModemStatus(name="gsm")
    running = asyncio.create_task(port.run())
    async with asyncio.timeout(60):
        while not port.usable:  # noqa: ASYNC110 - the port tells nobody
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert port.status() == ModemStatus(
        name="gsm", registration="home", operator="Test Net", signal_dbm=-77
    )

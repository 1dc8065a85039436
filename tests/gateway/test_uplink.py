"""The uplink on a real Mosquitto: only the right receipt empties the outbox, whatever breaks."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiomqtt
import pytest
from hesper_contracts import again, batch, receipts, status
from hesper_contracts.again import SendAgain
from hesper_contracts.events import Event
from hesper_contracts.frame import Kind
from hesper_contracts.readings import Section
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.status import GatewayStatus, Presence
from hesper_contracts.topics import Topics
from hesper_gateway.broker_link import Account
from hesper_gateway.outbox import Outbox
from hesper_gateway.uplink import Ears, Identity, Pace, Uplink

GATEWAY = "gw-1"
POLL_S = 0.01
STARTED = datetime(2026, 3, 1, tzinfo=UTC)
INGEST = Signer.generate()
MakeSection = Callable[..., Section]
CloudOn = Callable[..., AbstractAsyncContextManager[Any]]


class Broker(Protocol):
    port: int

    def start(self) -> object: ...
    def kill(self) -> None: ...
    def wipe(self) -> None: ...


def presence(state: Presence) -> GatewayStatus:
    return GatewayStatus(
        gateway=GATEWAY, boot_id="b", state=state, sent_at=datetime.now(UTC), started_at=STARTED
    )


def states(cloud: Any) -> list[str]:
    return [status.gateway_from_payload(each).state for each in cloud.of(Kind.STATUS)]


@asynccontextmanager
async def uplink_on(
    port: int,
    outbox: Outbox,
    delivered: list[tuple[Kind, bytes]] | None = None,
    window: int = 32,
    account: Account | None = None,
) -> AsyncIterator[Uplink]:
    uplink = Uplink(
        account or Account("127.0.0.1", port, GATEWAY),
        Identity(GATEWAY, Topics(), Keyring.of(INGEST.public_key)),
        outbox,
        Ears(presence, lambda *what: (delivered if delivered is not None else []).append(what)),
        Pace(window=window, first_reconnect_s=0.02, last_reconnect_s=0.1),
    )
    running = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def eventually(condition: Callable[[], object], within_s: float = 60) -> None:
    """Returns once the condition holds."""
    for _ in range(int(within_s / POLL_S)):
        if condition():
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError("did not happen in time")


async def drained(outbox: Outbox, within_s: float = 60) -> None:
    await eventually(lambda: not outbox.backlog_batches, within_s)


async def test_receipts_empty_the_outbox(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn, section: MakeSection
) -> None:
    await outbox.append_readings([section("M1", 900)])
    async with cloud_on(broker.port, INGEST) as cloud, uplink_on(broker.port, outbox):
        cloud.generous = True
        await outbox.append_events([Event(id="e", code="gateway.x", occurred_at=STARTED)])
        for number in range(100):
            await outbox.append_readings([section(f"M{number}", 900)])
        await drained(outbox)
        sequences = {batch.open_(each).sequence for each in cloud.of(Kind.READINGS)}
    assert len(sequences) == 101


async def test_without_receipts_the_window_bounds_what_is_sent(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn, section: MakeSection
) -> None:
    for _ in range(20):
        await outbox.append_readings([section("M1", 900)])
    async with cloud_on(broker.port, INGEST) as cloud, uplink_on(broker.port, outbox, window=5):
        await cloud.until(lambda c: len(c.of(Kind.READINGS)) == 5)
        await outbox.append_events([Event(id="e", code="gateway.x", occurred_at=STARTED)])
        await cloud.until(lambda c: c.of(Kind.EVENTS))
        assert len(cloud.of(Kind.READINGS)) == 5
        assert outbox.backlog_batches == 21


async def test_forged_and_foreign_receipts_release_nothing(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn, section: MakeSection
) -> None:
    sequence = await outbox.append_readings([section("M1", 900)])
    stored = outbox.load(sequence)
    assert stored is not None
    async with cloud_on(broker.port, INGEST) as cloud, uplink_on(broker.port, outbox) as uplink:
        await uplink.connected.wait()
        await cloud.give_receipt(GATEWAY, stored.payload, key=Signer.generate())
        await cloud.send(GATEWAY, Kind.RECEIPTS, b"HK1s garbage")
        await cloud.send(GATEWAY, Kind.RECEIPTS, b"")
        altered = stored.payload[:-1] + bytes((stored.payload[-1] ^ 1,))
        await cloud.give_receipt(GATEWAY, altered)
        other = "gw-2"
        cloud_topic = cloud.topics.down(GATEWAY, Kind.RECEIPTS)
        cloud.topics = Topics()
        await cloud.client.publish(cloud_topic, b"\x00" * 1000, qos=1)
        await cloud.give_receipt(other, stored.payload)
        await eventually(lambda: uplink.dropped.total() >= 4)
        assert outbox.readings_after(-1, 9) == [sequence]
        await cloud.give_receipt(GATEWAY, stored.payload)
        await drained(outbox)


async def test_a_restored_cloud_is_given_again_what_it_asks_for(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn, section: MakeSection
) -> None:
    for number in range(3):
        await outbox.append_readings([section(f"M{number}", 900)])
    async with cloud_on(broker.port, INGEST) as cloud, uplink_on(broker.port, outbox) as uplink:
        cloud.generous = True
        await drained(outbox)
        sent = cloud.of(Kind.READINGS)
        wish = SendAgain(GATEWAY, outbox.epoch, batch.open_(sent[1]).sequence)
        await cloud.send(GATEWAY, Kind.AGAIN, again.to_payload(wish, Signer.generate()))
        await eventually(lambda: uplink.dropped["Forged"])
        await cloud.send(GATEWAY, Kind.AGAIN, again.to_payload(wish, INGEST))
        await cloud.until(lambda c: len(c.of(Kind.READINGS)) == 5)
        await drained(outbox)
        assert cloud.of(Kind.READINGS)[3:] == sent[1:]


async def test_a_killed_and_wiped_broker_loses_nothing(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn, section: MakeSection
) -> None:
    async with uplink_on(broker.port, outbox) as uplink:
        async with cloud_on(broker.port, INGEST) as cloud:
            await outbox.append_readings([section("M1", 900)])
            await cloud.until(lambda c: c.of(Kind.READINGS))
        broker.kill()
        broker.wipe()
        for number in range(50):
            await outbox.append_readings([section(f"M{number}", 900)])
        broker.start()
        async with cloud_on(broker.port, INGEST) as cloud:
            cloud.generous = True
            await drained(outbox)
        assert uplink.connected.is_set()


async def test_wakes_at_once_when_the_cloud_announces_itself(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn, section: MakeSection
) -> None:
    async with uplink_on(broker.port, outbox):
        async with cloud_on(broker.port, INGEST) as deaf:
            await outbox.append_readings([section("M1", 900)])
            await deaf.until(lambda c: c.of(Kind.READINGS))
        async with cloud_on(broker.port, INGEST) as cloud:
            cloud.generous = True
            await cloud.announce()
            await drained(outbox, within_s=3)


async def test_status_is_retained_and_the_last_will_says_offline(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn
) -> None:
    async with uplink_on(broker.port, outbox) as uplink:
        await uplink.connected.wait()
        async with cloud_on(broker.port) as cloud:
            await cloud.until(lambda c: states(c) == ["online"])
            client = uplink._client
            assert client is not None
            client._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
            await cloud.until(lambda c: states(c)[:3] == ["online", "offline", "online"])
    async with cloud_on(broker.port) as later:
        await later.until(lambda c: states(c) == ["offline"])


async def test_one_that_ends_before_the_broker_has_answered_its_status_is_offline(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn
) -> None:
    telling = asyncio.Event()

    def told(state: Presence) -> GatewayStatus:
        if state == "online":
            telling.set()
        return presence(state)

    async with uplink_on(broker.port, outbox) as uplink:
        uplink._ears.status = told
        await telling.wait()
        assert not uplink.connected.is_set()
    async with cloud_on(broker.port) as later:
        await later.until(lambda c: states(c) == ["offline"])


async def test_what_came_while_away_is_delivered(
    broker: Broker, outbox: Outbox, cloud_on: CloudOn
) -> None:
    delivered: list[tuple[Kind, bytes]] = []
    async with uplink_on(broker.port, outbox, delivered) as uplink:
        await uplink.connected.wait()
    async with cloud_on(broker.port) as cloud:
        await cloud.send(GATEWAY, Kind.COMMANDS, b"while away")
    async with uplink_on(broker.port, outbox, delivered):
        await eventually(lambda: delivered)
    assert delivered == [(Kind.COMMANDS, b"while away")]


async def test_asks_only_when_connected(broker: Broker, outbox: Outbox, cloud_on: CloudOn) -> None:
    async with cloud_on(broker.port) as cloud, uplink_on(broker.port, outbox) as uplink:
        await uplink.connected.wait()
        assert await uplink.publish(Kind.REQUESTS, b"HQ1j{}")
        await cloud.until(lambda c: c.of(Kind.REQUESTS) == [b"HQ1j{}"])
        broker.kill()
        await eventually(lambda: not uplink.connected.is_set())
        assert not await uplink.publish(Kind.REQUESTS, b"HQ1j{}")


async def test_wrong_credentials_are_told_and_tried_again(
    broker_factory: Callable[..., Broker], outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    closed = broker_factory("listener {port} 127.0.0.1\nallow_anonymous false\n")
    async with uplink_on(closed.port, outbox) as uplink:
        await eventually(lambda: "ot authorized" in caplog.text)
        assert not uplink.connected.is_set()
    (said,) = [each.message for each in caplog.records if "broker lost" in each.message]
    assert f"127.0.0.1:{closed.port} refuses {GATEWAY}: " in said
    assert "compare [broker] in gateway.toml with the broker's password file" in said


async def test_a_broker_that_is_away_and_then_refuses_is_told_twice(
    broker_factory: Callable[..., Broker], outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    closed = broker_factory("listener {port} 127.0.0.1\nallow_anonymous false\n")
    closed.kill()
    async with uplink_on(closed.port, outbox):
        await eventually(lambda: "refused; does the broker run" in caplog.text)
        closed.start()
        await eventually(lambda: "ot authorized" in caplog.text)


@pytest.mark.parametrize("taken", [0, 1])
async def test_a_broker_that_takes_everything_and_acknowledges_nothing_is_told_as_that(
    outbox: Outbox,
    section: MakeSection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    taken: int,
) -> None:
    """Mute from the start, or once it has taken the gateway's status."""
    monkeypatch.setattr("hesper_gateway.broker_link.TIMEOUT_S", 0.3)
    await outbox.append_readings([section("M1", 900)])
    mute = await asyncio.start_server(partial(take, taken), "127.0.0.1", 0)
    async with mute, uplink_on(mute.sockets[0].getsockname()[1], outbox):
        await eventually(lambda: "broker lost" in caplog.text)
    said = next(each.message for each in caplog.records if "broker lost" in each.message)
    assert said.endswith("it does not acknowledge within 0.3 s what it is sent")
    assert outbox.backlog_batches == 1


async def take(
    acknowledged: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Take all that a client of MQTT 5 sends, and acknowledge some of it."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            first, octet = await reader.readexactly(2)
            length, shift = octet & 0x7F, 7
            while octet >= 0x80:
                (octet,) = await reader.readexactly(1)
                length, shift = length | (octet & 0x7F) << shift, shift + 7
            body = await reader.readexactly(length)
            match first >> 4:
                case 1:  # CONNECT
                    writer.write(bytes.fromhex("2003000000"))
                case 8:  # SUBSCRIBE to two topics
                    writer.write(b"\x90\x05" + body[:2] + b"\0\1\1")
                case 3 if acknowledged:  # PUBLISH
                    acknowledged -= 1
                    at = 2 + int.from_bytes(body[:2], "big")
                    writer.write(b"\x40\x02" + body[at : at + 2])
    writer.close()


async def test_works_within_what_the_access_rules_allow(
    tmp_path: Path, broker_factory: Callable[..., Broker], outbox: Outbox, section: MakeSection
) -> None:
    rules = Path(__file__).parents[2] / "mosquitto" / "acl"
    if not (maker := shutil.which("mosquitto_passwd")):
        pytest.skip("mosquitto_passwd is not installed")
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    for account in (GATEWAY, "hes.ingest"):
        subprocess.run([maker, "-b", passwords, account, "secret"], check=True)  # noqa: ASYNC221
    guarded = broker_factory(
        f"listener {{port}} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\nacl_file {rules}\n"
    )
    await outbox.append_readings([section("M1", 900)])
    account = Account("127.0.0.1", guarded.port, GATEWAY, GATEWAY, lambda: "secret")
    ingest = aiomqtt.Client(
        "127.0.0.1",
        guarded.port,
        username="hes.ingest",
        password="secret",
        protocol=aiomqtt.ProtocolVersion.V5,
    )
    async with ingest:
        await ingest.subscribe(Topics().shared("ingest", Kind.READINGS), qos=1)
        async with uplink_on(guarded.port, outbox, account=account), asyncio.timeout(60):
            heard = await anext(aiter(ingest.messages))
            assert isinstance(heard.payload, bytes)
            opened = batch.open_(heard.payload)
            told = ReceiptList(
                GATEWAY,
                opened.epoch,
                (Receipt(opened.sequence, batch.digest(heard.payload)),),
            )
            down = Topics().down(GATEWAY, Kind.RECEIPTS)
            await ingest.publish(down, receipts.to_payload(told, INGEST), qos=1)
            await drained(outbox)

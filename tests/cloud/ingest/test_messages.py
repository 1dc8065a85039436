"""Ingest against a real Mosquitto: what gateways publish, what is stored, what receipts say."""

import asyncio
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.db import registry
from hesper_cloud.gaps.captures import Captures
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.stores.port import CommittedRows
from hesper_contracts import batch, events, results, status
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import Encoding, Kind
from hesper_contracts.receipts import Receipt
from hesper_contracts.results import CommandResult
from ingest_ends import (
    EPOCH,
    GATEWAY_KEY,
    TOPICS,
    GatewayEnd,
    Head,
    now,
    sealed,
)
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.integration
MOSQUITTO_CONF = Path(__file__).parents[3] / "mosquitto" / "mosquitto.conf"


async def test_a_batch_is_stored_then_receipted_then_seen(head: Head, gateway: GatewayEnd) -> None:
    t = now() - 900
    payload = sealed(1, {"M1": [(t, 10), (t + 900, 12)]})
    async with head.running():
        gateway.publish(Kind.READINGS, payload)
        receipt = await gateway.receipt()
        assert receipt == Receipt(1, batch.digest(payload), "stored", "")
        assert head.stored() == [("M1", t, 10), ("M1", t + 900, 12)]
        await head.until(lambda: head.latest.value("M1", "1.0.1.8.0.255") is not None)
        assert head.latest.value("M1", "1.0.1.8.0.255").value == 12  # type: ignore[union-attr]
    (meter,) = head.rows(registry.Meter)
    assert (meter.id, meter.gateway_id, meter.state) == ("M1", "gw-1", "discovered")
    assert meter.last_contact_at is not None


async def test_a_lost_receipt_is_given_again_and_nothing_is_stored_twice(
    head: Head, gateway: GatewayEnd
) -> None:
    payload = sealed(1, {"M1": [(now(), 10)]})
    async with head.running():
        for _ in range(3):
            gateway.publish(Kind.READINGS, payload)
            assert (await gateway.receipt()).verdict == "stored"
    async with head.running():  # and after a restart
        gateway.publish(Kind.READINGS, payload)
        assert (await gateway.receipt()).digest == batch.digest(payload)
    assert len(head.stored()) == 1


async def test_the_largest_message_that_the_broker_takes_is_answered(
    head: Head, gateway: GatewayEnd
) -> None:
    limits = (line.split() for line in MOSQUITTO_CONF.read_text().splitlines())
    (largest,) = (int(words[1]) for words in limits if words[:1] == ["message_size_limit"])
    named = b'{"kind":"readings","version":1,"batch":{"epoch":"%b","sequence":1},"readings":['
    payload = (named % EPOCH.encode()).ljust(largest - 2) + b"]}"
    async with head.running():
        gateway.publish(Kind.READINGS, payload)
        gateway.publish(Kind.READINGS, sealed(2, {"M1": [(now(), 10)]}))
        answers = [await gateway.receipt(), await gateway.receipt()]
    assert [(each.sequence, each.verdict) for each in answers] == [(1, "rejected"), (2, "stored")]


async def test_a_known_sequence_with_other_content_alarms_and_is_answered_as_set_aside(
    head: Head, gateway: GatewayEnd
) -> None:
    t = now()
    async with head.running():
        gateway.publish(Kind.READINGS, sealed(1, {"M1": [(t, 10)]}))
        await gateway.receipt()
        other = sealed(1, {"M1": [(t, 99)]})
        gateway.publish(Kind.READINGS, other)
        answer = await gateway.receipt()
        assert (answer.digest, answer.verdict) == (batch.digest(other), "rejected")
        assert answer.is_contradiction
        gateway.publish(Kind.READINGS, sealed(2, {"M1": [(t + 1, 11)]}))
        assert (await gateway.receipt()).verdict == "stored"
        assert gateway.receipts.empty()
        await head.until(lambda: bool(head.rows(registry.Alert)))
    (letter,) = head.rows(registry.DeadLetter)
    assert "another digest" in letter.reason
    assert head.rows(registry.Alert)[0].rule == "batch-digest"
    assert [value for _, _, value in head.stored()] == [10, 11]


class _NoDatabase:
    """A rule that cannot write."""

    def rows_committed(self, rows: CommittedRows) -> None:
        raise OperationalError("INSERT", {}, Exception("database is locked"))


async def test_who_follows_all_that_is_stored_misses_nothing_though_a_rule_fails(
    head: Head, gateway: GatewayEnd
) -> None:
    t, captures = now(), Captures()
    captures.keep(LOAD_PROFILE, 3600)
    async with head.running() as ingest:
        ingest.follow(captures)
        ingest._intakes.readings.judges.insert(0, _NoDatabase())
        gateway.publish(Kind.READINGS, sealed(1, {"M1": [(t, 10)], "M2": [(t - 60, 11)]}))
        assert (await gateway.receipt()).verdict == "stored"
        found = captures.times(LOAD_PROFILE, ["M1", "M2"], t - 3600, t + 1)
    assert {meter: times.tolist() for meter, times in found.items()} == {"M1": [t], "M2": [t - 60]}


async def test_garbage_on_every_topic_is_set_aside_and_counted(
    head: Head, gateway: GatewayEnd
) -> None:
    whole = sealed(5, {"M1": [(now(), 10)]})
    prefix = batch.prefix(Kind.READINGS, Encoding.COLUMNS_ZSTD, EPOCH, 6)
    junk = [
        b"",
        b"\x00\xff" * 50,
        b"{",
        b'{"kind": 3}',
        b"HR9z" + whole[4:],
        whole[:15],
        b"[" * 9999,
    ]
    async with head.running():
        for kind in (Kind.READINGS, Kind.EVENTS, Kind.RESULTS, Kind.STATUS):
            for payload in junk:
                gateway.publish(kind, payload)
        gateway.publish(Kind.READINGS, prefix + b"\x28\xb5\x2f\xfd garbage")
        rejected = await gateway.receipt()
        assert (rejected.sequence, rejected.verdict) == (6, "rejected")
        assert rejected.reason
        gateway.publish(Kind.READINGS, whole[: len(whole) - 3])
        assert (await gateway.receipt()).verdict == "rejected"
        gateway.publish(Kind.READINGS, sealed(7, {"M1": [(now(), 11)]}))
        assert (await gateway.receipt()).verdict == "stored"
    letters = head.rows(registry.DeadLetter)
    assert all(letter.reason for letter in letters)
    assert {letter.topic.rsplit("/", 1)[1] for letter in letters} == {
        "readings", "events", "results", "status"
    }  # fmt: skip
    assert [value for _, _, value in head.stored()] == [11]


async def test_third_party_json_is_taken_and_receipted_if_it_names_a_batch(
    head: Head, gateway: GatewayEnd
) -> None:
    at = datetime.fromtimestamp(now(), UTC).isoformat()
    body: dict[str, Any] = {
        "kind": "readings",
        "version": 1,
        "readings": [{"meter": "J1", "captured_at": at, "values": {"1.0.1.8.0.255": [5, 0, 30]}}],
    }
    async with head.running():
        gateway.publish(Kind.READINGS, json.dumps(body).encode())
        await head.until(lambda: len(head.stored()) == 1)
        assert gateway.receipts.empty()
        body["batch"] = {"epoch": EPOCH, "sequence": 3}
        payload = json.dumps(body).encode()
        gateway.publish(Kind.READINGS, payload)
        assert await gateway.receipt() == Receipt(3, batch.digest(payload), "stored", "")
    assert len(head.stored()) == 1


async def test_mosquitto_pub_can_bring_readings(head: Head, broker: Any) -> None:
    program = shutil.which("mosquitto_pub")
    if program is None:
        pytest.skip("mosquitto_pub is not installed")
    at = datetime.fromtimestamp(now(), UTC).isoformat()
    values = '"values":{"1.0.2.8.0.255":[5,0,30]}'
    body = f'{{"meter":"PV01","captured_at":"{at}",{values}}}'
    text = f'{{"kind":"readings","version":1,"readings":[{body}]}}'
    topic = TOPICS.up("roof-1", Kind.READINGS)
    command = [program, "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-t", topic, "-m", text]
    async with head.running():
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        await head.until(lambda: len(head.stored()) == 1)
    assert [(meter, value) for meter, _, value in head.stored()] == [("PV01", 5)]


async def test_events_are_stored_once_and_tamper_raises_and_clears(
    head: Head, gateway: GatewayEnd
) -> None:
    def told(sequence: int, *codes: str) -> bytes:
        listed = [
            Event(id=f"M1/{sequence}/{code}", code=code, occurred_at=datetime.now(UTC), meter="M1")
            for code in codes
        ]
        return events.to_payload(EventList(tuple(listed)), EPOCH, sequence)

    async with head.running():
        first = told(1, "tamper.cover_opened", "power.up")
        gateway.publish(Kind.EVENTS, first)
        assert (await gateway.receipt()).verdict == "stored"
        gateway.publish(Kind.EVENTS, first)
        assert (await gateway.receipt()).verdict == "stored"
        assert len(head.rows(registry.Event)) == 2
        (alert,) = head.rows(registry.Alert)
        assert (alert.rule, alert.meter, alert.state) == ("tamper.cover", "M1", "new")
        gateway.publish(Kind.EVENTS, told(2, "tamper.cover_closed"))
        await gateway.receipt()
    assert head.rows(registry.Alert)[0].state == "cleared"


async def test_a_meter_that_identifies_itself_enters_the_registry(
    head: Head, gateway: GatewayEnd
) -> None:
    attributes = {"model": "HSP3", "firmware": "1.4.2", "logical_device_name": "HSP0000000000001"}
    event = Event(
        id="M1/identified", code="meter.identified", occurred_at=datetime.now(UTC), meter="M1",
        attributes=dict(attributes, capture_period_s=5),
    )  # fmt: skip
    async with head.running():
        gateway.publish(Kind.EVENTS, events.to_payload(EventList((event,)), EPOCH, 1))
        await gateway.receipt()
    (meter,) = head.rows(registry.Meter)
    assert (meter.model, meter.firmware, meter.capture_period_s) == ("HSP3", "1.4.2", 5)
    assert meter.logical_device_name == "HSP0000000000001"


async def test_results_are_kept_octet_for_octet(head: Head, gateway: GatewayEnd) -> None:
    result = CommandResult(
        command_id="c-1", gateway="gw-1", meter="M1", state="confirmed", at=datetime.now(UTC)
    )
    payload = results.to_payload(result, GATEWAY_KEY, EPOCH, 1)
    async with head.running():
        gateway.publish(Kind.RESULTS, payload)
        assert (await gateway.receipt()).digest == batch.digest(payload)
    (row,) = head.rows(registry.Result)
    assert (row.command_id, row.gateway, row.payload, row.verified) == (
        "c-1", "gw-1", payload, None
    )  # fmt: skip


async def test_status_becomes_the_gateways_row_and_an_old_will_is_passed_over(
    head: Head, gateway: GatewayEnd
) -> None:
    def told(boot: str, state: status.Presence, minute: int, backlog: int = 0) -> bytes:
        started = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
        return status.to_payload(
            status.GatewayStatus(
                gateway="gw-1", boot_id=boot, state=state, sent_at=started, started_at=started,
                backlog_batches=backlog, meters_total=9, outbox_percent=3,
            )
        )  # fmt: skip

    def row() -> Any:
        return next(iter(head.rows(registry.Gateway)), None)

    gateway.publish(Kind.STATUS, told("b1", "online", 1, backlog=4), retain=True)
    async with head.running():
        await head.until(lambda: row() is not None and row().backlog == 4)
        assert (row().state, row().meters_total, row().outbox_percent) == ("online", 9, 3)
        gateway.publish(Kind.STATUS, told("b2", "online", 2, backlog=5))
        await head.until(lambda: row().backlog == 5)
        gateway.publish(Kind.STATUS, told("b1", "offline", 1))
        gateway.publish(Kind.STATUS, told("b2", "online", 2, backlog=6))
        await head.until(lambda: row().backlog == 6)
        assert row().state == "online"
        gateway.publish(Kind.STATUS, told("b2", "offline", 2))
        await head.until(lambda: row().state == "offline")


async def test_the_consumer_announces_itself_and_says_goodbye(
    head: Head, gateway: GatewayEnd
) -> None:
    async with head.running():
        found = await gateway.announced()
        assert (found.role, found.state) == ("ingest", "online")
    assert (await gateway.announced()).state == "offline"


async def test_it_carries_on_after_the_broker_was_killed_and_wiped(
    head: Head, broker: Any, gateway: GatewayEnd
) -> None:
    async with head.running() as ingest:
        broker.kill()
        await head.until(lambda: not ingest.consumer.announced.is_set())
        broker.wipe()
        broker.start()
        await head.until(ingest.consumer.announced.is_set)
        end = GatewayEnd(broker.port)
        end.publish(Kind.READINGS, sealed(1, {"M1": [(now(), 10)]}))
        assert (await end.receipt()).verdict == "stored"
        end.close()

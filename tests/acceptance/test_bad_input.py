"""What strangers and broken gateways may send to a running system, and what it makes of it.

The sender has real accounts of the broker, one after another: nothing here is stopped by the access
rules alone. Each piece of bad input must end as a counted dead letter or a clear refusal; at the
end every process still lives and every value is accounted for.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hesper_cloud import keys
from hesper_cloud.settings import Settings
from hesper_contracts import batch, commands, readings, receipts
from hesper_contracts.commands import Command
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.topics import Topics

pytestmark = pytest.mark.acceptance
LAN, RS485, PUSH = GATEWAYS = ("gw-lan", "gw-rs485", "gw-push")
BODY_START = HEADER_LENGTH + 1 + 16 + 64  # behind the length of the key id, the id, the signature
EPOCH = "00112233445566ff"
ENERGY, ENERGY_NAME = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30), "1.0.1.8.0.255"
GARBAGE = {
    "nothing": b"",
    "zeros": bytes(64),
    "noise": bytes(range(256)) * 8,
    "text": "überhaupt nicht".encode(),
    "json of nothing": b"{}",
    "json cut off": b'{"kind":"readings","version":1,"readings":[{"meter":',
    "json of wrong types": b'{"kind":"readings","version":1,"readings":[{"meter":7}]}',
    "deep json": b'{"kind":' + b"[" * 100_000,
    "not utf-8": b'{"kind":"\xff\xfe"}',
    "unknown kind": b"H?1j{}",
    "version of tomorrow": b"HR9z" + bytes(40),
    "unknown encoding": b"HR1?" + bytes(40),
    "header alone": b"HR1z",
    "empty signature": b"HC1s",
    "another kind": b"HS1j{}",
}
AnyAccount = Callable[..., Any]


def test_garbage_on_every_topic_that_an_account_may_write(
    hesper: Any, account_of: AnyAccount, topics: Topics
) -> None:
    stored = (Kind.READINGS, Kind.EVENTS, Kind.RESULTS, Kind.STATUS)
    sent = []
    for gateway in GATEWAYS:
        with account_of(gateway) as stranger:
            for kind in (*stored, Kind.REQUESTS, Kind.TUNNEL, "nonsense"):
                topic = f"{topics.root}/{gateway}/up/{kind}"
                for payload in GARBAGE.values():
                    stranger.send(topic, payload, retain=kind is Kind.STATUS)
                    if kind in stored and not (kind is Kind.STATUS and payload == b""):
                        sent.append((topic, hashlib.sha256(payload).hexdigest()))
    with account_of("hes.ingest") as stranger:
        for payload in GARBAGE.values():
            stranger.send(f"{topics.root}/cloud/ingest/stranger/status", payload, retain=True)
            for gateway in GATEWAYS:
                stranger.send(topics.down(gateway, Kind.RECEIPTS), payload, retain=True)
    with account_of("hes.authority") as stranger:
        for payload in GARBAGE.values():
            stranger.send(f"{topics.root}/cloud/authority/stranger/status", payload)
            for gateway in GATEWAYS:
                stranger.send(topics.down(gateway, Kind.COMMANDS), payload)
                stranger.send(topics.down(gateway, Kind.ANSWERS), payload)
    hesper.eventually(lambda: hesper.dead_letters().keys() >= set(sent), "all garbage is counted")
    reasons = hesper.dead_letters()
    assert all(reasons[letter] for letter in sent)
    assert not any("unforeseen" in reason for reason in reasons.values())
    hesper.processes.check()
    hesper.wait_until_flowing()


def test_batches_that_are_too_long_cut_off_or_sent_twice(
    hesper: Any, account_of: AnyAccount, topics: Topics
) -> None:
    """A real batch is sent again whole, which does nothing, and in pieces, which are refused."""
    topic = topics.up(LAN, Kind.READINGS)
    with account_of("hes.ingest") as listener, account_of(LAN) as stranger:
        listener.subscribe(topic)
        real = hesper.eventually(lambda: listener.payloads("/readings"), "a batch of readings")[0]
        for _ in range(3):
            stranger.send(topic, real)
        for cut in (5, 19, len(real) // 2, len(real) - 1):
            stranger.send(topic, real[:cut])
            assert hesper.wait_for_dead_letter(topic, real[:cut])
        long = batch.seal(Kind.READINGS, Encoding.COLUMNS, EPOCH, 1, bytes(batch.MAX_PAYLOAD - 19))
        stranger.send(topic, long)
        assert "at most" in hesper.wait_for_dead_letter(topic, long)
    other = batch.open_(real)
    altered = other.prefix + other.body[:-1] + bytes([other.body[-1] ^ 1])
    with account_of(LAN) as stranger:
        stranger.send(topic, altered)
    reason = hesper.wait_for_dead_letter(topic, altered)
    assert reason
    hesper.processes.check()


def test_packets_beyond_the_brokers_limit_cut_off_only_their_sender(
    hesper: Any, account_of: AnyAccount, topics: Topics
) -> None:
    with account_of(LAN) as stranger:
        stranger.send_in_vain(topics.up(LAN, Kind.READINGS), bytes(6 * 1024 * 1024))
    hesper.wait_until_flowing()


def test_unknown_meters_appear_as_discovered(
    hesper: Any, account_of: AnyAccount, topics: Topics
) -> None:
    now = int(time.time())
    rows = MeterRows("XYZ00000001", [now - 6, now - 3], [0, 0], [0, 0], [[41, 42]])
    encoding, body = readings.encode([Section(LOAD_PROFILE, now, (ENERGY,), [rows])])
    plain = {
        "meter": "XYZ00000002",
        "captured_at": datetime.fromtimestamp(now, UTC).isoformat(),
        "profile": "1.0.99.1.0.255",
        "values": {ENERGY_NAME: [7, 0, 30]},
    }
    message = json.dumps({"kind": "readings", "version": 1, "readings": [plain]}).encode()
    with account_of(PUSH) as stranger:
        topic = topics.up(PUSH, Kind.READINGS)
        stranger.send(topic, batch.seal(Kind.READINGS, encoding, EPOCH, 7, body))
        stranger.send(topic, message)
    sent = [(rows.meter, now - 6, 41), (rows.meter, now - 3, 42), ("XYZ00000002", now, 7)]
    hesper.also_sent += [
        {
            "meter": meter,
            "profile": "1.0.99.1.0.255",
            "captured_at": at,
            "status": 0,
            "values": {ENERGY_NAME: value},
        }
        for meter, at, value in sent
    ]
    for meter in ("XYZ00000001", "XYZ00000002"):
        found = hesper.eventually(
            lambda meter=meter: hesper.operator.get("/meters", search=meter)["rows"],
            f"{meter} is discovered",
        )
        assert (found[0]["id"], found[0]["state"], found[0]["gateway"]) == (
            meter,
            "discovered",
            PUSH,
        )


def test_forged_altered_expired_and_replayed_commands_move_nothing(
    hesper: Any, account_of: AnyAccount, topics: Topics
) -> None:
    """The stranger has the authority's account, and has heard a real command."""
    victim = hesper.meters_of(LAN)[5]
    with account_of(LAN) as listener:
        listener.subscribe(topics.down(LAN, Kind.COMMANDS))
        for action in ("disconnect", "reconnect"):
            assert hesper.outcome(hesper.ask(victim, action)) == "confirmed"
        real = hesper.eventually(lambda: listener.payloads("/commands"), "a command")[0]
    signer = keys.command_signer(Settings.load(hesper.site.cloud / "cloud.toml").keys)
    order = commands.from_payload(real, Keyring.of(signer.public_key), LAN)
    assert order.kind == "relay.disconnect"
    before = len(hesper.records("relay"))
    with account_of("hes.authority") as stranger:
        for payload in _hostile_envelopes(real, order, signer):
            stranger.send(topics.down(LAN, Kind.COMMANDS), payload)
    told = {"gateway.command_forged", "gateway.command_refused", "gateway.command_replayed"}
    hesper.eventually(
        lambda: told <= {each["code"] for each in hesper.operator.get("/events", limit="1000")},
        "the gateway tells of forged, refused and replayed commands",
    )
    assert hesper.outcome(hesper.ask(victim, "disconnect")) == "confirmed"
    assert len(hesper.records("relay")) == before + 1
    assert hesper.outcome(hesper.ask(victim, "reconnect")) == "confirmed"


def _hostile_envelopes(real: bytes, order: Command, signer: Signer) -> list[bytes]:
    fresh = msgspec.structs.replace(order, id=secrets.token_hex(8), counter=order.counter + 500)
    past = order.not_before - timedelta(hours=2)
    expired = msgspec.structs.replace(fresh, not_before=past, not_after=past + timedelta(minutes=1))
    same_counter = msgspec.structs.replace(order, id=secrets.token_hex(8))
    elsewhere = msgspec.structs.replace(fresh, gateway=RS485)
    swapped = real.replace(b"relay.disconnect", b"relay.reconnect ")
    return [
        commands.to_payload(fresh, Signer.generate()),
        swapped,
        *(real[:at] + bytes([real[at] ^ 0x20]) + real[at + 1 :] for at in range(5, len(real), 41)),
        real[: len(real) - 1],
        real,
        real,
        commands.to_payload(expired, signer),
        commands.to_payload(same_counter, signer),
        commands.to_payload(elsewhere, signer),
    ]


def test_forged_receipts_release_nothing(
    hesper: Any, account_of: AnyAccount, topics: Topics
) -> None:
    """While the head end is dead somebody with its account promises that all is stored."""
    impostor = Signer.generate()
    with account_of("hes.ingest") as stranger, account_of(LAN) as listener:
        listener.subscribe(topics.down(LAN, Kind.RECEIPTS))
        genuine = hesper.eventually(lambda: listener.payloads("/receipts"), "a receipt")[-1]
        hesper.processes.children["cloud"].kill()
        stranger.subscribe(topics.up(LAN, Kind.READINGS))
        hesper.wait_for_latches()
        waiting = hesper.eventually(lambda: stranger.payloads("/readings"), "batches without cloud")
        for payload in waiting:
            forged = _receipt(payload, impostor)
            borrowed = genuine[:BODY_START] + forged[BODY_START:]
            for lie in (forged, borrowed, genuine[:-1], genuine):
                stranger.send(topics.down(LAN, Kind.RECEIPTS), lie)
    hesper.processes.restart("cloud")
    hesper.wait_until_well()
    hesper.wait_until_flowing()
    hesper.eventually(
        lambda: any(
            each["code"] == "gateway.forged_message"
            for each in hesper.operator.get("/events", limit="1000")
        ),
        "the gateway tells of forged receipts",
    )


def _receipt(payload: bytes, signer: Signer) -> bytes:
    sealed = batch.open_(payload)
    promise = Receipt(sealed.sequence, batch.digest(payload))
    return receipts.to_payload(ReceiptList(LAN, sealed.epoch, (promise,)), signer)


def test_wrong_credentials_are_refused_with_a_reason(hesper: Any, account_of: AnyAccount) -> None:
    for account in (LAN, "hes.ingest", "hes.authority"):
        with account_of(account, wrong="not the password") as stranger:
            assert stranger.refusal == "Not authorized"
    api = f"{hesper.site.url}/api/v1"
    for body in ({"username": "admin", "password": "no"}, {"username": "nobody", "password": "no"}):
        answer = httpx.post(f"{api}/auth/login", json=body, timeout=60.0)
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert answer.json()["detail"]
    forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {forged}"}):
        answer = httpx.get(f"{api}/meters", headers=headers, timeout=60.0)
        assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_after_all_that_every_value_is_accounted_for(hesper: Any) -> None:
    hesper.wait_until_well()
    online = {"gw-lan": "online", "gw-rs485": "online", "gw-push": "online"}
    hesper.eventually(
        lambda: online == {row["id"]: row["state"] for row in hesper.operator.get("/gateways")},
        "all gateways are online again, and no others",
    )
    hesper.reconcile()

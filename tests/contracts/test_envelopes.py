"""Everything signed or identified: what holds is read back, what was touched is refused."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hesper_contracts import batch, commands, events, receipts, requests, results, status
from hesper_contracts.commands import Command
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import Encoding, Kind, Refused, parse_header
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.results import CommandResult, RelayReading
from hesper_contracts.signing import Forged, Keyring, Signer
from hesper_contracts.topics import Address, CloudAddress, Topics, share_group

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIGNER = Signer.generate()
KEYS = Keyring.of(SIGNER.public_key)
COMMAND = Command(
    id="c1",
    kind="relay.disconnect",
    gateway="gw-1",
    meter="HES1",
    logical_device_name="HSP01",
    counter=7,
    issued_at=NOW,
    not_before=NOW,
    not_after=NOW,
    requester="ann",
    approver="bob",
    reason="vacant",
)


def test_command_round_trip() -> None:
    payload = commands.to_payload(COMMAND, SIGNER)
    assert commands.from_payload(payload, KEYS, "gw-1") == COMMAND


def test_every_altered_octet_of_a_command_is_refused() -> None:
    payload = bytearray(commands.to_payload(COMMAND, SIGNER))
    for index in range(len(payload)):
        payload[index] ^= 1
        with pytest.raises(Refused):
            commands.from_payload(bytes(payload), KEYS, "gw-1")
        payload[index] ^= 1


@pytest.mark.parametrize(
    "changes",
    [
        {"counter": 0},
        {"counter": 2**63},
        {"not_after": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))},
        {"not_after": datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=14)))},
    ],
)
def test_a_command_with_numbers_that_nobody_can_keep_is_refused(changes: dict[str, Any]) -> None:
    command = msgspec.structs.replace(COMMAND, **changes)
    with pytest.raises(Refused):
        commands.from_payload(commands.to_payload(command, SIGNER), KEYS, "gw-1")


def test_command_of_another_key_or_gateway_is_refused() -> None:
    with pytest.raises(Forged, match="unknown key"):
        commands.from_payload(commands.to_payload(COMMAND, Signer.generate()), KEYS, "gw-1")
    with pytest.raises(Refused, match="for gateway 'gw-1'"):
        commands.from_payload(commands.to_payload(COMMAND, SIGNER), KEYS, "gw-2")


def test_a_signed_body_cannot_move_to_another_kind() -> None:
    answer = requests.answer_to_payload(requests.TimeAnswer("gw-1", "00", NOW), SIGNER)
    moved = b"HK1s" + answer[4:]
    with pytest.raises(Forged, match="does not hold"):
        receipts.from_payload(moved, KEYS, "gw-1")


def test_receipts_round_trip() -> None:
    listed = ReceiptList(
        "gw-1", "ab" * 8, (Receipt(3, "00" * 32), Receipt(4, "11" * 32, "rejected", "x"))
    )
    assert receipts.from_payload(receipts.to_payload(listed, SIGNER), KEYS, "gw-1") == listed


def test_result_signature_covers_the_batch_identity() -> None:
    relay = RelayReading(output=False, control_state=0, read_at=NOW)
    result = CommandResult(
        command_id="c1", gateway="gw-1", meter="HES1", state="confirmed", at=NOW, relay_after=relay
    )
    payload = results.to_payload(result, SIGNER, "ab" * 8, 5)
    assert results.from_payload(payload, KEYS, "gw-1") == result
    assert batch.open_(payload).sequence == 5
    renumbered = payload[:19] + bytes([payload[19] ^ 1]) + payload[20:]
    with pytest.raises(Forged):
        results.from_payload(renumbered, KEYS, "gw-1")


def test_events_and_status_round_trip() -> None:
    listed = EventList((Event(id="e1", code="tamper.cover_opened", occurred_at=NOW, meter="HES1"),))
    assert events.from_payload(events.to_payload(listed, "00" * 8, 1)) == listed
    gateway = status.GatewayStatus(
        gateway="gw-1", boot_id="b", state="online", sent_at=NOW, started_at=NOW
    )
    assert status.gateway_from_payload(status.to_payload(gateway)) == gateway


def test_time_request_belongs_to_its_topic() -> None:
    payload = requests.request_to_payload(requests.TimeRequest("gw-1", "00ff"))
    assert requests.request_from_payload(payload, "gw-1").nonce == "00ff"
    with pytest.raises(Refused):
        requests.request_from_payload(payload, "gw-2")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not a Hesper payload"),
        (b"\x00\x01\x02\x03", "not a Hesper payload"),
        (b"HZ1j{}", "unknown kind"),
        (b"HR2z", "schema version"),
        (b"HR1q", "unknown encoding"),
    ],
)
def test_unknown_headers_are_refused_with_a_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse_header(payload)


def test_batch_identity_vector() -> None:
    payload = batch.seal(Kind.EVENTS, Encoding.JSON, "0123456789abcdef", 258, b"{}")
    assert payload.hex() == "4845316a0123456789abcdef00000000000001027b7d"
    assert batch.digest(payload) == DIGEST


def test_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    SIGNER.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Signer.load(path).key_id == SIGNER.key_id
    with pytest.raises(FileExistsError):
        SIGNER.save(path)
    assert path.read_text().strip() not in repr(SIGNER)


def test_topics() -> None:
    topics = Topics()
    assert topics.up("gw-1", Kind.READINGS) == "hesper/v1/gw-1/up/readings"
    assert topics.shared("ingest", Kind.EVENTS) == "$share/ingest/hesper/v1/+/up/events"
    assert topics.parse("hesper/v1/gw-1/down/commands") == Address("gw-1", "down", Kind.COMMANDS)
    assert topics.parse("hesper/v1/cloud/ingest/a/status") == CloudAddress("ingest", "a")


def test_a_share_group_cannot_be_guessed_without_the_password() -> None:
    assert share_group("ingest", None) == "ingest"
    assert share_group("ingest", "a") == share_group("ingest", "a")
    groups = {share_group(role, password) for role in ("ingest", "authority") for password in "ab"}
    assert len(groups) == 4
    assert all(len(group) > len("ingest-") + 31 for group in groups)


@pytest.mark.parametrize(
    "topic",
    ["hesper/v1/GW/up/readings", "hesper/v1/cloud/up/readings", "x", "hesper/v1/a/up/commands"],
)
def test_topics_outside_the_contract_are_refused(topic: str) -> None:
    with pytest.raises(Refused):
        Topics().parse(topic)


DIGEST = "1fcb8b32461c811a855591924b450d26185cb4674fcf9e3bc2b5f0c3d3fa859a"

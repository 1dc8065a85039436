"""Writes recorded.json: what a gateway and a head end of one version say to each other.

Run it with the version that is behind, whenever the contract is about to change:

    git archive TAG contracts | tar -x -C /tmp/behind
    PYTHONPATH=/tmp/behind/contracts python tests/cloud/upgrade/record.py TAG
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hesper_contracts import (
    again,
    batch,
    commands,
    events,
    readings,
    receipts,
    requests,
    results,
    status,
)
from hesper_contracts.again import SendAgain
from hesper_contracts.commands import Command
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import Kind
from hesper_contracts.readings import MeterRows, Quantity, Section
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.requests import TimeAnswer, TimeRequest
from hesper_contracts.results import CommandResult, RelayReading
from hesper_contracts.signing import Signer
from hesper_contracts.status import CloudStatus, GatewayStatus

GATEWAY, METER, EPOCH = "gw-behind", "HES12642984", "0123456789abcdef"
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
FIRST = int(AT.timestamp())
CLOUD, GATEWAYS_OWN = (
    Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(first, first + 32))))
    for first in (0, 32)
)
COMMAND = "0f2c9d0e-6f0b-4a58-8d7e-0a1b2c3d4e5f"
WHERE = Path(__file__).with_name("recorded.json")


def section() -> Section:
    """Returns four readings."""
    at, none = [FIRST + 900 * number for number in range(4)], [0] * 4
    energy = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
    rows = MeterRows(METER, at, none, none, [[10, 20, 30, 40]])
    return Section(readings.LOAD_PROFILE, at[-1], (energy,), [rows])


def up() -> dict[Kind, bytes]:
    """Returns what the gateway says, by kind."""
    encoding, body = readings.encode([section()])
    event = Event(id="e-1", code="meter.unreachable", occurred_at=AT, meter=METER)
    result = CommandResult(
        command_id=COMMAND, gateway=GATEWAY, meter=METER, state="confirmed", at=AT,
        relay_after=RelayReading(False, 0, AT),
    )  # fmt: skip
    told = GatewayStatus(
        gateway=GATEWAY, boot_id="b", state="online", sent_at=AT, started_at=AT, version="0.1.0",
        backlog_batches=2, meters_total=3, meters_reachable=2, failures={"timeout": 1},
    )  # fmt: skip
    return {
        Kind.READINGS: batch.seal(Kind.READINGS, encoding, EPOCH, 1, body),
        Kind.EVENTS: events.to_payload(EventList((event,)), EPOCH, 2),
        Kind.RESULTS: results.to_payload(result, GATEWAYS_OWN, EPOCH, 3),
        Kind.STATUS: status.to_payload(told),
        Kind.REQUESTS: requests.request_to_payload(TimeRequest(gateway=GATEWAY, nonce="ab" * 16)),
    }


def down() -> dict[str, bytes]:
    """Returns what the head end says, by kind."""
    order = Command(
        id=COMMAND, kind="relay.disconnect", gateway=GATEWAY, meter=METER,
        logical_device_name="HSP0012642984000", counter=7, issued_at=AT, not_before=AT,
        not_after=AT, requester="ann", approver="ben", reason="unpaid", parameters={},
    )  # fmt: skip
    receipt = Receipt(1, "ab" * 32, "stored", "")
    online = CloudStatus(role="ingest", instance="main", state="online", started_at=AT)
    answer = TimeAnswer(gateway=GATEWAY, nonce="ab" * 16, time=AT)
    return {
        Kind.COMMANDS: commands.to_payload(order, CLOUD),
        Kind.RECEIPTS: receipts.to_payload(ReceiptList(GATEWAY, EPOCH, (receipt,)), CLOUD),
        Kind.AGAIN: again.to_payload(SendAgain(GATEWAY, EPOCH, 5), CLOUD),
        Kind.ANSWERS: requests.answer_to_payload(answer, CLOUD),
        "cloud status": status.to_payload(online),
    }


def main() -> None:
    """Writes the file beside this one."""
    recorded = {
        "version": sys.argv[1],
        "up": {str(kind): payload.hex() for kind, payload in up().items()},
        "down": {str(kind): payload.hex() for kind, payload in down().items()},
    }
    WHERE.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What docs/mqtt-api.md shows of events, status and requests is what the contract reads."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hesper_contracts import events, requests, status
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import HEADER_LENGTH, Refused
from hesper_contracts.requests import TimeRequest
from hesper_contracts.status import CloudStatus, GatewayStatus

DOCUMENT = Path(__file__).parents[2] / "docs" / "mqtt-api.md"


def shown(begin: str) -> bytes:
    """Return the one line of the document that begins so."""
    (line,) = [each for each in DOCUMENT.read_text().splitlines() if each.startswith(begin)]
    return line.encode()


def test_events_are_as_the_document_shows_them() -> None:
    identity, _, body = shown("4845316a 0123456789abcdef 0000000000000103 ").partition(b"{")
    event = Event(
        id="HES00000001/1790000000/power.down",
        code="power.down",
        occurred_at=datetime.fromtimestamp(1_790_000_000, UTC),
        meter="HES00000001",
    )
    payload = bytes.fromhex(identity.decode()) + b"{" + body
    assert events.from_payload(payload) == EventList((event,))


def test_a_status_is_as_the_document_shows_it() -> None:
    at = datetime(2026, 9, 21, 14, tzinfo=UTC)
    started_at = at.replace(hour=13)
    payload = shown('HS1j{"gateway"')
    assert status.gateway_from_payload(payload) == GatewayStatus(
        gateway="gw-1", boot_id="5f0c2a91", state="online", sent_at=at, started_at=started_at
    )
    assert status.cloud_from_payload(shown('HS1j{"role"')) == CloudStatus(
        role="ingest", instance="main", state="online", started_at=at.replace(hour=12)
    )


@pytest.mark.parametrize("name", ["gateway", "boot_id", "state", "sent_at", "started_at"])
def test_a_status_needs_what_the_document_says(name: str) -> None:
    payload = shown('HS1j{"gateway"')
    told = msgspec.json.decode(payload[HEADER_LENGTH:])
    del told[name]
    with pytest.raises(Refused, match=name):
        status.gateway_from_payload(payload[:HEADER_LENGTH] + msgspec.json.encode(told))


def test_the_time_is_asked_for_as_the_document_shows_it() -> None:
    payload = shown('HQ1j{"ask":"time"')
    request = TimeRequest("gw-1", "00112233445566778899aabbccddeeff")
    assert requests.request_from_payload(payload, "gw-1") == request
    assert requests.request_to_payload(request) == payload

"""Firmware commands are bound to one image by its SHA-256, and are as docs/mqtt-api.md has them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hesper_contracts import jsonbody, parameters
from hesper_contracts.commands import Command
from hesper_contracts.firmware import ActivateFirmware, TransferFirmware
from hesper_contracts.frame import Refused

DOCUMENT = Path(__file__).parents[2] / "docs" / "mqtt-api.md"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IMAGE = {"identifier": "HSP-FW 1.5.0", "size": 262144, "not_after": "2026-06-30T00:00:00Z"}
COMMAND = Command(
    id="c3",
    kind="firmware.transfer",
    gateway="gw-1",
    meter="HES1",
    logical_device_name="HSP01",
    counter=9,
    issued_at=NOON,
    not_before=NOON,
    not_after=NOON + timedelta(days=7),
    requester="ann",
    approver="bob",
    reason="release 1.5",
    parameters=IMAGE | {"hardware": "HSP-3", "minimum_version": "HSP-FW 1.4.0"},
    image_hash="ab" * 32,
)


def test_the_body_is_that_of_the_document() -> None:
    assert jsonbody.encode(COMMAND).decode() in DOCUMENT.read_text().splitlines()
    transfer = parameters.of(COMMAND)
    assert isinstance(transfer, TransferFirmware)
    assert (transfer.hardware, transfer.signature) == ("HSP-3", None)


@pytest.mark.parametrize("image_hash", [None, "", "ab" * 31, "AB" * 32, "ab" * 32 + "\n"])
@pytest.mark.parametrize("kind", ["firmware.transfer", "firmware.activate"])
def test_without_the_hash_of_an_image_it_is_refused(kind: Any, image_hash: str | None) -> None:
    command = msgspec.structs.replace(COMMAND, kind=kind, image_hash=image_hash)
    with pytest.raises(Refused, match="SHA-256"):
        parameters.of(command)


@pytest.mark.parametrize(
    "change", [{"size": 0}, {"identifier": ""}, {"signature": "abc"}, {"not_after": None}]
)
def test_what_names_no_image_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        parameters.of(msgspec.structs.replace(COMMAND, parameters=IMAGE | change))


def test_an_activation_says_the_version_that_is_to_come() -> None:
    given = {"version": "HSP-FW 1.5.0", "not_after": IMAGE["not_after"], "at": None}
    command = msgspec.structs.replace(COMMAND, kind="firmware.activate", parameters=given)
    assert isinstance(parameters.of(command), ActivateFirmware)

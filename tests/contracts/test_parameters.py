"""Commands other than a relay's: byte-exact with docs/mqtt-api.md, parameters typed by kind."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hesper_contracts import jsonbody, parameters
from hesper_contracts.commands import Command
from hesper_contracts.conversation import (
    LINE_MAX,
    OCTETS_MAX,
    TEXT_MAX,
    UTTERANCES_MAX,
    Conversation,
    Utterance,
)
from hesper_contracts.frame import Refused
from hesper_contracts.parameters import Nothing, ReadEventLog, ReadProfile, ReadRegisters
from hesper_contracts.results import ClockReading, CommandResult, Findings, without_conversation

DOCUMENT = Path(__file__).parents[2] / "docs" / "mqtt-api.md"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMAND = Command(
    id="c2",
    kind="read.registers",
    gateway="gw-1",
    meter="HES1",
    logical_device_name="HSP01",
    counter=8,
    issued_at=NOON,
    not_before=NOON,
    not_after=NOON + timedelta(minutes=1),
    requester="ann",
    approver=None,
    reason="complaint",
    parameters={"logical_names": ["1.0.1.8.0.255", "1.0.2.8.0.255"]},
)
RESULT = CommandResult(
    command_id="c2",
    gateway="gw-1",
    meter="HES1",
    state="confirmed",
    at=NOON,
    registers={"1.0.1.8.0.255": (5000, 0, 30)},
    findings=Findings(
        clock=ClockReading(NOON + timedelta(seconds=2), 2000), missing=("1.0.2.8.0.255",)
    ),
)
TOLD = CommandResult(
    command_id="c4",
    gateway="gw-1",
    meter="HES1",
    state="failed",
    at=NOON + timedelta(seconds=5),
    detail="no answer",
    findings=Findings(
        conversation=Conversation(
            utterances=(
                Utterance(at=NOON, what="note", says=("the line is open",)),
                Utterance(
                    at=NOON,
                    what="sent",
                    octets="7ea00a00020023219318717e",
                    octet_count=12,
                    says=(
                        "HDLC SNRM to 00020023 from 21, control 93, FCS right",
                        "  max_transmit: 128",
                        "  max_receive: 128",
                        "  window_transmit: 1",
                        "  window_receive: 1",
                    ),
                ),
                Utterance(
                    at=NOON + timedelta(seconds=5), what="note", says=("nothing arrived for 5 s",)
                ),
            ),
            utterance_count=3,
            octets_sent=12,
            octets_received=0,
        )
    ),
)
RANGE = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}


@pytest.mark.parametrize("record", [COMMAND, RESULT, TOLD], ids=["command", "result", "told"])
def test_bodies_are_those_of_the_document(record: Any) -> None:
    octets = jsonbody.encode(record)
    assert octets.decode() in DOCUMENT.read_text().splitlines()
    assert jsonbody.decode(octets, type(record)) == record


def test_results_of_relay_commands_have_no_findings() -> None:
    result = CommandResult(command_id="c1", gateway="g", meter="m", state="confirmed", at=NOON)
    assert b"findings" not in jsonbody.encode(result)


@pytest.mark.parametrize(
    ("kind", "given", "typed"),
    [
        ("ping", {}, Nothing),
        ("relay.disconnect", {}, Nothing),
        ("read.registers", COMMAND.parameters, ReadRegisters),
        ("read.profile", {"profile": "1.0.99.1.0.255", **RANGE}, ReadProfile),
        ("read.event_log", {"log": "fraud", **RANGE}, ReadEventLog),
    ],
)
def test_parameters_are_typed_by_kind(kind: Any, given: dict[str, Any], typed: type) -> None:
    command = msgspec.structs.replace(COMMAND, kind=kind, parameters=given)
    assert isinstance(parameters.of(command), typed)
    spoilt = msgspec.structs.replace(command, parameters=given | {"more": 1})
    with pytest.raises(Refused, match="more"):
        parameters.of(spoilt)


def test_times_without_a_zone_are_refused() -> None:
    given = {"profile": "1.0.99.1.0.255", "since": "2026-03-01T00:00:00", "until": RANGE["until"]}
    command = msgspec.structs.replace(COMMAND, kind="read.profile", parameters=given)
    with pytest.raises(Refused, match="timezone"):
        parameters.of(command)


def conversation(*utterances: dict[str, Any]) -> bytes:
    said = [{"at": "2026-03-01T12:00:00Z", "what": "sent"} | each for each in utterances]
    counts = {"utterance_count": len(said), "octets_sent": 0, "octets_received": 0}
    return jsonbody.encode({"utterances": said} | counts)


LINE = "x" * LINE_MAX


@pytest.mark.parametrize(
    "utterances",
    [
        [{}] * (UTTERANCES_MAX + 1),
        [{"octets": "00" * (OCTETS_MAX + 1)}],
        [{"octets": "00" * (OCTETS_MAX // 2 + 1)}] * 2,
        [{"says": [LINE + "x"]}],
        [{"says": [LINE] * (TEXT_MAX // LINE_MAX + 1)}],
        [{"octets": "0G"}],
        [{"octets": "***"}],
        [{"what": "guessed"}],
        [{"octet_count": -1}],
    ],
)
def test_a_conversation_beyond_its_bounds_is_refused(utterances: list[dict[str, Any]]) -> None:
    with pytest.raises(Refused):
        jsonbody.decode(conversation(*utterances), Conversation)


def test_a_conversation_may_fill_its_bounds() -> None:
    half = {"octets": "**" * (OCTETS_MAX // 2), "says": [LINE] * (TEXT_MAX // LINE_MAX // 2)}
    found = jsonbody.decode(conversation(half, half, *[{}] * (UTTERANCES_MAX - 2)), Conversation)
    assert len(found.utterances) == UTTERANCES_MAX


def test_who_need_not_repeat_a_conversation_keeps_the_rest() -> None:
    kept = without_conversation(TOLD)
    assert kept == msgspec.structs.replace(TOLD, findings=Findings())
    assert without_conversation(RESULT) is RESULT

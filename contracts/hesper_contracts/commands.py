"""Command envelopes: what the authority signs and a gateway obeys, and nothing else.

The signature covers the exact body octets, with the key id, under the commands header.
"""

from typing import Annotated, Any, Literal

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.signing import Keyring, Signer

CommandKind = Literal[
    "relay.disconnect",
    "relay.reconnect",
    "relay.arm",
    "relay.read",
    "ping",
    "read.registers",
    "read.profile",
    "read.event_log",
    "read.conversation",
    "clock.sync",
    "tariff.special_days",
    "tariff.calendar",
    "limiter.write",
    "keys.change",
    "firmware.transfer",
    "firmware.activate",
    "tunnel.open",
    "gateway.restart",
    "gateway.configure",
    "gateway.update",
]
Counter = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instruction for one meter behind one gateway, valid in a window of time.

    What is for the gateway itself names no meter: ``meter`` is empty, there is no device name.

    ``counter`` is unique per gateway and grows; the gateway keeps a replay window over it.
    ``logical_device_name`` is what the meter must answer before anything is written to it.
    ``parameters`` are what `parameters` has for the kind; relay commands take none. ``image_hash``
    is the SHA-256 of the firmware image that a firmware command is about.
    """

    id: str
    kind: CommandKind
    gateway: str
    meter: str
    logical_device_name: str | None
    counter: Counter
    issued_at: UtcTime
    not_before: UtcTime
    not_after: UtcTime
    requester: str
    approver: str | None
    reason: str
    parameters: dict[str, Any] = {}
    image_hash: str | None = None

    def __post_init__(self) -> None:
        if is_for_gateway(self.kind) is not (self.meter == ""):
            raise ValueError(f"{self.kind} is for a {'gateway' if self.meter else 'meter'}")


def is_for_gateway(kind: str) -> bool:
    """Return whether a kind of command is for a gateway itself, so that it names no meter."""
    return kind.startswith("gateway.")


def to_payload(command: Command, signer: Signer) -> bytes:
    """Return the signed payload for ``down/commands``."""
    return signer.sign(header(Kind.COMMANDS, Encoding.SIGNED_JSON), jsonbody.encode(command))


def from_payload(payload: bytes, keys: Keyring, gateway: str) -> Command:
    """Return a command whose signature holds and that is meant for this gateway.

    Times, counter and ceilings are the gateway's to check, in that order, after this.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's command.
        Forged: not signed by a trusted command key.
    """
    expect(payload, Kind.COMMANDS, Encoding.SIGNED_JSON)
    body = keys.verify(payload[:HEADER_LENGTH], payload[HEADER_LENGTH:])
    return jsonbody.addressed_to(jsonbody.decode(body, Command), gateway)

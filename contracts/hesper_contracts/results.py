"""Command results: what a gateway did, signed with its own key, sent through its outbox."""

from typing import Literal

import msgspec

from hesper_contracts import batch, jsonbody
from hesper_contracts.conversation import Conversation
from hesper_contracts.frame import Encoding, Kind, expect
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.signing import Keyring, Signer

ResultState = Literal[
    "acknowledged", "executing", "confirmed", "failed", "rejected", "expired", "unknown"
]


KeysAtMeter = Literal["old", "new", "either"]
"""``new``: proven by an association, the old ones are dropped; ``old``: it has kept the old ones;
``either``: not known yet, the gateway keeps both and tries both."""


READY_FOR_RECONNECTION = 2
"""control_state of a meter that waits for a push of its button (class 70, attribute 3)."""


class RelayReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A relay as its meter reports it (IEC 62056-6-2, class 70, attributes 2 and 3).

    ``output`` is true when the supply is connected; ``control_state`` is 0 disconnected,
    1 connected, 2 ready for reconnection.
    """

    output: bool
    control_state: int
    read_at: UtcTime


class ClockReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A meter's clock (class 8, attribute 2): its time, and meter minus gateway in milliseconds."""

    meter_time: UtcTime
    drift_ms: int


class ImageFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far an image is at its meter: image_transfer_status as last read (class 18).

    ``block_count`` counts the meter's blocks of the whole image, ``sent_count`` what this run sent.
    """

    status: int
    block_count: int = 0
    sent_count: int = 0


class TunnelFinding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What went through a transparent tunnel, in octets, and what ended it."""

    octets_up: int
    octets_down: int
    ended_by: str


class Findings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a command other than a relay's has found; what it says nothing of is left out.

    Attributes:
        logical_device_name: What the meter answered.
        clock: Its clock as it was found.
        clock_after: The clock as it was left.
        row_count: Rows of a profile that were read and stored in the gateway's outbox.
        event_count: Events of a log, likewise.
        first_at: The oldest of them, by the meter.
        last_at: The newest of them.
        missing: Dotted logical names that the meter has no number for.
        image: How far a firmware image came.
        firmware: The active firmware identifier as it was found.
        firmware_after: The same as read back after an activation.
        keys: Which keys the meter has after a change of keys.
        tunnel: What went through a tunnel.
        started_at: When the gateway's program began, told after a restart.
        configuration: SHA-256 (hex) of the gateway.toml that is in force.
        conversation: What passed between gateway and meter; also of one that did not answer.
    """

    logical_device_name: str = ""
    clock: ClockReading | None = None
    clock_after: ClockReading | None = None
    row_count: int = 0
    event_count: int = 0
    first_at: UtcTime | None = None
    last_at: UtcTime | None = None
    missing: tuple[str, ...] = ()
    image: ImageFinding | None = None
    firmware: str = ""
    firmware_after: str = ""
    keys: KeysAtMeter | None = None
    tunnel: TunnelFinding | None = None
    started_at: UtcTime | None = None
    configuration: str = ""
    conversation: Conversation | None = None


class CommandResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step or the outcome of one command.

    ``registers`` is the snapshot at the cut, or what was asked for: logical name → (value, scaler,
    unit). ``findings`` is absent from the results of relay commands.
    """

    command_id: str
    gateway: str
    meter: str
    state: ResultState
    at: UtcTime
    detail: str = ""
    relay_before: RelayReading | None = None
    relay_after: RelayReading | None = None
    registers: dict[str, tuple[int, int, int]] = {}
    findings: Findings | msgspec.UnsetType = msgspec.UNSET


class Named(msgspec.Struct, frozen=True):
    """What a result says it is about, whoever signed it."""

    command_id: str
    state: str = ""


_SIGNATURE_LENGTH = 64


def named(payload: bytes) -> Named:
    """Return which command a result claims to be about, unverified.

    Raises:
        Refused: no results batch, or none that names a command.
    """
    expect(payload, Kind.RESULTS, Encoding.SIGNED_JSON)
    return jsonbody.decode(_body(payload), Named)


def _body(payload: bytes) -> bytes:
    section = batch.open_(payload).body
    return section[1 + (section[0] if section else 0) + _SIGNATURE_LENGTH :]


def to_payload(result: CommandResult, signer: Signer, epoch: str, sequence: int) -> bytes:
    """Return the signed payload of a results batch, which holds one result."""
    prefix = batch.prefix(Kind.RESULTS, Encoding.SIGNED_JSON, epoch, sequence)
    return signer.sign(prefix, jsonbody.encode(result))


def opened(payload: bytes) -> CommandResult:
    """Return a result whose signature whoever stored it has checked; it is not checked here.

    Raises:
        Refused: another kind or version, or a malformed body.
    """
    expect(payload, Kind.RESULTS, Encoding.SIGNED_JSON)
    return jsonbody.decode(_body(payload), CommandResult)


def without_conversation(result: CommandResult) -> CommandResult:
    """Return a result as those keep it who need not repeat what was said on the line."""
    found = result.findings
    if isinstance(found, msgspec.UnsetType) or found.conversation is None:
        return result
    return msgspec.structs.replace(
        result, findings=msgspec.structs.replace(found, conversation=None)
    )


def from_payload(payload: bytes, keys: Keyring, gateway: str) -> CommandResult:
    """Return a result whose signature holds and that comes from this gateway.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's result.
        Forged: not signed by this gateway's key.
    """
    expect(payload, Kind.RESULTS, Encoding.SIGNED_JSON)
    sealed = batch.open_(payload)
    body = keys.verify(sealed.prefix, sealed.body)
    return jsonbody.addressed_to(jsonbody.decode(body, CommandResult), gateway)

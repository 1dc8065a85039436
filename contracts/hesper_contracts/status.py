"""Retained status of gateways and cloud roles, with a last will that says offline."""

from typing import Annotated, Literal

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.jsonbody import UtcTime

Presence = Literal["online", "offline"]


class ModemStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one of a gateway's modems is; ``registration`` is empty while it does not answer."""

    name: str
    registration: str = ""
    operator: str = ""
    signal_dbm: int | None = None


class LineUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway's meters have used of their lines since midnight UTC.

    ``cost_micros`` is in millionths of the currency of the gateway's prices.
    """

    octets_sent: int = 0
    octets_received: int = 0
    call_s: int = 0
    calls: int = 0
    messages: int = 0
    cost_micros: int = 0


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway is; ``boot_id`` is random per start of the agent.

    ``command_counter`` is the highest command counter it accepted, so that an authority restored
    from a backup can skip past it. The last will carries state, boot id and nothing newer.
    ``failures`` counts failed attempts since the start by the hop where they stopped.
    ``certificate_expires_at`` is of the certificate that it shows the broker; None without one.
    ``storage_full`` says that its disk is: readings wait in the meters until there is room.
    ``storage_failing`` says that its disk, read-only or broken, takes no writes: neither readings
    nor commands are taken any more.
    ``pushes_dropped`` counts since the start what meters pushed and was not stored.
    """

    gateway: str
    boot_id: str
    state: Presence
    sent_at: UtcTime
    started_at: UtcTime
    version: str = ""
    backlog_batches: int = 0
    oldest_unreceipted_at: UtcTime | None = None
    meters_total: int = 0
    meters_reachable: int = 0
    command_counter: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    clock_offset_ms: int | None = None
    outbox_percent: int = 0
    modems: tuple[ModemStatus, ...] = ()
    line_use: LineUse | None = None
    failures: dict[str, int] = {}
    certificate_expires_at: UtcTime | None = None
    storage_full: bool = False
    storage_failing: bool = False
    pushes_dropped: int = 0


class CloudStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A cloud role that comes or goes; gateways resend at once when one comes."""

    role: str
    instance: str
    state: Presence
    started_at: UtcTime


def to_payload(status: GatewayStatus | CloudStatus) -> bytes:
    """Return the payload of a status message, published retained."""
    return header(Kind.STATUS, Encoding.JSON) + jsonbody.encode(status)


def gateway_from_payload(payload: bytes) -> GatewayStatus:
    """Return a gateway's status.

    Raises:
        Refused: another kind or version, or a malformed body.
    """
    expect(payload, Kind.STATUS, Encoding.JSON)
    return jsonbody.decode(payload[HEADER_LENGTH:], GatewayStatus)


def cloud_from_payload(payload: bytes) -> CloudStatus:
    """Return a cloud role's status.

    Raises:
        Refused: another kind or version, or a malformed body.
    """
    expect(payload, Kind.STATUS, Encoding.JSON)
    return jsonbody.decode(payload[HEADER_LENGTH:], CloudStatus)

"""What commands other than a relay's are told, by kind; the authority and the gateway check it.

Times are those of the meter's own rows and both ends belong to the range.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from hesper_contracts import firmware, jsonbody
from hesper_contracts.calendars import WriteCalendar
from hesper_contracts.commands import Command
from hesper_contracts.firmware import ActivateFirmware, TransferFirmware, UpdateGateway
from hesper_contracts.frame import Refused
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.limits import WriteLimiter
from hesper_contracts.manifest import HASH_PATTERN
from hesper_contracts.new_keys import BOX_MAX
from hesper_contracts.tunnel import OpenTunnel

_OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
LogicalName = Annotated[str, msgspec.Meta(pattern=rf"^{_OCTET}(\.{_OCTET}){{5}}$")]
EventLogName = Literal["standard", "fraud", "disconnector", "power_quality", "communication"]
REGISTERS_MAX = 64
CONVERSATION_REGISTERS_MAX = 16
STEP_MAX_S = 86_400
SPECIAL_DAYS_MAX = 128
CONFIGURATION_MAX = 256 * 1024
_LEAP_YEAR = 2024


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The kind takes no parameters."""


class ReadRegisters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which registers to read as they stand."""

    logical_names: Annotated[
        tuple[LogicalName, ...], msgspec.Meta(min_length=1, max_length=REGISTERS_MAX)
    ]


class ReadProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows of a profile to read again."""

    profile: LogicalName
    since: UtcTime
    until: UtcTime

    def __post_init__(self) -> None:
        _check_range(self.since, self.until)


class ReadEventLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows of an event log to read again."""

    log: EventLogName
    since: UtcTime
    until: UtcTime

    def __post_init__(self) -> None:
        _check_range(self.since, self.until)


class ReadConversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which registers to ask for, after clock and name, in a conversation that is recorded."""

    logical_names: Annotated[
        tuple[LogicalName, ...], msgspec.Meta(max_length=CONVERSATION_REGISTERS_MAX)
    ] = ()


class SyncClock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set the clock; how large a step may be, in seconds."""

    max_step_s: Annotated[int, msgspec.Meta(ge=1, le=STEP_MAX_S)] = 60


class SpecialDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A date and the day profile that counts on it; without a year it comes every year."""

    month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    day: Annotated[int, msgspec.Meta(ge=1, le=31)]
    day_id: Annotated[int, msgspec.Meta(ge=0, le=255)]
    year: Annotated[int, msgspec.Meta(ge=2000, le=2099)] | None = None

    def __post_init__(self) -> None:
        date(self.year or _LEAP_YEAR, self.month, self.day)


class WriteSpecialDays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table of special days, which replaces the meter's."""

    days: Annotated[tuple[SpecialDay, ...], msgspec.Meta(max_length=SPECIAL_DAYS_MAX)]


class ChangeKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New keys, sealed for this gateway and this command (see `new_keys`); base64 in JSON."""

    sealed: Annotated[bytes, msgspec.Meta(min_length=1, max_length=BOX_MAX)]


class ConfigureGateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole text of gateway.toml, which replaces the gateway's."""

    toml: Annotated[str, msgspec.Meta(min_length=1, max_length=CONFIGURATION_MAX)]


Parameters = (
    Nothing
    | ReadRegisters
    | ReadProfile
    | ReadEventLog
    | ReadConversation
    | SyncClock
    | WriteSpecialDays
    | WriteCalendar
    | WriteLimiter
    | ChangeKeys
    | TransferFirmware
    | ActivateFirmware
    | OpenTunnel
    | ConfigureGateway
    | UpdateGateway
)

_OF_KIND: dict[str, type[Parameters]] = {
    "read.registers": ReadRegisters,
    "read.profile": ReadProfile,
    "read.event_log": ReadEventLog,
    "read.conversation": ReadConversation,
    "clock.sync": SyncClock,
    "tariff.special_days": WriteSpecialDays,
    "tariff.calendar": WriteCalendar,
    "limiter.write": WriteLimiter,
    "keys.change": ChangeKeys,
    "firmware.transfer": TransferFirmware,
    "firmware.activate": ActivateFirmware,
    "tunnel.open": OpenTunnel,
    "gateway.configure": ConfigureGateway,
    "gateway.update": UpdateGateway,
}


def of(command: Command) -> Parameters:
    """Return a command's parameters, typed.

    Raises:
        Refused: they are not those of the command's kind, or a firmware command names no image.
    """
    if is_about_image(command.kind) and not re.match(HASH_PATTERN, command.image_hash or ""):
        raise Refused(f"{command.kind} names no image by its SHA-256")
    return for_kind(command.kind, command.parameters)


def is_about_image(kind: str) -> bool:
    """Return whether commands of this kind are bound to an image by its SHA-256."""
    return kind.startswith("firmware.") or kind == "gateway.update"


def for_kind(kind: str, given: Mapping[str, Any]) -> Parameters:
    """Return what is given to a command of this kind, typed.

    Raises:
        Refused: they are not the parameters of this kind.
    """
    return jsonbody.decode(jsonbody.encode(given), _OF_KIND.get(kind, Nothing))


def image_of(kind: str, given: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of the image that these parameters are about; None for no image.

    Raises:
        Refused: they should be about one, and name none.
    """
    return firmware.image_of(for_kind(kind, given)) if is_about_image(kind) else None


def _check_range(since: UtcTime, until: UtcTime) -> None:
    if since > until:
        raise ValueError("since lies after until")

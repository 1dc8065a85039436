"""The plan of a fleet: which meters there are, who they say they are and where they answer.

A plan is a pure function of its settings: the same seed gives the same serial numbers, names and
keys, so whoever configures gateways can compute it without asking the running simulator. Keys are
derived from the seed and protect nothing but simulated homes.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from hesper_sim.errors import FleetError

FEEDER_SIZE: Final = 10
FIRST_PHYSICAL_ADDRESS: Final = 17
SHARED_LINE: Final = "shared"
DIAL_IN_LINE: Final = "dial-in"
RS485_LINE: Final = "rs485"
_SERIAL_STEP: Final = 611_953
_SERIAL_SPAN: Final = 89_999_999


class Kind(StrEnum):
    """What hangs behind a meter."""

    HOUSEHOLD = "household"
    SHOP = "shop"
    SOLAR = "solar"


class Access(StrEnum):
    """How a gateway reaches a meter."""

    TCP = "tcp"
    """A TCP port of its own."""
    SHARED = "shared"
    """One TCP address for several meters, told apart by the wrapper port."""
    DIAL_IN = "dial-in"
    """The meter calls the gateway, as cellular meters do."""
    RS485 = "rs485"
    """HDLC multi-drop on one serial line."""


_TYPE_DIGITS: Final = {Kind.HOUSEHOLD: 1, Kind.SHOP: 2, Kind.SOLAR: 3}
_KINDS: Final = (
    *(Kind.HOUSEHOLD,) * 3,
    Kind.SOLAR,
    *(Kind.HOUSEHOLD,) * 2,
    Kind.SHOP,
    *(Kind.HOUSEHOLD,) * 2,
    Kind.SOLAR,
)
_MIX: Final = 7
"""A step through `_KINDS` that is coprime to its length, so that every line has every kind."""


class FleetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What fleet.toml says; counts are meters, a port of 0 is chosen free when serving."""

    seed: int = 1
    tcp: int = 24
    shared: int = 16
    dial_in: int = 12
    rs485: int = 8
    host: str = "127.0.0.1"
    tcp_ports: tuple[int, ...] = ()
    """One port per meter with a port of its own; empty: all chosen free."""
    shared_port: int = 0
    dial_in_host: str = "127.0.0.1"
    dial_in_port: int = 0
    """Where the gateway listens for meters that call; 0: they stay silent."""
    push: bool = True
    """Replay captured pushes of real meters on pseudo-terminals."""
    replay_s: float = 10.0

    def to_toml(self) -> str:
        """Return the text of a fleet.toml that loads as these settings."""
        lines = (
            f"{name} = {json.dumps(value)}" for name, value in msgspec.to_builtins(self).items()
        )
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """One meter: identity, keys and the way to it.

    `system_title` is 8 octets, both keys 16. `line` names an entry of `Fleet.lines`; on TCP
    `server_address` is the wrapper port of the logical device, on HDLC its upper address.
    """

    serial: str
    logical_device_name: str
    system_title: bytes
    kind: Kind
    index: int
    access: Access
    line: str
    server_address: int
    physical_address: int | None
    encryption_key: bytes = field(repr=False)
    authentication_key: bytes = field(repr=False)
    password: str = field(repr=False)

    @property
    def feeder(self) -> int:
        """Which low-voltage feeder the home hangs on."""
        return self.index // FEEDER_SIZE

    @property
    def place(self) -> int:
        """How far down the feeder, 0 nearest to the transformer."""
        return self.index % FEEDER_SIZE


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One way in: a TCP listener, the gateway's dial-in address, or a pseudo-terminal.

    `path_name` is the name of a pseudo-terminal's link in the state folder.
    """

    name: str
    access: Access
    host: str = ""
    port: int = 0
    path_name: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The whole plan; meters in the order of their index."""

    settings: FleetSettings
    lines: tuple[LinePlan, ...]
    meters: tuple[MeterPlan, ...]

    def meter(self, serial: str) -> MeterPlan:
        """Return the meter with this serial number; FleetError when there is none."""
        for meter in self.meters:
            if meter.serial == serial:
                return meter
        raise FleetError(f"there is no meter {serial!r} in this fleet")

    def on_line(self, line: str) -> Iterator[MeterPlan]:
        """Yield the meters behind one line."""
        return (meter for meter in self.meters if meter.line == line)


def load(path: Path) -> Fleet:
    """Read fleet.toml and plan the fleet it describes; FleetError says what is wrong with it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = msgspec.convert(document, FleetSettings)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise FleetError(f"{path}: {error}") from error
    return plan(settings)


def plan(settings: FleetSettings | None = None) -> Fleet:
    """Return the fleet of these settings, by default the demo's; FleetError if it cannot be."""
    settings = settings or FleetSettings()
    _check(settings)
    return Fleet(
        settings=settings,
        lines=tuple(_lines(settings)),
        meters=tuple(
            _meter(settings.seed, index, *where) for index, where in enumerate(_places(settings))
        ),
    )


def _check(settings: FleetSettings) -> None:
    counts = (settings.tcp, settings.shared, settings.dial_in, settings.rs485)
    if min(counts) < 0:
        raise FleetError("a count of meters is negative")
    if settings.rs485 > 32:
        raise FleetError("an RS-485 line carries at most 32 meters")
    if settings.tcp_ports and len(settings.tcp_ports) != settings.tcp:
        raise FleetError(f"tcp_ports must name {settings.tcp} ports, not {len(settings.tcp_ports)}")
    if settings.replay_s < 1:
        raise FleetError("replay_s is at least 1: a ciphered push needs a new invocation counter")
    ports = (*settings.tcp_ports, settings.shared_port, settings.dial_in_port)
    if not all(0 <= port <= 65535 for port in ports):
        raise FleetError("a TCP port is out of range")


def _lines(settings: FleetSettings) -> Iterator[LinePlan]:
    ports = settings.tcp_ports or (0,) * settings.tcp
    for number, port in enumerate(ports, 1):
        yield LinePlan(f"lan-{number}", Access.TCP, settings.host, port)
    if settings.shared:
        yield LinePlan(SHARED_LINE, Access.SHARED, settings.host, settings.shared_port)
    if settings.dial_in:
        host, port = settings.dial_in_host, settings.dial_in_port
        yield LinePlan(DIAL_IN_LINE, Access.DIAL_IN, host, port)
    if settings.rs485:
        yield LinePlan(RS485_LINE, Access.RS485, path_name=RS485_LINE)


def _places(settings: FleetSettings) -> Iterator[tuple[Access, str, int, int | None]]:
    """Yield access, line, server address and physical address of every meter in order."""
    for number in range(settings.tcp):
        yield Access.TCP, f"lan-{number + 1}", 1, None
    for number in range(settings.shared):
        yield Access.SHARED, SHARED_LINE, number + 1, None
    for _ in range(settings.dial_in):
        yield Access.DIAL_IN, DIAL_IN_LINE, 1, None
    for number in range(settings.rs485):
        yield Access.RS485, RS485_LINE, 1, FIRST_PHYSICAL_ADDRESS + number


def _meter(
    seed: int, index: int, access: Access, line: str, server_address: int, physical: int | None
) -> MeterPlan:
    kind = _KINDS[index * _MIX % len(_KINDS)]
    digits = f"{10_000_000 + (seed * 1_000_003 + index * _SERIAL_STEP) % _SERIAL_SPAN:08d}"
    serial = f"HES{digits}"
    return MeterPlan(
        serial=serial,
        logical_device_name=f"HSP{_TYPE_DIGITS[kind]:02d}{digits}000",
        system_title=b"HSP" + bytes((_TYPE_DIGITS[kind],)) + bytes.fromhex(digits),
        kind=kind,
        index=index,
        access=access,
        line=line,
        server_address=server_address,
        physical_address=physical,
        encryption_key=_secret(seed, serial, "encryption key"),
        authentication_key=_secret(seed, serial, "authentication key"),
        password=_secret(seed, serial, "password")[:4].hex(),
    )


def _secret(seed: int, serial: str, purpose: str) -> bytes:
    return hashlib.sha256(f"{seed}/{serial}/{purpose}".encode()).digest()[:16]

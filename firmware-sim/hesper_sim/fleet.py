"""The plan of a fleet: which meters there are, who they say they are and where they answer.

A plan is a pure function of its settings: the same seed gives the same serial numbers, names and
keys, so whoever configures gateways can compute it without asking the running simulator. Keys are
derived from the seed and protect nothing but simulated homes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from hesper_sim import secrets
from hesper_sim.errors import FleetError
from hesper_sim.fleet_settings import (
    FIRST_PORT,
    Access,
    FleetSettings,
    Kind,
    PushLink,
    Roles,
    check,
    starter,
)

__all__ = [
    "CLIENT_TITLE",
    "DIAL_IN_LINE",
    "FEEDER_SIZE",
    "FIRST_PHYSICAL_ADDRESS",
    "FIRST_PORT",
    "OPTICAL_LINE",
    "RS485_LINE",
    "SHARED_LINE",
    "Access",
    "Fleet",
    "FleetSettings",
    "Kind",
    "LinePlan",
    "MeterPlan",
    "PushLink",
    "Roles",
    "load",
    "plan",
    "starter",
]

FEEDER_SIZE: Final = 10
FIRST_PHYSICAL_ADDRESS: Final = 17
SHARED_LINE: Final = "shared"
DIAL_IN_LINE: Final = "dial-in"
RS485_LINE: Final = "rs485"
OPTICAL_LINE: Final = "optical"
CLIENT_TITLE: Final = b"HSPHES\x00\x01"
"""System title of the head end whose signing key the meters know."""
_SERIAL_PREFIX: Final = "HES"
_SERIAL_STEP: Final = 611_953
_SERIAL_SPAN: Final = 89_999_999
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


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """One meter: identity, keys and the way to it.

    `line` names an entry of `Fleet.lines`; on TCP `server_address` is the wrapper port of the
    logical device, on HDLC its upper address. What follows from seed and serial number is computed
    whenever it is asked for: kept, it would cost 0.3 KB a meter.
    """

    seed: int
    serial: str
    kind: Kind
    index: int
    access: Access
    line: str
    server_address: int
    physical_address: int | None
    suite: int = 0
    short_names: bool = False

    @property
    def logical_device_name(self) -> str:
        """Manufacturer, type and serial number: 16 characters."""
        return f"HSP{_TYPE_DIGITS[self.kind]:02d}{self._digits}000"

    @property
    def system_title(self) -> bytes:
        """8 octets."""
        return b"HSP" + bytes((_TYPE_DIGITS[self.kind],)) + bytes.fromhex(self._digits)

    @property
    def encryption_key(self) -> bytes:
        """The global unicast encryption key: 16 octets, 32 in suite 2."""
        return secrets.symmetric(self.seed, self.serial, "encryption key", self.suite)

    @property
    def authentication_key(self) -> bytes:
        """The global authentication key, as long."""
        return secrets.symmetric(self.seed, self.serial, "authentication key", self.suite)

    @property
    def password(self) -> str:
        """The secret of the reading client."""
        return secrets.symmetric(self.seed, self.serial, "password")[:4].hex()

    @property
    def _digits(self) -> str:
        return self.serial[len(_SERIAL_PREFIX) :]

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
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        settings = msgspec.convert(document, FleetSettings)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise FleetError(f"{path}: {error}") from error
    return plan(settings)


def plan(settings: FleetSettings | None = None) -> Fleet:
    """Return the fleet of these settings, by default the demo's; FleetError if it cannot be."""
    settings = settings or FleetSettings()
    check(settings)
    return Fleet(
        settings=settings,
        lines=tuple(_lines(settings)),
        meters=tuple(
            _meter(settings, index, where) for index, where in enumerate(_places(settings))
        ),
    )


def _lines(settings: FleetSettings) -> Iterator[LinePlan]:
    yield from _own_lines("lan", Access.TCP, settings.host, settings.tcp, settings.tcp_ports)
    for number, name in enumerate(_shared_names(settings)):
        port = settings.shared_port + number if settings.shared_port else 0
        yield LinePlan(name, Access.SHARED, settings.host, port)
    if settings.dial_in:
        host, port = settings.dial_in_host, settings.dial_in_port
        yield LinePlan(DIAL_IN_LINE, Access.DIAL_IN, host, port)
    if settings.rs485:
        yield LinePlan(RS485_LINE, Access.RS485, path_name=RS485_LINE)
    yield from _own_lines("udp", Access.UDP, settings.host, settings.udp, settings.udp_ports)
    yield from _own_lines(
        "hdlc", Access.HDLC_TCP, settings.host, settings.hdlc_tcp, settings.hdlc_ports
    )
    for number in range(settings.optical):
        name = f"{OPTICAL_LINE}-{number + 1}"
        yield LinePlan(name, Access.OPTICAL, path_name=name)


def _own_lines(
    name: str, access: Access, host: str, count: int, ports: tuple[int, ...]
) -> Iterator[LinePlan]:
    for number, port in enumerate(ports or (0,) * count, 1):
        yield LinePlan(f"{name}-{number}", access, host, port)


def _shared_names(settings: FleetSettings) -> list[str]:
    if not settings.shared:
        return []
    more = (f"{SHARED_LINE}-{number}" for number in range(2, settings.shared_lines + 1))
    return [SHARED_LINE, *more]


def _places(settings: FleetSettings) -> Iterator[tuple[Access, str, int, int | None]]:
    """Yield access, line, server address and physical address of every meter in order."""
    for number in range(settings.tcp):
        yield Access.TCP, f"lan-{number + 1}", 1, None
    shared = _shared_names(settings)
    for number in range(settings.shared):
        yield Access.SHARED, shared[number % len(shared)], number // len(shared) + 1, None
    for _ in range(settings.dial_in):
        yield Access.DIAL_IN, DIAL_IN_LINE, 1, None
    for number in range(settings.rs485):
        yield Access.RS485, RS485_LINE, 1, FIRST_PHYSICAL_ADDRESS + number
    for number in range(settings.udp):
        yield Access.UDP, f"udp-{number + 1}", 1, None
    for number in range(settings.hdlc_tcp):
        yield Access.HDLC_TCP, f"hdlc-{number + 1}", 1, FIRST_PHYSICAL_ADDRESS
    for number in range(settings.optical):
        yield Access.OPTICAL, f"{OPTICAL_LINE}-{number + 1}", 1, FIRST_PHYSICAL_ADDRESS


def _meter(
    settings: FleetSettings, index: int, where: tuple[Access, str, int, int | None]
) -> MeterPlan:
    access, line, server_address, physical = where
    seed, suite = settings.seed, settings.suites[index % len(settings.suites)]
    kind = _KINDS[index * _MIX % len(_KINDS)]
    digits = f"{10_000_000 + (seed * 1_000_003 + index * _SERIAL_STEP) % _SERIAL_SPAN:08d}"
    return MeterPlan(
        seed=seed,
        serial=_SERIAL_PREFIX + digits,
        kind=kind,
        index=index,
        access=access,
        line=line,
        server_address=server_address,
        physical_address=physical,
        suite=suite,
        short_names=settings.tcp - settings.short_names <= index < settings.tcp,
    )

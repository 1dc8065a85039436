"""The plan of a fleet: which meters there are, who they say they are and where they answer.

A plan is a pure function of its settings: the same seed gives the same serial numbers, names and
keys, so whoever configures gateways can compute it without asking the running simulator. Keys are
derived from the seed and protect nothing but simulated homes.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from hesper_sim import secrets, zones
from hesper_sim.errors import FleetError

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
    UDP = "udp"
    """The wrapper in UDP datagrams, one port per meter."""
    HDLC_TCP = "hdlc-tcp"
    """HDLC frames over a TCP port of its own, as a serial server in front of a meter makes it."""
    OPTICAL = "optical"
    """An optical head on a pseudo-terminal: IEC 62056-21 mode E, then HDLC."""


class PushLink(StrEnum):
    """What carries the meters' own data-notifications."""

    WRAPPER = "wrapper"
    """TCP, one connection for each."""
    HDLC = "hdlc"
    """UI frames on the pseudo-terminal `data-push`."""
    MBUS = "mbus"
    """M-Bus long frames on the pseudo-terminal `data-push`."""


class Roles(StrEnum):
    """Which clients a fleet's meters know."""

    STANDARD = "standard"
    """16 public, 2 reading (LLS), 1 management (HLS GMAC, ciphered)."""
    ALL = "all"
    """Those, and every other mechanism at the client address that is its number: see `roles`."""


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
    udp: int = 0
    udp_ports: tuple[int, ...] = ()
    hdlc_tcp: int = 0
    hdlc_ports: tuple[int, ...] = ()
    optical: int = 0
    """Meters with an optical head, each a pseudo-terminal of its own."""
    shared_lines: int = 1
    """How many listeners the shared meters are spread over; ports count up from `shared_port`."""
    roles: Roles = Roles.STANDARD
    suites: tuple[int, ...] = (0,)
    """Security suites, given to the meters in turn."""
    short_names: int = 0
    """The last so many meters of `tcp` are addressed by short names (class 12)."""
    zone: str = "UTC"
    """Zone of the meters' clocks; one without daylight saving or with the European Union's."""
    data_push_host: str = "127.0.0.1"
    data_push_port: int = 0
    """Where meters send data-notifications over TCP with the wrapper; 0: they send none."""
    data_push_link: PushLink = PushLink.WRAPPER
    data_push_s: int = 60
    """Seconds between two pushes of one meter; tampering is told at once."""
    data_push_ciphered: bool = True
    data_push_block: int = 0
    """Octets of the general blocks that a push is cut into; 0: it is not."""

    def to_toml(self) -> str:
        """Return the text of a fleet.toml that loads as these settings."""
        lines = (
            f"{name} = {json.dumps(value)}" for name, value in msgspec.to_builtins(self).items()
        )
        return "\n".join(lines) + "\n"


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
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = msgspec.convert(document, FleetSettings)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise FleetError(f"{path}: {error}") from error
    return plan(settings)


FIRST_PORT: Final = 4059
"""The port that is registered for DLMS over TCP and UDP."""


def starter(host: str = "127.0.0.1", port: int = FIRST_PORT) -> FleetSettings:
    """Return a small fleet of every kind of access, on known ports from `port` on.

    First the shared address, then six ports of their own (the last by short names), one of UDP and
    three of HDLC over TCP. Every suite is behind every kind of address; every client role is there.
    """
    ports = range(port + 1, port + 11)
    return FleetSettings(
        tcp=6,
        tcp_ports=tuple(ports[:6]),
        shared=3,
        shared_port=port,
        dial_in=0,
        rs485=3,
        udp=1,
        udp_ports=(ports[6],),
        hdlc_tcp=3,
        hdlc_ports=tuple(ports[7:]),
        optical=1,
        short_names=1,
        suites=(0, 0, 1, 2),
        roles=Roles.ALL,
        host=host,
        zone="Europe/Berlin",
        push=False,
    )


def plan(settings: FleetSettings | None = None) -> Fleet:
    """Return the fleet of these settings, by default the demo's; FleetError if it cannot be."""
    settings = settings or FleetSettings()
    _check(settings)
    return Fleet(
        settings=settings,
        lines=tuple(_lines(settings)),
        meters=tuple(
            _meter(settings, index, where) for index, where in enumerate(_places(settings))
        ),
    )


def _check(settings: FleetSettings) -> None:
    serial = settings.rs485, settings.optical
    sockets = settings.tcp, settings.shared, settings.dial_in, settings.udp, settings.hdlc_tcp
    if min(*serial, *sockets, settings.short_names) < 0:
        raise FleetError("a count of meters is negative")
    if settings.rs485 > 32:
        raise FleetError("an RS-485 line carries at most 32 meters")
    if settings.short_names > settings.tcp:
        raise FleetError("short_names counts meters with a TCP port of their own, see tcp")
    if settings.shared_lines < 1 or settings.shared > settings.shared_lines * 65_535:
        raise FleetError("a listener tells at most 65535 meters apart: raise shared_lines")
    if settings.replay_s < 1 or settings.data_push_s < 1:
        least = "is at least 1: a ciphered push needs a new invocation counter"
        raise FleetError(f"replay_s and data_push_s: each {least}")
    if not settings.suites or not set(settings.suites) <= set(secrets.KEY_OCTETS):
        raise FleetError("suites names at least one of 0, 1 and 2")
    if settings.data_push_block and not 32 <= settings.data_push_block <= 65_535:
        raise FleetError("data_push_block is 0 or between 32 and 65535 octets")
    zones.rule_of(settings.zone)
    _check_ports(settings)


def _check_ports(settings: FleetSettings) -> None:
    for name, ports, count in (
        ("tcp_ports", settings.tcp_ports, settings.tcp),
        ("udp_ports", settings.udp_ports, settings.udp),
        ("hdlc_ports", settings.hdlc_ports, settings.hdlc_tcp),
    ):
        if ports and len(ports) != count:
            raise FleetError(f"{name} must name {count} ports, not {len(ports)}")
    named = (*settings.tcp_ports, *settings.udp_ports, *settings.hdlc_ports)
    single = settings.shared_port, settings.dial_in_port, settings.data_push_port
    last_shared = settings.shared_port + settings.shared_lines - 1
    if not all(0 <= port <= 65535 for port in (*named, *single, last_shared)):
        raise FleetError("a TCP or UDP port is out of range")


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

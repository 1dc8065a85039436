"""What fleet.toml can say: how many meters, reached how, with which clients and suites.

A count of 0 leaves a way out; a port of 0 is chosen free when serving.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final

import msgspec

from hesper_sim import secrets, zones
from hesper_sim.errors import FleetError


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


def check(settings: FleetSettings) -> None:
    """Raise FleetError, with the reason, for settings that no fleet can have."""
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

"""The lines of gateway.toml, by kind, and the modems that some of them share."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hesper_gateway.config.fields import (
    AtCommand,
    Framing,
    Heartbeat,
    Host,
    LineName,
    ModeEAddress,
    Port,
    Price,
    Record,
    RelativePath,
    WakeText,
)


class TcpLine(Record):
    """One TCP address with one meter, or several told apart by their server address."""

    name: LineName
    kind: Literal["tcp"]
    host: Host
    port: Port
    megabyte_price: Price = Decimal(0)


class SerialLine(Record):
    """One serial port, RS-485 multi-drop or an optical head."""

    name: LineName
    kind: Literal["serial"]
    path: Path
    baudrate: int = Field(default=9600, ge=50, le=4_000_000)
    framing: Framing = "8N1"
    echo: bool = False
    """The probe repeats what we send; those octets are skipped."""
    mode_e: bool = False
    """Sign on by IEC 62056-21 mode E first: 300 baud 7E1, then HDLC at `baudrate` at most."""
    mode_e_address: ModeEAddress = ""
    """Asked for in the sign-on; a meter's own `mode_e_address` goes before it."""


class UdpLine(Record):
    """One UDP address with one meter, or several told apart by their server address."""

    name: LineName
    kind: Literal["udp"]
    host: Host
    port: Port
    megabyte_price: Price = Decimal(0)


class CsdLine(Record):
    """A modem that calls one meter after another over a circuit-switched data call (CSD)."""

    name: LineName
    kind: Literal["csd"]
    modem: LineName
    mode_e: bool = False
    """Sign on by mode E over each call; the speed is the call's and does not change."""
    linger_s: float = Field(default=5, ge=0)
    """How long a call is kept for the next association with the same meter."""


class DialInLine(Record):
    """A TCP port on which cellular meters call; they are told apart by what they say."""

    name: LineName
    kind: Literal["dial-in"]
    host: Host = "127.0.0.1"
    port: Port
    connections_max: int = Field(default=2000, ge=1)
    strangers_max: int = Field(default=64, ge=1)
    """Callers at once that have not said who they are."""
    ask_after_s: float = Field(default=5, gt=0, le=15)
    """How long a caller may say nothing before it is asked for its logical device name."""
    heartbeats: tuple[Heartbeat, ...] = ()
    """What some modems send to stay online, as hex octets; swallowed between APDUs."""
    idle_s: float = Field(default=0, ge=0)
    """Hang up when nothing, not even a heartbeat, has come for this long; 0: never."""
    wake_modem: LineName | None = None
    """The modem that sends meters with a `phone` a short message, so that they call."""
    wake_text: WakeText = "WAKEUP"
    wake_s: float = Field(default=120, gt=0)
    """How long a woken meter may take to call."""
    wake_again_s: float = Field(default=900, ge=0)
    """How long after a message the same meter is not sent another."""
    megabyte_price: Price = Decimal(0)


class PushSerialLine(Record):
    """A serial port on which meters talk unasked."""

    name: LineName
    kind: Literal["push-serial"]
    path: Path
    baudrate: int = Field(default=2400, ge=50, le=4_000_000)
    framing: Framing = "8N1"


class PushTcpLine(Record):
    """A TCP port on which meters, or a serial device server, deliver pushes."""

    name: LineName
    kind: Literal["push-tcp"]
    host: Host = "127.0.0.1"
    port: Port
    connections_max: int = Field(default=2000, ge=1)


class PushUdpLine(Record):
    """A UDP port on which meters deliver pushes, each in a datagram of its own."""

    name: LineName
    kind: Literal["push-udp"]
    host: Host = "127.0.0.1"
    port: Port
    senders_max: int = Field(default=2000, ge=1)


LineConfig = Annotated[
    TcpLine
    | SerialLine
    | UdpLine
    | CsdLine
    | DialInLine
    | PushSerialLine
    | PushTcpLine
    | PushUdpLine,
    Field(discriminator="kind"),
]


class ModemConfig(Record):
    """A modem that speaks AT commands, and how much may be spent through it.

    Limits hold for each radio cell that meters are said to be in, and for the modem as one where
    nothing is said.
    """

    name: LineName
    path: Path
    baudrate: int = Field(default=115200, ge=50, le=4_000_000)
    pin_file: RelativePath | None = None
    """The SIM's PIN, readable by the gateway alone; it is tried once."""
    commands: tuple[AtCommand, ...] = ()
    """Sent after the modem was reset, as ``AT+CBST=7,0,1``."""
    calls_per_hour: int = Field(default=20, ge=0)
    calls_per_day: int = Field(default=200, ge=0)
    messages_per_hour: int = Field(default=20, ge=0)
    messages_per_day: int = Field(default=100, ge=0)
    call_minute_price: Price = Decimal(0)
    message_price: Price = Decimal(0)

"""gateway.toml: which lines the gateway has, which meters hang on them, how often it reads.

The file is a border, so it is checked here once and completely; what leaves this module is
frozen. File names are relative to the folder of gateway.toml.
"""

import tomllib
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from hesper_contracts.signing import key_id
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from hesper_gateway.errors import ConfigError

GatewayId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
MeterId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,32}$")]
LineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
SystemTitle = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$", to_lower=True)]
PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", to_lower=True)]
Framing = Annotated[str, StringConstraints(pattern=r"^[78][NEO][12]$")]


def _no_beginning_of_an_apdu(heartbeat: str) -> str:
    if heartbeat.startswith("0001") and len(heartbeat) < 16:
        raise ValueError("the wrapper's APDUs begin so as well; give the heartbeat whole")
    return heartbeat


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{3,20}$")]
AtCommand = Annotated[str, StringConstraints(pattern=r"^AT[ -~]{1,80}$")]
WakeText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 .,:;/=#*+-]{1,160}$")]
Price = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
"""In one currency throughout; written as text, as in ``"0.07"``."""
Heartbeat = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9a-f]{2}){1,32}$", to_lower=True),
    AfterValidator(_no_beginning_of_an_apdu),
]
ModeEAddress = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z ]{0,32}$")]

RelativePath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path written relative to gateway.toml; absolute once loaded."""


class Record(BaseModel):
    """The base of every table in gateway.toml: unknown keys are refused, values frozen.

    Defaults are checked like values, so that a path nobody wrote lies beside the file as well.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, revalidate_instances="always"
    )


class TcpLine(Record):
    """One TCP address with one meter, or several told apart by their server address."""

    name: LineName
    kind: Literal["tcp"]
    host: str
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
    host: str
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
    host: str = "127.0.0.1"
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
    host: str = "127.0.0.1"
    port: Port
    connections_max: int = Field(default=2000, ge=1)


class PushUdpLine(Record):
    """A UDP port on which meters deliver pushes, each in a datagram of its own."""

    name: LineName
    kind: Literal["push-udp"]
    host: str = "127.0.0.1"
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


class MeterConfig(Record):
    """One meter behind one line."""

    id: MeterId
    line: LineName
    template: str
    logical_device_name: str | None = None
    """Required where the gateway may write: it is compared before every write."""
    server_address: int = Field(default=1, ge=0, le=0x3FFF)
    """Upper (logical) HDLC address, or the wrapper port of the logical device."""
    physical_address: int | None = Field(default=None, ge=0, le=0x3FFF)
    system_title: SystemTitle | None = None
    keys_file: RelativePath | None = None
    authentication_key_unknown: bool = False
    """Accept messages that are encrypted but not authenticated; each is flagged."""
    source_address: int | None = None
    """On a push line: the HDLC server address that this meter sends from."""
    identities: tuple[str, ...] = ()
    """On a push line: further names that the meter calls itself in its pushes."""
    zone: str | None = None
    """IANA time zone of the meter's clock, where it differs from the template's."""
    mode_e_address: ModeEAddress | None = None
    """Asked for in a sign-on by mode E, where several meters share an optical line."""
    phone: Phone | None = None
    """The number of its modem: called on a csd line, woken by a message on dial-in."""
    cell: str | None = None
    """The radio cell that it is in; limits on calls and messages hold for each cell."""


class ScheduleConfig(Record):
    """How often each meter is visited; a missed visit is made up for, never skipped."""

    profile_s: float | None = Field(default=None, gt=0)
    """Load profile; without it, the capture period that the meter states."""
    snapshot_s: float = Field(default=60, gt=0)
    events_s: float = Field(default=300, gt=0)
    jitter_s: float = Field(default=5, ge=0)
    """Meters are spread over this many seconds after each tick."""
    back_off_s: float = Field(default=5, gt=0)
    """Pause after a first failure; it doubles up to ``back_off_max_s``."""
    back_off_max_s: float = Field(default=300, gt=0)


class BrokerConfig(Record):
    """The MQTT broker and this gateway's account on it."""

    host: str
    port: Port = 1883
    username: str | None = None
    password_file: RelativePath | None = None
    tls_ca: RelativePath | None = None
    """Certificate of the authority that signed the broker's; without it the link is plain."""
    root: str = "hesper/v1"
    keepalive_s: int = Field(default=30, ge=5)


class KeysConfig(Record):
    """Whose signatures count, and the key that signs this gateway's results."""

    signing: RelativePath = Path("gateway.key")
    """Ed25519 seed as 64 hex digits, readable by the gateway alone; `hesper-gateway keygen`."""
    commands: dict[str, PublicKey] = {}
    """Key id → public key of the authority: commands and time answers."""
    receipts: dict[str, PublicKey] = {}
    """Key id → public key of ingest: receipts."""

    @model_validator(mode="after")
    def _ids_belong_to_keys(self) -> Self:
        for name, public_key in (*self.commands.items(), *self.receipts.items()):
            if key_id(bytes.fromhex(public_key)) != name:
                raise ValueError(f"{name!r} is not the id of public key {public_key}")
        return self


class CeilingsConfig(Record):
    """This gateway's own hard limits on disconnects, whoever signs them."""

    disconnects_per_hour: int = Field(default=5, ge=0)
    disconnects_per_day: int = Field(default=20, ge=0)
    seconds_between: float = Field(default=10, ge=0)


class ClockSyncConfig(Record):
    """When meters' clocks are set without a command; without this table never."""

    limit_s: float = Field(default=10, gt=2)
    """A clock that is further off is set, …"""
    max_step_s: float = Field(default=60, gt=2, le=86400)
    """… unless it is further off than this."""
    again_s: float = Field(default=86400, ge=60)
    """How long a clock that was set is left alone."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.limit_s >= self.max_step_s:
            raise ValueError("clock_sync: limit_s must be less than max_step_s")
        return self


class OutboxConfig(Record):
    """How much the gateway keeps, and how much of it is under way at once."""

    quota_mb: int = Field(default=512, ge=1)
    ballast_mb: int = Field(default=2, ge=0)
    batches_in_flight: int = Field(default=32, ge=1, le=1000)


class GatewayConfig(Record):
    """The whole of gateway.toml."""

    gateway: GatewayId
    state: RelativePath = Path("state")
    """Folder of the gateway's database."""
    templates: RelativePath = Path("templates")
    """Folder of templates of one's own; a name that is not there is one of those that ship."""
    broker: BrokerConfig
    keys: KeysConfig = KeysConfig()
    ceilings: CeilingsConfig = CeilingsConfig()
    outbox: OutboxConfig = OutboxConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clock_sync: ClockSyncConfig | None = None
    modems: tuple[ModemConfig, ...] = ()
    lines: tuple[LineConfig, ...] = ()
    meters: tuple[MeterConfig, ...] = ()

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        if self.gateway == "cloud":
            raise ValueError("gateway: the name 'cloud' is reserved")
        _refuse_doubles("line name", [line.name for line in self.lines])
        _refuse_doubles("meter id", [meter.id for meter in self.meters])
        _refuse_doubles("modem name", [modem.name for modem in self.modems])
        for line in self.lines:
            self._modem_is_known(line)
        known = {line.name: line for line in self.lines}
        for meter in self.meters:
            if meter.line not in known:
                raise ValueError(f"meter {meter.id}: no line is named {meter.line!r}")
            _refuse_misplaced(meter, known[meter.line])
        return self

    def _modem_is_known(self, line: LineConfig) -> None:
        match line:
            case CsdLine():
                modem: str | None = line.modem
            case DialInLine():
                modem = line.wake_modem
            case _:
                return
        if modem is not None and modem not in {each.name for each in self.modems}:
            raise ValueError(f"line {line.name}: no modem is named {modem!r}")

    def line(self, name: str) -> LineConfig:
        """Return the line of that name; meters only name lines that exist."""
        return next(line for line in self.lines if line.name == name)

    def meters_on(self, line: str) -> tuple[MeterConfig, ...]:
        """Return the meters behind one line, in the order of the file."""
        return tuple(meter for meter in self.meters if meter.line == line)


def _refuse_misplaced(meter: MeterConfig, line: LineConfig) -> None:
    if line.kind == "dial-in" and not (meter.system_title or meter.logical_device_name):
        raise ValueError(
            f"meter {meter.id}: a dial-in meter needs its system_title or logical_device_name"
        )
    if line.kind == "csd" and meter.phone is None:
        raise ValueError(f"meter {meter.id}: a meter that is called needs its phone")


def _refuse_doubles(what: str, names: list[str]) -> None:
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise ValueError(f"{what} used twice: {', '.join(doubled)}")


def load(path: Path) -> GatewayConfig:
    """Read gateway.toml.

    Raises:
        ConfigError: the file is absent, not TOML, or does not fit; every place is listed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        return GatewayConfig.model_validate(document, context={"folder": path.parent.absolute()})
    except ValidationError as error:
        raise ConfigError(complaint(str(path), error)) from error


def complaint(source: str, error: ValidationError) -> str:
    """Return one line per misfit, each with its place in the file."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in item["loc"]) or "file"
        lines.append(f"{source}: {place}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)

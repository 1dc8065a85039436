"""The form of a meter template (one frozen record per table of the TOML file)."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hesper_contracts.parameters import EventLogName
from hesper_dlms import obis
from hesper_dlms.errors import DlmsError
from hesper_dlms.units import ScalerUnit
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    StringConstraints,
    model_validator,
)

from hesper_gateway.config import Record
from hesper_gateway.templates.formula import Formula


def _logical_name(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return obis.parse(str(value))
    except DlmsError as error:
        raise ValueError(f"{value!r} is no logical name such as '1.0.1.8.0.255'") from error


Pattern = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}|\*)(\.(\d{1,3}|\*)){5}$")]
"""A logical name in which ``*`` stands for any value of a group."""


def _object_name(value: str) -> str:
    class_id, _, logical_name = value.partition(":")
    if int(class_id) > 0xFFFF:
        raise ValueError(f"{class_id} is no class")
    _logical_name(logical_name)
    return value


ObjectName = Annotated[
    str,
    StringConstraints(pattern=r"^\d{1,5}:\d{1,3}(\.\d{1,3}){5}$"),
    AfterValidator(_object_name),
]
"""Class and logical name, such as ``"3:1.0.1.8.0.255"``."""

AuthenticationName = Literal[
    "none", "low", "high-md5", "high-sha1", "high-gmac", "high-sha256", "high-ecdsa"
]

LogicalName = Annotated[bytes, BeforeValidator(_logical_name)]
"""Six octets, written in the usual dotted form."""


def _or_none(value: object) -> object:
    return None if value == "none" else value


OptionalName = Annotated[LogicalName | None, BeforeValidator(_or_none)]
"""A logical name, or ``"none"`` where an object that the parent template has does not exist."""


def _address(value: object) -> object:
    return Formula(value) if isinstance(value, str) else value


Address = Annotated[
    Annotated[int, Field(ge=0, le=0x3FFF)] | Annotated[Formula, InstanceOf()],
    BeforeValidator(_address),
]
"""A number, or a formula from the serial number such as ``"serial[-4:] % 10000 + 1000"``."""


def zone_named(name: str) -> ZoneInfo:
    """Return the IANA zone; raises ValueError with a plain text where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is named {name!r}") from error


class LinkTemplate(Record):
    """How APDUs are framed on the line."""

    kind: Literal["wrapper", "hdlc", "mbus", "raw"]
    address_octets: Literal[1, 2, 4] | None = None
    """HDLC server address length; without it the shortest that fits."""
    max_information: int = Field(default=128, ge=32, le=2048)
    """Largest HDLC information field that we propose, in octets."""
    mode_e: bool = False
    """On a serial line: the meter wants a sign-on by IEC 62056-21 mode E before HDLC."""


class AddressesTemplate(Record):
    """Where the meter listens, unless gateway.toml says so; the serial number is the meter's id."""

    server: Address = 1
    """Logical device: upper HDLC address, or wrapper port."""
    physical: Address | None = None
    """Lower HDLC address; absent where there is none."""


class AssociationTemplate(Record):
    """One client of the meter, and how it proves itself."""

    client_address: int = Field(ge=0, le=0x7F)
    authentication: AuthenticationName = "none"
    """Low and high-md5, -sha1, -sha256 need a password; high-gmac keys; high-ecdsa key pairs."""
    ciphered: bool = False
    """Every APDU is ciphered, as `[security]` says."""
    challenge_octets: int | None = Field(default=None, ge=8, le=64)
    """Length of our challenge; without it 16, and 32 for high-ecdsa."""
    invocation_counter: LogicalName | None = None
    """Where the meter has a counter for this client alone."""


class SecurityTemplate(Record):
    """Suite, and how APDUs are protected where an association ciphers."""

    suite: Literal[0, 1, 2] = 0
    policy: Literal["authenticated-encrypted", "authenticated", "encrypted"] = (
        "authenticated-encrypted"
    )
    """What an APDU needs at least, sent and received."""
    general: bool = False
    """Send general-glo- and general-ded-ciphering instead of the service's own tags."""
    dedicated_key: bool = False
    """Agree on a new key for every association."""


class ReferencingTemplate(Record):
    """How the meter names attributes and methods."""

    names: Literal["logical-name", "short-name"] = "logical-name"
    base_names: dict[ObjectName, Annotated[int, Field(ge=0, le=0xFFFF)]] = Field(
        default_factory=dict
    )
    """By ``class:logical name``; without them the association view is read each time."""


class AssociationsTemplate(Record):
    """Which client reads, which one writes, and which one needs no secret."""

    public: AssociationTemplate = AssociationTemplate(client_address=16)
    reading: AssociationTemplate
    management: AssociationTemplate


class TimesTemplate(Record):
    """How long this kind of meter may take; every wait on the meter ends by one of these."""

    connect_s: float = Field(default=5, gt=0)
    answer_s: float = Field(default=5, gt=0)
    """Longest silence inside one exchange."""
    exchange_s: float = Field(default=60, gt=0)
    """Longest exchange, all its blocks together."""
    relay_s: float = Field(default=5, gt=0)
    """How long the relay may take to move before its state is called unchanged."""
    relay_poll_s: float = Field(default=0.1, gt=0)
    verification_s: float = Field(default=600, gt=0)
    """How long the meter may be busy with an image before it is called stuck."""
    activation_s: float = Field(default=900, gt=0)
    """How long it may take to answer with its new firmware after it was asked to activate it."""
    keep_open_s: float = Field(default=0, ge=0, le=3600)
    """How long the reading association stays open for the next reading; below the inactivity
    time-out of the meter. 0: it is released after each."""


class LimitsTemplate(Record):
    """How much this kind of meter can bear."""

    max_pdu: int = Field(default=0xFFFF, ge=64, le=0xFFFF)
    with_list_max: int = Field(default=1, ge=1)
    """Attributes in one GET; 1 where GET with list is not supported."""
    selective_access: Literal["range", "none"] = "range"
    """Whether rows of a profile can be chosen by time; else the whole buffer is read."""
    general_blocks: bool = False
    """Offer general block transfer."""
    block_window: int = Field(default=16, ge=1, le=63)
    """General blocks that we take in a row."""
    entry_access: bool = True
    """Whether the profile can be selected by entry number too."""
    rows_per_chunk: int = Field(default=500, ge=10, le=20000)
    buffer_days: int = Field(default=60, ge=1)
    """How far back a first read looks where the oldest entry cannot be asked for."""


class ObjectsTemplate(Record):
    """Where the objects are; absent means that this kind of meter has none."""

    clock: LogicalName = obis.parse("0.0.1.0.0.255")
    logical_device_name: LogicalName = obis.parse("0.0.42.0.0.255")
    serial_number: OptionalName = obis.parse("0.0.96.1.0.255")
    firmware: OptionalName = obis.parse("1.0.0.2.0.255")
    model: OptionalName = None
    invocation_counter: LogicalName = obis.parse("0.0.43.1.0.255")
    load_profile: OptionalName = obis.parse("1.0.99.1.0.255")
    further_profiles: tuple[LogicalName, ...] = ()
    """Profiles beside the load profile, as of daily or billing values; read as often as the logs,
    each from a mark of its own."""
    event_log: OptionalName = obis.parse("0.0.99.98.0.255")
    """The standard log."""
    special_days: LogicalName = obis.parse("0.0.11.0.0.255")
    activity_calendar: LogicalName = obis.parse("0.0.13.0.0.255")
    tariff_scripts: LogicalName = obis.parse("0.0.10.0.100.255")
    limiter: LogicalName = obis.parse("0.0.17.0.0.255")
    disconnect_scripts: LogicalName = obis.parse("0.0.10.0.106.255")
    """Script 1 disconnects, script 2 reconnects."""
    security_setup: LogicalName = obis.parse("0.0.43.0.0.255")
    """Of the association that changes keys."""
    fraud_log: OptionalName = None
    disconnector_log: OptionalName = None
    power_quality_log: OptionalName = None
    communication_log: OptionalName = None
    disconnect_control: OptionalName = obis.parse("0.0.96.3.10.255")
    image_transfer: OptionalName = obis.IMAGE_TRANSFER

    def logs(self) -> dict[EventLogName, bytes]:
        """Return the event logs of this kind of meter; last the standard one, it may hold all."""
        known: dict[EventLogName, bytes | None] = {
            "fraud": self.fraud_log,
            "disconnector": self.disconnector_log,
            "power_quality": self.power_quality_log,
            "communication": self.communication_log,
            "standard": self.event_log,
        }
        return {name: where for name, where in known.items() if where is not None}


class ClockTemplate(Record):
    """How the meter's clock is to be taken."""

    zone: str = "UTC"
    """IANA zone of times that carry no deviation."""
    wrong_sign: bool = False
    """The meter writes its deviation with the sign turned round."""
    limit_s: float = Field(default=60, gt=0)
    """A drift beyond this is reported as an event."""

    @model_validator(mode="after")
    def _zone_exists(self) -> Self:
        zone_named(self.zone)
        return self


class SnapshotTemplate(Record):
    """The registers read between load-profile captures."""

    registers: tuple[LogicalName, ...] = ()


class ScheduleTemplate(Record):
    """How often this kind of meter is read, where `[schedule]` of gateway.toml does not say."""

    profile_s: float | None = Field(default=None, gt=0)
    snapshot_s: float | None = Field(default=None, gt=0)
    events_s: float | None = Field(default=None, gt=0)


class ScalerUnitTemplate(Record):
    """Exponent and unit code (Blue Book, physical units) where the meter does not send them."""

    scaler: int = Field(ge=-128, le=127)
    unit: int = Field(ge=0, le=255)


def scaler_unit_of(
    known: Mapping[str, ScalerUnitTemplate], logical_name: bytes
) -> ScalerUnit | None:
    """Return what patterns say of a logical name; the one with fewest ``*`` wins, None if none."""
    groups = obis.text(logical_name).split(".")
    fitting = [
        (pattern.count("*"), entry.scaler, entry.unit)
        for pattern, entry in known.items()
        if all(said in ("*", group) for said, group in zip(pattern.split("."), groups, strict=True))
    ]
    return ScalerUnit(*min(fitting)[1:]) if fitting else None


class PushTemplate(Record):
    """How a push of this kind of meter is laid out."""

    layout: Literal["auto", "named", "object-list", "positional"] = "auto"
    """A layout of `hesper_dlms.push`."""
    objects: dict[int, tuple[LogicalName, ...]] = Field(default_factory=dict)
    """For bodies without logical names: the list of them, by the count of values."""
    scaler_units: dict[Pattern, ScalerUnitTemplate] = Field(default_factory=dict)
    """By logical name or pattern, for pushes that carry none."""
    profile: LogicalName = obis.parse("0.7.25.9.0.255")
    """The profile under which the rows are stored."""


class EventTextTemplate(Record):
    """What one code of the event log means."""

    code: str
    severity: Literal["info", "warning", "critical"] = "info"
    text: str


class MeterTemplate(Record):
    """Everything that is known of one kind of meter before it is asked."""

    name: str
    description: str
    verified: Literal["captured", "simulated", "unverified"]
    """What the facts rest on: captures of real meters, our simulator, or documents alone."""
    engine: Literal["hesper", "gurux"] = "hesper"
    """Who writes and reads the APDUs: our own stack, or gurux_dlms, which only reads."""
    recognised_by: tuple[str, ...] = ()
    """How logical device names of such meters begin: the maker's three letters (FLAG), or more."""
    link: LinkTemplate
    addresses: AddressesTemplate = AddressesTemplate()
    associations: AssociationsTemplate | None = None
    """Absent for meters that only push."""
    security: SecurityTemplate = SecurityTemplate()
    referencing: ReferencingTemplate = ReferencingTemplate()
    times: TimesTemplate = TimesTemplate()
    limits: LimitsTemplate = LimitsTemplate()
    objects: ObjectsTemplate = ObjectsTemplate()
    clock: ClockTemplate = ClockTemplate()
    snapshot: SnapshotTemplate = SnapshotTemplate()
    schedule: ScheduleTemplate = ScheduleTemplate()
    scaler_units: dict[Pattern, ScalerUnitTemplate] = Field(default_factory=dict)
    """By logical name or pattern, for registers that are read and tell none."""
    push: PushTemplate | None = None
    events: dict[int, EventTextTemplate] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _reads_or_listens(self) -> Self:
        if self.associations is None and self.push is None:
            raise ValueError("needs [associations] (a meter to read) or [push] (one to listen to)")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for role in ("reading", "management"):
            used: AssociationTemplate | None = getattr(self.associations, role, None)
            if used and used.authentication == "high-ecdsa" and self.security.suite == 0:
                raise ValueError(f"associations.{role}: high-ecdsa needs security.suite 1 or 2")
        return self

    @model_validator(mode="after")
    def _engine_can(self) -> Self:
        if self.engine == "gurux":
            cannot = [name for name, asked in _beyond_gurux(self).items() if asked]
            if cannot:
                raise ValueError(f'engine = "gurux" cannot do this: {", ".join(cannot)}')
        return self


def _beyond_gurux(template: MeterTemplate) -> dict[str, bool]:
    """Return what our checks of that engine do not cover, and whether a template asks for it."""
    roles = template.associations.model_dump().values() if template.associations else ()
    security = template.security
    return {
        "push alone (no [associations])": template.associations is None,
        f"link.kind {template.link.kind!r}": template.link.kind not in ("wrapper", "hdlc"),
        "short names": template.referencing.names == "short-name",
        "general block transfer": template.limits.general_blocks,
        "security.suite other than 0": security.suite != 0,
        "security.policy other than authenticated-encrypted": (
            security.policy != "authenticated-encrypted"
        ),
        "security.general": security.general,
        "security.dedicated_key": security.dedicated_key,
        "high-ecdsa": any(role["authentication"] == "high-ecdsa" for role in roles),
    }

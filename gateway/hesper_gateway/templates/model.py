"""The form of a meter template (one frozen record per table of the TOML file)."""

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hesper_dlms import obis
from hesper_dlms.errors import DlmsError
from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from hesper_gateway.config import Record


def _logical_name(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return obis.parse(str(value))
    except DlmsError as error:
        raise ValueError(f"{value!r} is no logical name such as '1.0.1.8.0.255'") from error


Pattern = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}|\*)(\.(\d{1,3}|\*)){5}$")]
"""A logical name in which ``*`` stands for any value of a group."""

LogicalName = Annotated[bytes, BeforeValidator(_logical_name)]
"""Six octets, written in the usual dotted form."""


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


class AssociationTemplate(Record):
    """One client of the meter, and how it proves itself."""

    client_address: int = Field(ge=0, le=0x7F)
    authentication: Literal["none", "low", "high-gmac"] = "none"
    ciphered: bool = False
    """Suite 0 authenticated encryption of every APDU."""


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


class LimitsTemplate(Record):
    """How much this kind of meter can bear."""

    max_pdu: int = Field(default=0xFFFF, ge=64, le=0xFFFF)
    with_list_max: int = Field(default=1, ge=1)
    """Attributes in one GET; 1 where GET with list is not supported."""
    selective_access: Literal["range", "none"] = "range"
    entry_access: bool = True
    """Whether the profile can be selected by entry number too."""
    rows_per_chunk: int = Field(default=500, ge=10, le=20000)
    buffer_days: int = Field(default=60, ge=1)
    """How far back a first read looks where the oldest entry cannot be asked for."""


class ObjectsTemplate(Record):
    """Where the objects are; absent means that this kind of meter has none."""

    clock: LogicalName = obis.parse("0.0.1.0.0.255")
    logical_device_name: LogicalName = obis.parse("0.0.42.0.0.255")
    serial_number: LogicalName | None = obis.parse("0.0.96.1.0.255")
    firmware: LogicalName | None = obis.parse("1.0.0.2.0.255")
    model: LogicalName | None = None
    invocation_counter: LogicalName = obis.parse("0.0.43.1.0.255")
    load_profile: LogicalName | None = obis.parse("1.0.99.1.0.255")
    event_log: LogicalName | None = obis.parse("0.0.99.98.0.255")
    disconnect_control: LogicalName | None = obis.parse("0.0.96.3.10.255")


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


class ScalerUnitTemplate(Record):
    """Exponent and unit code (Blue Book, physical units) where the meter does not send them."""

    scaler: int = Field(ge=-128, le=127)
    unit: int = Field(ge=0, le=255)


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
    link: LinkTemplate
    associations: AssociationsTemplate | None = None
    """Absent for meters that only push."""
    times: TimesTemplate = TimesTemplate()
    limits: LimitsTemplate = LimitsTemplate()
    objects: ObjectsTemplate = ObjectsTemplate()
    clock: ClockTemplate = ClockTemplate()
    snapshot: SnapshotTemplate = SnapshotTemplate()
    push: PushTemplate | None = None
    events: dict[int, EventTextTemplate] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _reads_or_listens(self) -> Self:
        if self.associations is None and self.push is None:
            raise ValueError("needs [associations] (a meter to read) or [push] (one to listen to)")
        return self

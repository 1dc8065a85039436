"""What the services of assets give out and take: frozen records, times aware UTC."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

AssetKind = Literal["customer", "sim", "meter", "gateway", "area", "model", "tariff", "element"]


@dataclass(frozen=True, slots=True)
class AssetQuery:
    """Which assets of one kind, in which order, which part of the list.

    ``filters`` are fields that must be equal; ``deleted`` asks for those that were deleted.
    """

    search: str = ""
    filters: dict[str, Any] = field(default_factory=dict)
    deleted: bool = False
    sort: str = ""
    descending: bool = False
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """One customer, with the serial numbers of the meters that serve it."""

    id: int
    account_number: str
    name: str
    address: str | None
    phone: str | None
    email: str | None
    area: str | None
    customer_type: str | None
    tariff: str | None
    connection_date: date | None
    state: str  # active | inactive
    meters: tuple[str, ...]
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class SimRow:
    """One SIM card and where it is."""

    id: int
    number: str | None
    iccid: str
    imsi: str | None
    msisdn: str | None
    provider: str | None
    state: str  # stock | active | suspended | retired
    ip_address: str | None
    apn: str | None
    data_limit_mb: int | None
    data_used_mb: int | None
    activation_date: date | None
    meter: str | None
    gateway: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class MeterCard:
    """What people keep of one meter; how it does stands in ``MeterRow``."""

    id: str
    life: str  # planned | stock | installed | commissioned | removed
    gateway: str | None
    brand: str | None
    model: str | None
    meter_type: str | None
    firmware: str | None
    template: str | None
    ip_address: str | None
    port: int | None
    customer_id: int | None
    customer: str | None
    account_number: str | None
    sim_id: int | None
    iccid: str | None
    address: str | None
    area: str | None
    latitude: float | None
    longitude: float | None
    life_support: bool
    version: int
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class GatewayCard:
    """What people keep of one gateway; ``sims`` are the numbers (ICCID) of its SIM cards."""

    id: str
    life: str  # planned | stock | installed | removed
    address: str | None
    area: str | None
    latitude: float | None
    longitude: float | None
    sims: tuple[str, ...]
    version: int
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class AreaRow:
    """One area; ``parent`` is the one that it belongs to."""

    name: str
    parent: str | None
    latitude: float | None
    longitude: float | None
    meters: int
    version: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of meter, and how many there are of it."""

    id: int
    brand: str
    model: str
    meter_type: str | None
    template: str | None
    meters: int
    version: int


@dataclass(frozen=True, slots=True)
class TariffRow:
    """One tariff plan, and how many customers are on it."""

    name: str
    description: str | None
    customers: int
    version: int


@dataclass(frozen=True, slots=True)
class ElementRow:
    """One area, feeder or transformer of the grid, with the meters that stand there now."""

    id: str
    kind: str  # area | feeder | transformer
    name: str
    parent: str | None
    meters: int


AssetRow = (
    CustomerRow | SimRow | MeterCard | GatewayCard | AreaRow | ModelRow | TariffRow | ElementRow
)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change of one asset: the fields that changed, as they were and as they became."""

    id: int
    kind: str
    asset: str
    at: datetime
    who: str
    action: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str | None


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """What a register showed when a meter went into service or out of it, or was exchanged."""

    meter: str
    at: datetime
    occasion: str  # first | final | initial
    source: str  # meter | person
    logical_name: str
    value: int
    scaler: int
    unit: int
    symbol: str
    who: str


@dataclass(frozen=True, slots=True)
class ExchangeRow:
    """One meter that took another's place."""

    id: int
    old_meter: str
    new_meter: str
    at: datetime
    logical_name: str
    final_register: int
    initial_register: int
    scaler: int
    unit: int
    symbol: str
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class FirmwareSeen:
    """One version of firmware, and on how many meters or gateways it was seen."""

    type: str  # meter | gateway
    model: str | None
    version: str
    count: int


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One asset that a search found; ``page`` is where the console shows it."""

    kind: str
    id: str
    title: str
    detail: str
    page: str


@dataclass(frozen=True, slots=True)
class RegisterWish:
    """What a person read from a register at a moment."""

    value: int
    at: datetime
    logical_name: str = "1.0.1.8.0.255"
    scaler: int = 0
    unit: int = 30  # Wh


@dataclass(frozen=True, slots=True)
class ExchangeWish:
    """One meter is to take another's place; both registers are of one kind and unit."""

    new_meter: str
    final: RegisterWish
    initial_register: int
    reason: str

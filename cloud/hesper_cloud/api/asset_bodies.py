"""What requests say of assets: the fields of each kind; null empties one, what is absent stays.

Types stand here; what a field may hold is checked where it is kept (`assets.kinds`).
"""

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hesper_cloud.api.paging import Paged
from hesper_cloud.services.asset_records import AssetQuery


class Body(BaseModel):
    """A request's body; a field that it does not have is an error."""

    model_config = ConfigDict(extra="forbid")

    def said(self) -> dict[str, Any]:
        """Returns what was said, null included, and nothing else."""
        return self.model_dump(exclude_unset=True)


class CustomerChange(Body):
    """Fields of a customer."""

    account_number: str | None = None
    name: str | None = None
    address: str | None = None
    phone: str | None = None
    email: str | None = None
    area: str | None = None
    customer_type: str | None = None
    tariff: str | None = None
    connection_date: date | None = None
    state: str | None = Field(default=None, description="active or inactive")


class NewCustomer(CustomerChange):
    """A customer."""

    account_number: str
    name: str
    state: str = "active"


class SimChange(Body):
    """Fields of a SIM card; it is in a meter or in a gateway."""

    number: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    msisdn: str | None = None
    provider: str | None = None
    state: str | None = Field(default=None, description="stock, active, suspended or retired")
    ip_address: str | None = None
    apn: str | None = None
    data_limit_mb: int | None = None
    data_used_mb: int | None = None
    activation_date: date | None = None
    meter: str | None = None
    gateway: str | None = None


class NewSim(SimChange):
    """A SIM card."""

    iccid: str
    state: str = "stock"


class Place(Body):
    """Where something is."""

    address: str | None = None
    area: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class MeterChange(Place):
    """Fields of a meter. What commands are signed by is refused here, with the way to change it."""

    model_config = ConfigDict(extra="allow")

    life: str | None = Field(default=None, description="planned or stock; the rest are actions")
    brand: str | None = None
    model: str | None = None
    meter_type: str | None = None
    firmware: str | None = None
    template: str | None = None
    ip_address: str | None = None
    port: int | None = None
    customer_id: int | None = None
    account_number: str | None = Field(default=None, description="In the place of customer_id")
    sim_id: int | None = None
    iccid: str | None = Field(default=None, description="In the place of sim_id")


class NewMeter(MeterChange):
    """A meter, planned or in stock; ``id`` is its serial number."""

    id: str
    life: str = "planned"


class GatewayChange(Place):
    """Fields of a gateway that people keep."""

    life: str | None = Field(default=None, description="planned, stock, installed or removed")


class NewGateway(GatewayChange):
    """A gateway; its key comes with its enrolment."""

    id: str
    life: str = "planned"


class AreaChange(Body):
    """Fields of an area."""

    parent: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class NewArea(AreaChange):
    """An area."""

    name: str


class ModelChange(Body):
    """Fields of a model of meter."""

    brand: str | None = None
    model: str | None = None
    meter_type: str | None = None
    template: str | None = None


class NewModel(ModelChange):
    """A model of meter."""

    brand: str
    model: str


class TariffChange(Body):
    """Fields of a tariff."""

    description: str | None = None


class NewTariff(TariffChange):
    """A tariff."""

    name: str


class ElementChange(Body):
    """Fields of an area, feeder or transformer of the grid."""

    kind: str | None = Field(default=None, description="area, feeder or transformer")
    name: str | None = None
    parent: str | None = None


class NewElement(ElementChange):
    """An area, feeder or transformer of the grid."""

    id: str
    kind: str
    name: str


class AssetsAsked(Paged):
    """Which assets: words that all must be found in one, and those that were deleted."""

    search: str = Field(default="", max_length=200)
    deleted: bool = False

    def query(self) -> AssetQuery:
        """Returns it as services take it."""
        own = AssetsAsked.model_fields
        filters = {name: value for name, value in self if name not in own}
        return AssetQuery(self.search, filters, self.deleted, limit=self.limit)


class CustomersAsked(AssetsAsked):
    """Which customers."""

    area: str | None = None
    customer_type: str | None = None
    tariff: str | None = None
    state: str | None = None


class SimsAsked(AssetsAsked):
    """Which SIM cards."""

    state: str | None = None
    provider: str | None = None
    apn: str | None = None
    meter: str | None = None
    gateway: str | None = None

"""What requests say of a meter's life: where it is installed, what its registers showed."""

from typing import Literal

from pydantic import AwareDatetime, Field

from hesper_cloud.api.asset_bodies import Body, Place
from hesper_cloud.services.asset_records import ExchangeWish, RegisterWish

_WHOLE = 2**63 - 1


class Register(Body):
    """What a person read from a register: ``value * 10**scaler`` in a DLMS unit."""

    value: int = Field(ge=0, le=_WHOLE)
    at: AwareDatetime
    logical_name: str = "1.0.1.8.0.255"
    scaler: int = Field(default=0, ge=-9, le=9)
    unit: int = Field(default=30, ge=0, le=255)

    def wish(self) -> RegisterWish:
        """Returns it as services take it."""
        return RegisterWish(**self.model_dump())


class Installation(Place):
    """Where a meter is installed, and behind which gateway if that is known."""

    gateway: str | None = None
    customer_id: int | None = None
    sim_id: int | None = None


class Commissioning(Body):
    """The first read; without one, what the meter sent since it was installed."""

    first_read: Register | None = None
    life_support: bool = False


class Exchange(Body):
    """The meter that takes the place, and what both registers showed at that moment."""

    new_meter: str
    final: Register
    initial_register: int = Field(ge=0, le=_WHOLE)
    reason: str = Field(min_length=3, max_length=500)

    def wish(self) -> ExchangeWish:
        """Returns it as services take it."""
        return ExchangeWish(self.new_meter, self.final.wish(), self.initial_register, self.reason)


class Removal(Body):
    """Why a meter is removed, and what its register showed."""

    reason: str = Field(min_length=3, max_length=500)
    final_read: Register | None = None


class MeterPlace(Body):
    """What a meter measures at an element, and since when."""

    role: Literal["inflow", "customer"] = "customer"
    since: AwareDatetime


class Protecting(Body):
    """Why a supply is never to be cut."""

    reason: str = Field(min_length=3, max_length=500)

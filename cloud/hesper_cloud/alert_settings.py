"""Configuration of alerts and of their delivery."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from pydantic import BaseModel, ConfigDict, Field, field_validator


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlertSettings(_Section):
    """What makes one alert of many, and how long alerts are kept."""

    storm_meters: int = Field(default=10, ge=2)  # fewer are told one by one
    storm_share_percent: float = Field(default=50, gt=0, le=100)  # of what hangs on an element
    storm_critical_meters: int = Field(default=100, ge=2)  # from here on a storm is critical
    surface_after_s: int = Field(default=60, ge=0)  # what still holds when its parent has cleared
    flood_per_10_min: int = Field(default=100, ge=2)  # more new alerts are a flood
    longest_shelf_days: int = Field(default=30, ge=1)
    kept_days: int = Field(default=400, ge=1)  # after an alert was cleared


class DeliverySettings(_Section):
    """How alerts leave the house."""

    reachable: tuple[str, ...] = ()  # networks of our own that targets may be in, as CIDR
    settle_s: int = Field(default=10, ge=0)  # an alert may give way to a greater one meanwhile
    timeout_s: float = Field(default=10, gt=0, le=60)
    retry_s: int = Field(default=15, ge=1)  # doubles with every failure
    retry_longest_s: int = Field(default=1800, ge=1)
    expire_days: int = Field(default=14, ge=1)  # what could not be delivered by then
    console_url: str = Field(default="", max_length=200)  # named in messages
    alarm_after_failures: int = Field(default=3, ge=1)
    kept_days: int = Field(default=90, ge=1)

    @field_validator("reachable")
    @classmethod
    def _networks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            ip_network(name)
        return names

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of our own that targets may be in."""
        return tuple(ip_network(name) for name in self.reachable)

"""The meters of gateway.toml, how often they are visited and what may be done to them."""

from typing import Self

from pydantic import Field, model_validator

from hesper_gateway.config.fields import (
    LineName,
    MeterId,
    ModeEAddress,
    Phone,
    Record,
    RelativePath,
    SystemTitle,
)


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

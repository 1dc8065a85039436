"""The meter's clock, and how far it is from the gateway's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hesper_contracts.quality import Quality
from hesper_dlms.axdr import Data
from hesper_dlms.cosem_time import DOUBTFUL, INVALID, STATUS_NOT_SPECIFIED, CosemDateTime
from hesper_dlms.errors import DecodeError, ServiceError

from hesper_gateway.errors import MeterDistrusted
from hesper_gateway.templates.model import ClockTemplate, zone_named

CLOCK_CLASS = 8
EARLIEST_S = int(datetime(1970, 1, 1, tzinfo=UTC).timestamp())
LATEST_S = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp())
"""Epoch seconds that can be a meter's present: there is a date in any zone for what lies around."""


@dataclass(frozen=True, slots=True)
class MeterTime:
    """One reading of a meter's clock.

    ``captured_at`` is epoch seconds by the meter, ``drift_s`` meter minus gateway; a clock that
    names no instant between 1970 and 9000 is replaced by the gateway's, which ``quality`` tells.
    """

    captured_at: int
    clock_status: int
    quality: int
    drift_s: float
    deviation_minutes: int | None

    @property
    def names_no_time(self) -> bool:
        """Whether the gateway's time stands here, so that ``drift_s`` says nothing."""
        return bool(self.quality & Quality.TIME_ASSUMED)


@dataclass(frozen=True, slots=True)
class ClockPolicy:
    """How one meter's times are to be read: its zone and the known faults of its kind."""

    zone: ZoneInfo
    wrong_sign: bool
    limit_s: float

    @classmethod
    def of(cls, template: ClockTemplate, zone: str | None) -> "ClockPolicy":
        """Return the template's policy with the meter's own zone, where one is configured."""
        return cls(zone_named(zone or template.zone), template.wrong_sign, template.limit_s)


@dataclass(frozen=True, slots=True)
class RowClock:
    """How one meter's rows are dated: the policy, how it writes its time, and what time it has.

    ``deviation_minutes`` is the one that its clock shows, None where that shows none; ``present``
    the meter's own time, epoch seconds.
    """

    policy: ClockPolicy
    deviation_minutes: int | None
    present: Callable[[], float]


def quality_of(clock_status: int) -> Quality:
    """Return the flags that a clock status octet stands for."""
    if clock_status == STATUS_NOT_SPECIFIED:
        return Quality(0)
    flags = Quality(0)
    if clock_status & INVALID:
        flags |= Quality.CLOCK_INVALID
    if clock_status & DOUBTFUL:
        flags |= Quality.CLOCK_DOUBTFUL
    return flags


def meter_time(octets: bytes, policy: ClockPolicy, received_at: float) -> MeterTime:
    """Return the instant that twelve octets of a meter's clock name.

    In the doubled hour of autumn it is the nearer of both for a meter that has no daylight-saving
    bit set: some never set it, and would be an hour ahead.

    Raises:
        DecodeError: these are no twelve octets.
    """
    fields = CosemDateTime.from_octets(octets)
    status = STATUS_NOT_SPECIFIED if fields.clock_status is None else fields.clock_status
    try:
        moment = _present(fields, policy, received_at)
    except DecodeError:
        assumed = quality_of(status) | Quality.TIME_ASSUMED
        return MeterTime(int(received_at), status, assumed, 0.0, fields.deviation)
    return MeterTime(
        int(moment), status, quality_of(status), moment - received_at, fields.deviation
    )


def _present(fields: CosemDateTime, policy: ClockPolicy, received_at: float) -> float:
    """Return epoch seconds; DecodeError when the fields name no instant, or none of our times."""
    arrived_at = as_utc(received_at)
    moment = fields.resolve_at_arrival(policy.zone, policy.wrong_sign, arrived_at).captured_at
    if not EARLIEST_S <= moment.timestamp() <= LATEST_S:
        raise DecodeError(f"{moment} is no present")
    return moment.timestamp()


def time_told(
    value: Data | ServiceError, policy: ClockPolicy, asked_at: float, answered_at: float
) -> MeterTime:
    """Return what a meter answered for its clock; drift counts from the middle of the exchange.

    Raises:
        MeterDistrusted: it did not tell its time.
    """
    try:
        if isinstance(value, ServiceError):
            raise value
        return meter_time(value.as_octets(), policy, (asked_at + answered_at) / 2)
    except (DecodeError, ServiceError) as error:
        raise MeterDistrusted(f"the meter does not tell its time: {error}") from error


def as_utc(epoch_s: float) -> datetime:
    """Return the aware UTC instant of an epoch time."""
    return datetime.fromtimestamp(epoch_s, UTC)

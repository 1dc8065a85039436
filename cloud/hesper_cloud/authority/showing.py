"""What results prove is shown in the registry: where relays stand, which firmware meters run."""

from collections.abc import Sequence
from datetime import datetime

from hesper_contracts.results import CommandResult, RelayReading
from msgspec import UnsetType
from sqlalchemy import select
from sqlalchemy.orm import Session, load_only

from hesper_cloud.db.registry import CLOCK_TOLERANCE, Meter

_DETAIL_LIMIT = 500
_SHOWN = (Meter.relay_output, Meter.relay_control, Meter.relay_confirmed_at, Meter.firmware)


def show(session: Session, results: Sequence[CommandResult], now: datetime) -> None:
    """Shows what these results tell, in their order; all of them were believed."""
    telling = [result for result in results if _relay(result) or _firmware(result)]
    names = [result.meter for result in telling]
    query = select(Meter).where(Meter.id.in_(names)).options(load_only(*_SHOWN))
    meters = {meter.id: meter for meter in session.scalars(query)}
    for result in telling:
        meter = meters.get(result.meter)
        if meter is not None:
            _show_relay(meter, result, now)
            meter.firmware = plain(_firmware(result)) or meter.firmware


def plain(text: str) -> str:
    """Returns a gateway's words without control characters: PostgreSQL takes no NUL."""
    return "".join(filter(str.isprintable, text))[:_DETAIL_LIMIT]


def _relay(result: CommandResult) -> RelayReading | None:
    return result.relay_after or result.relay_before


def _firmware(result: CommandResult) -> str:
    """Returns the version that was read back after an activation, empty where none was."""
    return "" if isinstance(result.findings, UnsetType) else result.findings.firmware_after


def _show_relay(meter: Meter, result: CommandResult, now: datetime) -> None:
    """Shows what was read, at the latest when the gateway said so and now: its clock may run ahead.

    When it said so it tells by proven time; so a result that comes again later is no newer reading.
    What is shown for read at a time that has not come is of clocks that were ahead, and gives way.
    """
    seen = _relay(result)
    if seen is None:
        return
    read_at = min(seen.read_at, result.at, now)
    known_at = meter.relay_confirmed_at
    if known_at is None or known_at < read_at or known_at > now + CLOCK_TOLERANCE:
        meter.relay_output = seen.output
        meter.relay_control = seen.control_state
        meter.relay_confirmed_at = read_at

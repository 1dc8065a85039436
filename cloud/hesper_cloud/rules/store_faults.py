"""What is wrong with the store of readings, told to people."""

from datetime import UTC, datetime

from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.stores.port import Fault, ReadingStore


def tend(store: ReadingStore, alerts: Alerts, now: datetime) -> None:
    """Lets the store do its upkeep, and raises an alert for everything that is wrong with it."""
    for fault in store.maintain(int(now.timestamp())):
        alerts.raise_(Subject(f"store-damaged/{fault.name}"), "critical", _text(fault), at=now)


def _text(fault: Fault) -> str:
    first, last = (datetime.fromtimestamp(at, UTC) for at in (fault.start, fault.end - 1))
    return (
        f"Readings of {first:%Y-%m-%d} to {last:%Y-%m-%d} are missing until they are read again "
        f"or restored: {fault.text}."
    )

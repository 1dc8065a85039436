"""What is wrong with the store of readings, told to people."""

from datetime import UTC, datetime

from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.stores.port import Fault, ReadingStore
from hesper_cloud.worded import worded


def tend(store: ReadingStore, alerts: Alerts, now: datetime) -> list[Fault]:
    """Lets the store do its upkeep; returns all that is wrong with it, and raises an alert each."""
    faults = store.maintain(int(now.timestamp()))
    for fault in faults:
        alerts.raise_(Subject(f"store-damaged/{fault.name}"), "critical", _text(fault), at=now)
    return faults


def _text(fault: Fault) -> str:
    first, last = (datetime.fromtimestamp(at, UTC) for at in (fault.start, fault.end - 1))
    return worded(
        "Readings of {first} to {last} are missing until they are read again or restored: {fault}.",
        first=f"{first:%F}",
        last=f"{last:%F}",
        fault=fault.text,
    )

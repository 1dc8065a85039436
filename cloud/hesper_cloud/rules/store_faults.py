"""What is wrong with the store of readings, told to people."""

from datetime import UTC, datetime

from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.stores.port import Fault, ReadingStore
from hesper_cloud.worded import worded

_DAMAGED = "store-damaged/"


def tend(store: ReadingStore, alerts: Alerts, now: datetime) -> list[Fault]:
    """Lets the store do its upkeep; returns all that is wrong with it, each with its alert."""
    faults = store.maintain(int(now.timestamp()))
    wrong = {Subject(f"{_DAMAGED}{fault.name}"): _text(fault) for fault in faults}
    alerts.settle(
        [Telling(subject, "critical", text, now) for subject, text in wrong.items()],
        [(subject, now) for subject in alerts.open_subjects(_DAMAGED) - wrong.keys()],
    )
    return faults


def _text(fault: Fault) -> str:
    first, last = (datetime.fromtimestamp(at, UTC) for at in (fault.start, fault.end - 1))
    return worded(
        "Readings of {first} to {last} are missing until they are read again or restored: {fault}.",
        first=f"{first:%F}",
        last=f"{last:%F}",
        fault=fault.text,
    )

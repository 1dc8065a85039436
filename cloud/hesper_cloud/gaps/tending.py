"""The store is looked after; what it has lost is missing as soon as that is known."""

from collections.abc import Callable
from datetime import datetime

from hesper_cloud.gaps.captures import Captures
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.store_faults import tend
from hesper_cloud.stores.port import ReadingStore


class Tending:
    """Lets the store do its upkeep; `turn` is called by the jobs."""

    def __init__(
        self,
        store: ReadingStore,
        alerts: Alerts,
        clock: Callable[[], datetime],
        captures: Captures | None,
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._captures = captures
        self._known: set[str] = set()

    def turn(self) -> None:
        """Does what is due; what is newly lost, or back, is known to nobody any longer."""
        lost = {fault.name for fault in tend(self._store, self._alerts, self._clock())}
        if self._captures is not None and lost != self._known:
            self._captures.doubt()
        self._known = lost

"""What gateways tell of themselves that a person must see to: a disk that is full or takes no
writes, a clock that is far off.

A status that no longer says so clears the alert. What is not known clears nothing: of a gateway
that is away its last status holds, and one that has just started has not proven its time yet.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, select

from hesper_cloud.assets.lives import IN_SERVICE
from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Gateway
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.worded import later, worded

DISK, BROKEN, CLOCK = "gateway-disk-full", "gateway-disk-failing", "gateway-clock-off"
FAR_OFF_MS, RIGHT_AGAIN_MS = 60_000, 30_000
"""Proving the time takes up to ten seconds, by which a clock that is right may seem behind."""
_MS_PER_MINUTE = 60_000
_AHEAD = later(
    "The clock of gateway {gateway} is {minutes} min ahead: what it reads and tells bears a wrong "
    "time, and it sets no meter's clock. See on the gateway that time comes from the network."
)
_BEHIND = later(
    "The clock of gateway {gateway} is {minutes} min behind: what it reads and tells bears a wrong "
    "time, and it sets no meter's clock. See on the gateway that time comes from the network."
)
_FULL = later(
    "The disk of gateway {gateway} is full: it goes on with the room that its outbox frees, then "
    "it stops reading and meters keep what they have. Free its disk of what is not Hesper's."
)
_FAILING = later(
    "The disk of gateway {gateway} takes no writes: it sends what it has, reads no meters and "
    "carries out no commands; meters keep what they have. Replace its card before it is started "
    "anew."
)


class _Told(NamedTuple):
    """What the rule must know of a gateway."""

    id: str
    clock_offset_ms: int | None
    attributes: dict[str, Any]


_IN_SERVICE = select(Gateway.id, Gateway.clock_offset_ms, Gateway.attributes).where(
    Gateway.life.in_(IN_SERVICE), Gateway.deleted_at.is_(None)
)


class GatewayStateRule:
    """Judges every gateway by its last status each time it is asked."""

    def __init__(self, engine: Engine, alerts: Alerts, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._alerts = alerts
        self._clock = clock

    def check(self) -> None:
        """Raises and clears alerts by what the registry says now."""
        now = self._clock()
        with reading(self._engine) as session:
            gateways = [_Told(*row) for row in session.execute(_IN_SERVICE)]
            query = select(Alert.rule, Alert.gateway).where(
                Alert.rule.in_((DISK, BROKEN, CLOCK)), Alert.state != CLEARED
            )
            standing = {Subject(rule, gateway=name) for rule, name in session.execute(query)}
        due = [each for gateway in gateways for each in _judged(gateway, standing, now)]
        over = standing - {each.subject for each in due}
        self._alerts.settle(due, [(subject, now) for subject in sorted(over, key=str)])


def _judged(gateway: _Told, standing: set[Subject], now: datetime) -> Iterator[Telling]:
    """Yields what has to be open of a gateway."""
    disk, broken, clock = (Subject(rule, gateway=gateway.id) for rule in (DISK, BROKEN, CLOCK))
    if gateway.attributes.get("storage_full"):
        yield Telling(disk, "critical", worded(_FULL, gateway=gateway.id), now)
    if gateway.attributes.get("storage_failing"):
        yield Telling(broken, "critical", worded(_FAILING, gateway=gateway.id), now)
    offset_ms = gateway.clock_offset_ms
    if offset_ms is None:
        offset_ms = FAR_OFF_MS if clock in standing else 0
    if abs(offset_ms) >= (RIGHT_AGAIN_MS if clock in standing else FAR_OFF_MS):
        words = _AHEAD if offset_ms > 0 else _BEHIND
        minutes = max(1, round(abs(offset_ms) / _MS_PER_MINUTE))
        yield Telling(clock, "warning", worded(words, gateway=gateway.id, minutes=minutes), now)

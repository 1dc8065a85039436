"""Meters for which the alert of a rule that follows readings is open.

The rule itself raises and clears, in ingest; others clear, too: another consumer, and the work of
every five minutes where a meter is in service no longer, of which no reading tells that all is well
again.
"""

import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import Engine, not_, select
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.rules.alerts import Alerts, Subject

log = logging.getLogger(__name__)
LOOK_EVERY_S = 60.0


class Standing:
    """Looks up anew, each minute, what is open of a rule; of the thread that raises and clears."""

    def __init__(
        self, alerts: Alerts, rule: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._alerts = alerts
        self._rule = rule
        self._clock = clock
        self._looked_at = clock()

    def anew(self) -> set[str] | None:
        """Returns the meters; None where it is not time yet, or nobody can tell."""
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return None
        self._looked_at = now
        try:
            return self._alerts.open_meters(self._rule)
        except SQLAlchemyError as error:
            log.warning("what is open of rule %s is not looked up now: %s", self._rule, error)
            return None


def clear_of_service(engine: Engine, alerts: Alerts, rules: Collection[str], now: datetime) -> None:
    """Clears what stands of some rules about meters that are not in service any more."""
    query = (
        select(Alert.rule, Alert.meter)
        .join(Meter, Meter.id == Alert.meter)
        .where(Alert.rule.in_(rules), Alert.state != CLEARED, not_(in_service()))
    )
    with reading(engine) as session:
        over = [Subject(*row) for row in session.execute(query)]
    alerts.clear_all([(subject, now) for subject in over])

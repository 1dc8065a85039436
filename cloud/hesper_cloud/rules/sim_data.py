"""SIM cards that come near the data limit of their month, or are beyond it.

The provider's figures come by import or over the API (`data_used_mb`); a new month's smaller figure
clears what was told. A card that is in a meter or gateway is told of with that.
"""

from collections.abc import Callable
from datetime import datetime

from hesper_contracts.events import Severity
from sqlalchemy import Engine, Select, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import is_open
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.assets import Sim
from hesper_cloud.db.engines import reading
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.worded import worded

NEAR, LIMIT = "sim-data-near", "sim-data-limit"
NEAR_PERCENT = 80
_WHOLE_PERCENT = 100


class SimDataRule:
    """Judges every SIM card with a limit each time it is asked."""

    def __init__(self, engine: Engine, alerts: Alerts, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._alerts = alerts
        self._clock = clock

    def check(self) -> None:
        """Raises and clears alerts by what the registry says now."""
        now = self._clock()
        with reading(self._engine) as session:
            told = [_telling(card, now) for card in session.scalars(_near_the_limit()).all()]
            standing = _open_subjects(session)
        wanted = {each.subject for each in told}
        new = [each for each in told if each.subject not in standing]
        self._alerts.settle(new, [(subject, now) for subject in sorted(standing - wanted, key=str)])


def _near_the_limit() -> Select[Sim]:
    used = Sim.data_used_mb * _WHOLE_PERCENT
    return select(Sim).where(
        Sim.deleted_at.is_(None),
        Sim.state != "retired",
        used >= Sim.data_limit_mb * NEAR_PERCENT,
        Sim.data_limit_mb > 0,
    )


def _telling(card: Sim, now: datetime) -> Telling:
    used, limit = card.data_used_mb or 0, card.data_limit_mb or 0
    rule, severity, words = _judged(used, limit)
    subject = Subject(f"{rule}/{card.iccid}", meter=card.meter, gateway=card.gateway)
    text = worded(
        "SIM card {iccid} has used {used} MB of {limit} MB: {words}.",
        iccid=card.iccid,
        used=used,
        limit=limit,
        words=words,
    )
    return Telling(subject, severity, text, now)


def _judged(used: int, limit: int) -> tuple[str, Severity, str]:
    if used >= limit:
        return LIMIT, "critical", worded("the month's limit is reached")
    near = worded("at least {percent} % of the month's limit", percent=NEAR_PERCENT)
    return NEAR, "warning", near


def _open_subjects(session: Session) -> set[Subject]:
    ours = or_(*(Alert.rule.startswith(f"{rule}/", autoescape=True) for rule in (NEAR, LIMIT)))
    query = select(Alert.rule, Alert.meter, Alert.gateway).where(ours, is_open())
    return {Subject(rule, meter, gateway) for rule, meter, gateway in session.execute(query)}

"""Use where nobody should use anything: an inactive account, a meter in stock or removed.

What the register showed when the rule first saw such a meter is remembered; when it has grown by
the threshold since, the alert is raised. It goes when the account is active again.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, delete, or_, select
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.db.rules import RuleMemory
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.rules.book import WAITING
from hesper_cloud.rules.built_in import settings_of
from hesper_cloud.worded import worded

RULE = "use-on-inactive-account"
_UNUSED = ("planned", "stock", "removed")


class InactiveUse:
    """Compares registers of meters that should stand still."""

    def __init__(
        self,
        engine: Engine,
        alerts: Alerts,
        latest: LatestValues,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._alerts = alerts
        self._latest = latest
        self._clock = clock

    def turn(self) -> None:
        """Looks at every such meter once."""
        now = self._clock()
        with reading(self._engine) as session:
            wanted = settings_of(session, RULE)
            still = _should_stand_still(session) if wanted.is_on else {}
            known = {
                row.subject: row
                for row in session.scalars(select(RuleMemory).where(RuleMemory.rule == RULE))
            }
        if not still and not known:
            return
        registers = self._registers()
        with writing(self._engine) as session:
            gone = known.keys() - still.keys()
            for meter in gone:
                _forget(session, meter)
            self._alerts.clear_all([(Subject(RULE, meter=each), now) for each in gone], session)
            told = []
            for meter, why in still.items():
                if meter in registers:
                    used = _used(session, known.get(meter), meter, registers[meter], now)
                    if used >= wanted.thresholds["used_wh"]:
                        told.append(_telling(meter, why, used, now))
            self._alerts.raise_all(told, session)

    def _registers(self) -> dict[str, int]:
        """Returns what each meter's register of active energy shows, Wh."""
        found = self._latest.newest(quantities.ACTIVE_ENERGY_IMPORT)
        values = zip(found.meters, found.values.tolist(), found.scalers.tolist(), strict=True)
        return {meter: int(Decimal(value).scaleb(scaler)) for meter, value, scaler in values}


def _should_stand_still(session: Session) -> dict[str, str]:
    """Returns the meters of inactive accounts and those that are not in service, with why."""
    query = (
        select(Meter.id, Meter.life, Customer.account_number, Customer.state)
        .outerjoin(Customer, Customer.id == Meter.customer_id)
        .where(
            Meter.deleted_at.is_(None),
            or_(Meter.life.in_(_UNUSED), Customer.state == "inactive"),
        )
    )
    return {
        meter: worded("account {account} is inactive", account=account)
        if state == "inactive"
        else worded("the meter is {life}", life=life)
        for meter, life, account, state in session.execute(query)
    }


def _used(
    session: Session, known: RuleMemory | None, meter: str, register_wh: int, now: datetime
) -> int:
    """Returns what was used since the rule first saw the meter, Wh; remembers the beginning."""
    start_wh = None if known is None else int(known.facts["register_wh"])
    if known is None or start_wh is None or register_wh < start_wh:
        _forget(session, meter)
        facts = {"register_wh": register_wh}
        session.add(RuleMemory(rule=RULE, subject=meter, phase=WAITING, since=now, facts=facts))
        return 0
    return register_wh - start_wh


def _forget(session: Session, meter: str) -> None:
    session.execute(delete(RuleMemory).where(RuleMemory.rule == RULE, RuleMemory.subject == meter))


def _telling(meter: str, why: str, used_wh: int, now: datetime) -> Telling:
    text = worded("{used:.1f} kWh were used although {why}.", used=used_wh / 1000, why=why)
    return Telling(Subject(RULE, meter=meter), "critical", text, now)

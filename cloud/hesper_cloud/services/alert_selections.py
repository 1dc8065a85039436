"""Alerts that are held for one action: what a filter found, counted before anything is done."""

import asyncio
import uuid
from collections import Counter
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.alerting import Alert, AlertSelection
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.services.alert_actions import Action, Make
from hesper_cloud.services.alert_queries import filtered, seen
from hesper_cloud.services.alert_records import AlertFilter, Done, Selection
from hesper_cloud.services.alerts import Alerts
from hesper_cloud.services.errors import Invalid, NotFound, Refused
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

MOST = 20_000
HELD = timedelta(minutes=15)


class AlertSelections:
    """Holds selections and does one thing to all of their alerts."""

    def __init__(self, sources: Sources, alerts: Alerts) -> None:
        self._sources = sources
        self._alerts = alerts

    async def hold(self, actor: Actor, wanted: AlertFilter) -> Selection:
        """Finds what a filter names and holds it for a quarter of an hour.

        Raises:
            Invalid: there are more than one selection holds.
        """
        require(actor, Permission.ACKNOWLEDGE_ALERT)
        return await asyncio.to_thread(self._hold, actor, wanted)

    async def act(self, actor: Actor, selection_id: str, count: int, make: Make) -> Done:
        """Does one thing to all alerts that are held.

        Args:
            actor: Who held them.
            selection_id: As `hold` gave it.
            count: How many there are, said again by whoever acts.
            make: What is done.

        Raises:
            NotFound: there is no such selection of this actor.
            Refused: the count is another, or it was used or is too old.
        """
        action = await self._alerts.checked(actor, make)
        held, ids = await asyncio.to_thread(self._held, actor, selection_id)
        if count != len(ids):
            raise Refused(
                worded(
                    "{count} alerts are held, not {count_2}; look again",
                    count=len(ids),
                    count_2=count,
                )
            )
        subject = f"{len(ids)} alerts, selection {selection_id}"
        asked = ", ".join(f"{name}={value}" for name, value in held.filter.items())
        await self._alerts.audit(actor, action, subject, asked or "every alert")
        changed = await asyncio.to_thread(self._apply, actor, selection_id, ids, action)
        return Done(changed, len(ids) - changed)

    def _hold(self, actor: Actor, wanted: AlertFilter) -> Selection:
        now = self._sources.clock()
        query = filtered(seen(select(Alert.id, Alert.severity, Alert.state), actor), wanted)
        with writing(self._sources.registry) as session:
            rows = session.execute(query.order_by(Alert.id).limit(MOST + 1)).all()
            if len(rows) > MOST:
                raise Invalid(worded("more than {most} alerts; narrow the filter", most=MOST))
            asked = {name: _plain(value) for name, value in asdict(wanted).items()}
            held = AlertSelection(
                id=str(uuid.uuid4()),
                made_by=actor.username,
                made_at=now,
                filter={name: value for name, value in asked.items() if value is not None},
                alerts={"ids": [row[0] for row in rows]},
            )
            session.add(held)
        severities = Counter(severity for _, severity, _ in rows)
        states = Counter(state for _, _, state in rows)
        return Selection(held.id, len(rows), dict(severities), dict(states), now + HELD)

    def _held(self, actor: Actor, selection_id: str) -> tuple[AlertSelection, list[int]]:
        with reading(self._sources.registry) as session:
            held = session.get(AlertSelection, selection_id)
        if held is None or held.made_by != actor.username:
            raise NotFound("there is no such selection of yours")
        if held.used_at is not None:
            raise Refused("this selection was used; hold the alerts again")
        if self._sources.clock() > held.made_at + HELD:
            raise Refused("this selection is too old; hold the alerts again")
        return held, [int(each) for each in held.alerts["ids"]]

    def _apply(self, actor: Actor, selection_id: str, ids: list[int], action: Action) -> int:
        with writing(self._sources.registry) as session:
            if not self._claim(session, selection_id):
                raise Refused("this selection was used; hold the alerts again")
            return self._alerts.apply(actor, ids, action, session)

    def _claim(self, session: Session, selection_id: str) -> bool:
        free = (AlertSelection.id == selection_id) & AlertSelection.used_at.is_(None)
        used = {"used_at": self._sources.clock()}
        claimed = update(AlertSelection).where(free).values(used).returning(AlertSelection.id)
        return session.scalar(claimed) is not None


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int | bool) else str(value)

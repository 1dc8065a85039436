"""Alerts: listed by priority, and what people do with them, one by one or many at once.

Every action is audited before it takes effect. Many are done by a selection: what a filter found is
held here, counted and shown, and whoever acts says the count again.
"""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Select, case, func, insert, select, update
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.alerting import changes, rates
from hesper_cloud.alerting.changes import is_open
from hesper_cloud.db.alerting import Alert, AlertNote
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.delivery.messages import line
from hesper_cloud.paging import Asked
from hesper_cloud.services import alert_actions
from hesper_cloud.services.alert_actions import Action, Make
from hesper_cloud.services.alert_queries import ORDERS, filtered, seen
from hesper_cloud.services.alert_records import (
    AlertDetail,
    AlertFilter,
    AlertRates,
    NoteRow,
    StepRow,
    alert_row,
)
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound, Refused
from hesper_cloud.services.people import is_known, names
from hesper_cloud.services.records import AlertRow
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

SEVERITIES = ("critical", "warning", "info")
AlertRows = list[AlertRow]
Names = list[str]
MOST_WINDOWS = 1008
_MAX_ROWS = 1000
_AUDITED = 450  # characters of a person's words that the audit log takes


class Alerts:
    """What the rules raised."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link
        self._longest_shelf = timedelta(days=sources.settings.alerts.longest_shelf_days)

    async def list(
        self,
        actor: Actor,
        state: str | None = None,
        severity: str | None = None,
        limit: int = 200,
        meter: str | None = None,
    ) -> AlertRows:
        """Returns alerts, worst and newest first; ``state`` may be ``open``."""
        require(actor, Permission.READ)
        rank = case({name: place for place, name in enumerate(SEVERITIES)}, value=Alert.severity)
        wanted = AlertFilter(state=state or None, severity=severity or None, meter=meter or None)
        query = filtered(seen(select(Alert), actor), wanted)
        query = query.order_by(rank, Alert.priority.desc(), Alert.raised_at.desc())
        return await asyncio.to_thread(self._rows, query.limit(min(limit, _MAX_ROWS)))

    async def page(
        self,
        actor: Actor,
        wanted: AlertFilter,
        asked: Asked = Asked(),  # noqa: B008 - frozen
    ) -> tuple[AlertRows, str | None]:
        """Returns a page of alerts, the most urgent first, and the cursor of the next one."""
        require(actor, Permission.READ)
        query = filtered(seen(select(Alert), actor), wanted)

        def ask() -> tuple[AlertRows, str | None]:
            with reading(self._sources.registry) as session:
                rows, following = ORDERS.page(session, query, asked)
                return [alert_row(alert) for alert in rows], following

        return await asyncio.to_thread(ask)

    async def get(self, actor: Actor, alert_id: int) -> AlertDetail:
        """Returns one alert with its notes, its history and how many it stands for.

        Raises:
            NotFound: there is no such alert, or not in the actor's areas.
        """
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._detail, actor, alert_id)

    async def rates(self, actor: Actor, windows: int = 144) -> AlertRates:
        """Returns how many alerts were new in each span of ten minutes, a day of them by default.

        Raises:
            Invalid: less than one span, or more than a week.
        """
        require(actor, Permission.READ)
        if not 1 <= windows <= MOST_WINDOWS:
            raise Invalid(
                worded(
                    "ask for 1 to {most_windows} spans of ten minutes", most_windows=MOST_WINDOWS
                )
            )
        return await asyncio.to_thread(self._rates, actor, windows)

    async def acknowledge(self, actor: Actor, alert_id: int, note: str) -> AlertRow:
        """Marks an alert as seen.

        Raises:
            NotFound: there is no such alert.
            Refused: it is not new.
        """
        return await self.act(actor, alert_id, alert_actions.acknowledge(note))

    async def act(self, actor: Actor, alert_id: int, make: Make) -> AlertRow:
        """Does one thing to one alert, audited before.

        Raises:
            NotFound: there is no such alert.
            Refused: it means nothing in the state that the alert is in.
            Invalid: what is asked makes no sense.
        """
        require(actor, Permission.ACKNOWLEDGE_ALERT)
        action = make(actor.username, self._sources.clock())
        await self._check(action)
        alert = await asyncio.to_thread(self._one, actor, alert_id)
        if alert.state not in action.states:
            raise Refused(worded("the alert is {state}", state=alert.state))
        about = alert.meter or alert.gateway or alert.element or ""
        subject = f"alert {alert_id} {alert.rule} {about}".strip()
        before = f"assigned to {alert.assigned_to}" if alert.assigned_to else alert.state
        await self.audit(actor, action, subject, before)
        if not await asyncio.to_thread(self.apply, actor, [alert_id], action):
            raise Refused("the alert has changed in between; look again")
        return await asyncio.to_thread(self._one, actor, alert_id)

    async def people(self, actor: Actor) -> Names:
        """Returns the names of those whom an alert can be given to."""
        require(actor, Permission.ACKNOWLEDGE_ALERT)
        return await asyncio.to_thread(names, self._sources.authority)

    async def checked(self, actor: Actor, make: Make) -> Action:
        """Returns an action that may be done now.

        Raises:
            Invalid: what is asked makes no sense.
        """
        require(actor, Permission.ACKNOWLEDGE_ALERT)
        action = make(actor.username, self._sources.clock())
        await self._check(action)
        return action

    async def audit(self, actor: Actor, action: Action, subject: str, before: str) -> None:
        """Puts an action into the audit log."""
        payload = {
            "action": action.name,
            "subject": subject,
            "before": line(before, _AUDITED),
            "after": action.after,
            "why": line(action.why or action.note, _AUDITED),
        }
        await self._link.ask(actor, "audit.note", payload, f"alert-{uuid.uuid4().hex}")

    def apply(
        self, actor: Actor, ids: Sequence[int], action: Action, session: Session | None = None
    ) -> int:
        """Does an action to those alerts for which it means something; returns how many."""
        if session is None:
            with writing(self._sources.registry) as own:
                return self.apply(actor, ids, action, own)
        now = self._sources.clock()
        changed: list[int] = []
        for some in batched(ids):
            due = seen(select(Alert.id), actor).where(
                Alert.id.in_(some), Alert.state.in_(action.states)
            )
            changed.extend(session.scalars(due))
        for some in batched(changed):
            values = {**action.values, "changed_at": now}
            session.execute(update(Alert).where(Alert.id.in_(some)).values(values))
        told = ": ".join(filter(None, (action.after, action.why)))
        changes.note(session, changed, action.step, now, actor.username, told)
        if action.note and changed:
            same = {"at": now, "author": actor.username, "text": action.note}
            session.execute(insert(AlertNote), [{"alert_id": each, **same} for each in changed])
        return len(changed)

    async def _check(self, action: Action) -> None:
        until, longest = action.values.get("shelved_until"), self._longest_shelf
        if until is not None and until > self._sources.clock() + longest:
            raise Invalid(
                worded("an alert may be shelved for {days} days at most", days=longest.days)
            )
        to = action.values.get("assigned_to")
        if to and not await asyncio.to_thread(is_known, self._sources.authority, to):
            raise Invalid("there is no such account, or it is disabled")

    def _one(self, actor: Actor, alert_id: int) -> AlertRow:
        rows = self._rows(seen(select(Alert), actor).where(Alert.id == alert_id))
        if not rows:
            raise NotFound(worded("there is no alert {alert}", alert=alert_id))
        return rows[0]

    def _detail(self, actor: Actor, alert_id: int) -> AlertDetail:
        alert = self._one(actor, alert_id)
        below = select(func.count()).where(Alert.parent_id == alert_id, is_open())
        notes = select(AlertNote).where(AlertNote.alert_id == alert_id).order_by(AlertNote.id)
        with reading(self._sources.registry) as session:
            return AlertDetail(
                alert,
                [NoteRow(n.id, n.at, n.author, n.text) for n in session.scalars(notes)],
                [
                    StepRow(each.at, each.who, each.action, each.detail)
                    for each in changes.history(session, alert_id)
                ],
                session.scalar(below) or 0,
            )

    def _rates(self, actor: Actor, windows: int) -> AlertRates:
        now = self._sources.clock()
        with reading(self._sources.registry) as session:
            counts = rates.by_window(session, now, windows, lambda query: seen(query, actor))
        return AlertRates(now, list(counts), self._sources.settings.alerts.flood_per_10_min)

    def _rows(self, query: Select[Alert]) -> AlertRows:
        with reading(self._sources.registry) as session:
            return [alert_row(alert) for alert in session.scalars(query)]

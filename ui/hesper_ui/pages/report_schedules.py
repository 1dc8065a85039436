"""The list of reports that are made by themselves; no page of its own."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui import ui

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import schedule_form
from hesper_ui.dialogs.schedule_form import Offered
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Cell, Columns, Text, button, moment, panel, table
from hesper_ui.services import Actor, NotPermitted, ScheduleRow
from hesper_ui.views import longer
from hesper_ui.views.wording import MISSING
from hesper_ui.words import say

SCHEDULES = Columns(("Name", "Report", "Comes", "Area", "Mailed to", "Next", "Action"))


@dataclass
class Schedules:
    """Draws the schedules, with what may be done with each."""

    desk: Desk
    host: ui.element
    done: Callable[[], Awaitable[None]]

    def draw(self, rows: Sequence[ScheduleRow], may_order: bool) -> None:
        """Draws the list; who may not order reports only sees it."""
        with panel("Made by themselves") as tools:
            if may_order:
                with tools:
                    button("New schedule…", self._opened(None), "small", acts=True)
            if rows:
                cells = [self._cells(row, may_order) for row in rows]
                table("Schedules", SCHEDULES, cells)
            else:
                states.empty(
                    "No schedule yet", "A schedule makes a report every day, week or month."
                )

    def _opened(self, row: ScheduleRow | None) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            offered = await self._offered(await self.desk.actor())
            schedule_form.open_form(self.desk, row, offered, self.host, self.done)

        return attempted(act)

    async def _offered(self, actor: Actor) -> Offered:
        reports = self.desk.services.reports
        kinds = {row.name: longer.REPORTS[row.name] for row in reports.kinds(actor)}
        targets: list[str] | None
        try:
            found = await self.desk.services.delivery_log.targets(actor)
            targets = [target.name for target in found if target.kind == "email"]
        except NotPermitted:
            targets = None
        return Offered(kinds, targets, reports.today()[1])

    def _cells(self, row: ScheduleRow, may_order: bool) -> list[Cell]:
        def following() -> None:
            if row.enabled:
                moment(row.next_at, "date")
            else:
                Text(say("rests"), classes="meta")

        def tools() -> None:
            if may_order:
                self._tools(row)

        return [
            row.name,
            say(longer.REPORTS.get(row.kind, row.kind)),
            longer.comes(row),
            row.area or say("all"),
            row.target or MISSING,
            following,
            tools,
        ]

    def _tools(self, row: ScheduleRow) -> None:
        change, remove = say("Change {name}", name=row.name), say("Remove {name}", name=row.name)
        button("Change…", self._opened(row), "small", acts=True, aria_label=change)
        button(
            "Remove…",
            lambda: schedule_form.open_removal(self.desk, row, self.host, self.done),
            "quiet small",
            acts=True,
            aria_label=remove,
        )

"""Reports: asked for, made as jobs, kept as PDF and CSV, and those that are made by themselves."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry
from hesper_ui.elements import (
    Cell,
    Columns,
    Text,
    ago,
    block,
    box,
    button,
    link,
    marked,
    panel,
    table,
)
from hesper_ui.pages.report_schedules import Schedules
from hesper_ui.part import Part, look_every
from hesper_ui.places import KEEP, Place
from hesper_ui.services import (
    Actor,
    Invalid,
    JobRow,
    PageAsked,
    Permission,
    ReportRow,
    ReportWish,
    ScheduleRow,
    ServiceError,
)
from hesper_ui.services.answering import answered
from hesper_ui.views import longer
from hesper_ui.views.wording import MISSING, grouped, retold, sentence
from hesper_ui.words import later, say

MOST = 100
TWICE_S = 1.0  # two clicks within this are one
MADE = Columns(
    ("Report", "Days", "Area", "Rows", "Made by", "When", "Files"), numbers=frozenset({3})
)
RUNNING = Columns(("Report", "State", "Rows so far", "Asked by", "When", "Says"))


@dataclass(frozen=True, slots=True)
class _All:
    """What the page shows under its form."""

    running: Sequence[JobRow]
    made: Sequence[ReportRow]
    schedules: Sequence[ScheduleRow]
    may_order: bool


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the form, and the lists under it."""
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Reports"), "h1", tabindex="-1")
        Text(say("Made as jobs; you may leave this page meanwhile."), "p", "meta")

    async def load(asking: Actor) -> _All:
        services = desk.services
        open_jobs = (await services.jobs.page(asking, None, PageAsked(MOST)))[0]
        made = (await services.reports.page(asking, PageAsked(MOST)))[0]
        return _All(
            [job for job in open_jobs if job.kind == "report" and job.state != "done"][:MOST],
            made,
            await services.reports.schedules(asking),
            asking.may(Permission.ORDER_JOBS),
        )

    host = box("div", "contents")
    form = _Form(desk, actor) if actor.may(Permission.ORDER_JOBS) else None
    part = Part(desk, load, lambda found: _draw(found, schedules))
    schedules = Schedules(desk, host, part.refresh)
    if form is not None:
        form.asked = part.refresh
    await part.show()
    look_every(2.0, part.refresh)


class _Form:
    """Asks for a report of some days."""

    asked: Callable[[], Awaitable[None]]

    def __init__(self, desk: Desk, actor: Actor) -> None:
        self._desk = desk
        self._ordering = False
        kinds = {row.name: longer.REPORTS[row.name] for row in desk.services.reports.kinds(actor)}
        today, zone = desk.services.reports.today()
        with panel("New report", classes="form bring"):
            with box("div", "fields"):
                self._kind = choice("Report", list(kinds), _nothing, kinds).mark("report-kind")
                self._first = _day(later("First day"), today - timedelta(days=7)).mark(
                    "report-first"
                )
                self._last = _day(later("Last day"), today - timedelta(days=1)).mark("report-last")
                self._zone = entry("Time zone", _nothing)
                self._area = entry("Area (empty: all)", _nothing).mark("report-area")
            self._zone.value = zone
            self._complaint = Text("", "p", "complaint", role="alert")
            with box("div", "actions"):
                self._button = button("Make it", kind="primary", acts=True)
            self._button.on("click", self._make, args=[], throttle=TWICE_S, trailing_events=False)
        self._kind.value = next(iter(kinds), None)

    async def _make(self) -> None:
        """Orders the report once, however often it is clicked meanwhile."""
        if self._ordering:
            return
        self._let(False)
        try:
            with answered():
                await self._order()
                self._complaint.text = ""
                await self.asked()
        except ServiceError as refusal:
            self._complaint.text = sentence(refusal)
        finally:
            self._let(True)

    def _let(self, free: bool) -> None:
        self._ordering = not free
        block(self._button, self._ordering)

    async def _order(self) -> None:
        actor, reports = await self._desk.actor(), self._desk.services.reports
        kind, zone = str(self._kind.value), str(self._zone.value or "").strip()
        area = str(self._area.value or "").strip() or None
        first, last = (_read(field) for field in (self._first, self._last))
        await reports.ask(actor, ReportWish(kind, first, last, zone, area))


def _nothing() -> None:
    """The form is checked when it is sent."""


def _day(label: str, value: date) -> ui.input:
    field = ui.input(say(label), value=value.isoformat())
    return field.props("outlined dense type=date")


def _read(field: ui.input) -> date:
    try:
        return date.fromisoformat(str(field.value or ""))
    except ValueError:
        raise Invalid(say("Choose both days.")) from None


def _draw(found: _All, schedules: Schedules) -> None:
    with box("div", "stack"):
        _lists(found)
        schedules.draw(found.schedules, found.may_order)


def _lists(found: _All) -> None:
    if found.running:
        with panel("Not made yet"):
            table("Not made yet", RUNNING, [_running(row) for row in found.running])
    if found.made:
        with panel("Made, newest first"):
            table("Reports", MADE, [_made(row) for row in found.made])
    else:
        with box("section", "panel", aria_label=say("Reports")):
            how = later("Ask for one above; it is kept here.")
            others = later("What operators ask for is kept here.")
            states.empty("No report yet", how if found.may_order else others)


def _running(row: JobRow) -> list[Cell]:
    return [
        lambda: link(retold(row.title), "/jobs"),
        lambda: marked(*longer.state(row)),
        grouped(row.done),
        row.asked_by,
        lambda: ago(row.asked_at),
        retold(row.problem or MISSING),
    ]


def _made(row: ReportRow) -> list[Cell]:
    return [
        say(longer.REPORTS.get(row.kind, row.title)),
        _span(row),
        row.area or say("all"),
        grouped(row.row_count),
        row.made_by,
        lambda: ago(row.made_at),
        lambda: _files(row),
    ]


def _span(row: ReportRow) -> str:
    """Says the days of a report, both included, by the calendar of its zone."""
    zone = ZoneInfo(row.zone)
    first = row.from_at.astimezone(zone).date()
    last = (row.to_at - timedelta(seconds=1)).astimezone(zone).date()
    return first.isoformat() if first == last else f"{first.isoformat()} – {last.isoformat()}"


def _files(row: ReportRow) -> None:
    if row.removed_at is not None:
        Text(say("removed after its time"), classes="meta")
        return
    with box("span", "chips"):
        for form in ("pdf", "csv"):
            told = f"{form.upper()}, {longer.size(row.files[form]['octets'])}"
            Text(told, "a", "btn small", href=f"/console/reports/{row.id}.{form}", download=True)


PLACES = [Place("/reports", "Reports", build, drawings.REPORTS, group=KEEP, rank=50, key="d")]

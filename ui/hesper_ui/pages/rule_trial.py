"""What a rule would have told on history, drawn under its form; no page of its own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nicegui import ui

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice
from hesper_ui.elements import Cell, Columns, Text, block, box, button, link, moment, panel, table
from hesper_ui.part import look_every
from hesper_ui.services import RuleDefinition, ServiceError, TryReport, Unavailable
from hesper_ui.services.answering import answered
from hesper_ui.views import charts
from hesper_ui.views.wording import MISSING, grouped, plural, sentence
from hesper_ui.words import later, say

FIRINGS = Columns(("Where", "Raised", "Cleared", "Text"))
RANGES = {"1": later("the last day"), "7": later("the last week"), "30": later("the last 30 days")}
MOST = 100
LOOK_EVERY_S = 2.0


class Trial:
    """The panel of a trial; it asks the form what to try."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._said: Callable[[], RuleDefinition] | None = None
        self._job: int | None = None  # that it became
        self._shown: TryReport | None = None

    def of(self, said: Callable[[], RuleDefinition]) -> None:
        """Tells the panel where the rule is that is to be tried."""
        self._said = said

    def draw(self, may: bool) -> None:
        """Draws the panel; nothing where nobody may try."""
        if not may:
            return
        with panel("Try it on history", "as it stands in the form, saved or not"):
            with box("div", "chips"):
                self._range = choice("Range", list(RANGES), lambda: None, RANGES)
                self._range.value = "7"
                self._button = button("Try", self._try)
            self._area = box("div", "fold", role="status")
        look_every(LOOK_EVERY_S, self._look)

    async def _try(self) -> None:
        if self._said is None:
            return
        end = datetime.now(UTC)
        start = end - timedelta(days=int(str(self._range.value)))
        block(self._button, True)
        try:
            with answered():
                actor, said = await self._desk.actor(), self._said()
                report = await self._desk.services.rules.try_(actor, said, start, end)
        except ServiceError as refusal:
            words = sentence(refusal)
            self._show(lambda: states.notice("unknown", words))
            return
        finally:
            block(self._button, False)
        self._shown = None
        self._take(report)

    def _take(self, report: TryReport) -> None:
        self._job = report.job
        if report != self._shown:
            self._shown = report
            self._show(lambda: _draw(report))

    async def _look(self) -> None:
        """Asks how the job stands that the trial became; what it found is drawn when it ended."""
        if self._job is None:
            return
        try:
            with answered():
                actor = await self._desk.actor()
                self._take(await self._desk.services.rules.tried(actor, self._job))
        except Unavailable:
            return  # it is asked again in a moment
        except ServiceError as refusal:
            self._job, words = None, sentence(refusal)
            self._show(lambda: states.notice("unknown", words))

    def _show(self, draw: Callable[[], None]) -> None:
        if not self._area.is_deleted:
            self._area.clear()
            with self._area:
                draw()


def _draw(report: TryReport) -> None:
    if report.job is not None:
        Text(say("There is much to look at; it goes on as a job."), "p")
        link(say("Job {number}", number=report.job), "/jobs")
        return
    figures = say(
        "{alerts} at {subjects} of {all} meters or places, {open} still open; {rows} looked at.",
        alerts=plural(report.alerts, "alert"),
        subjects=grouped(report.alerting),
        all=grouped(report.subjects),
        open=grouped(report.still_open),
        rows=plural(report.looked_at, "row"),
    )
    Text(figures, "p")
    if not report.alerts:
        return
    said = say("Alerts that would have been raised, over time")
    chart = charts.counts(report.start, report.end, report.per_bucket, said)
    ui.echart(chart, renderer="svg").classes("chart-small")
    table("Alerts", FIRINGS, [_cells(report, place) for place in range(len(report.firings[:MOST]))])


def _cells(report: TryReport, place: int) -> list[Cell]:
    each = report.firings[place]
    return [
        each.subject,
        lambda: moment(each.raised_at, "date"),
        (lambda: moment(each.cleared_at, "date")) if each.cleared_at else MISSING,
        each.text,
    ]

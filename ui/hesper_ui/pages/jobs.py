"""Jobs: long work with its progress, and what is done on a schedule with its last run."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import (
    Cell,
    Columns,
    Text,
    ago,
    box,
    button,
    marked,
    moment,
    panel,
    table,
)
from hesper_ui.part import Part, look_every
from hesper_ui.places import KEEP, Place
from hesper_ui.services import Actor, JobRow, PageAsked, Permission, ScheduledRow
from hesper_ui.views import longer
from hesper_ui.views.wording import MISSING, decimal, retold
from hesper_ui.words import say

MOST = 100
LONG = Columns(("Job", "State", "Progress", "Asked by", "When", "Says", ""))
SCHEDULED = Columns(
    ("Job", "Comes", "Last run", "Took", "Went", "Next", "Last problem"),
    numbers=frozenset({3}),
    wide_only=frozenset({5}),
)
Change = Callable[[JobRow], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _All:
    """Both lists."""

    long: Sequence[JobRow]
    scheduled: Sequence[ScheduledRow]
    asking: Actor


async def build(desk: Desk, _actor: Actor, _: PageArguments) -> None:
    """Builds both lists."""
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Jobs"), "h1", tabindex="-1")
        words = "Long work goes on where it stopped, whatever happens to the server."
        Text(say(words), "p", "meta")

    async def load(asking: Actor) -> _All:
        jobs = desk.services.jobs
        long, _ = await jobs.page(asking, None, PageAsked(MOST))
        return _All(long, await jobs.scheduled(asking), asking)

    async def change(job: JobRow) -> None:
        services, actor = desk.services.jobs, await desk.actor()
        await (services.cancel(actor, job.id) if job.is_open else services.resume(actor, job.id))
        await part.refresh()

    part = Part(desk, load, lambda found: _draw(found, change))
    await part.show()
    look_every(2.0, part.refresh)


def _draw(found: _All, change: Change) -> None:
    with box("div", "stack"):
        _lists(found, change)


def _lists(found: _All, change: Change) -> None:
    if found.long:
        with panel("Long jobs, newest first"):
            table("Long jobs", LONG, [_long(row, found.asking, change) for row in found.long])
    else:
        with box("section", "panel", aria_label=say("Long jobs")):
            states.empty("No long job yet", "Imports and reports run as jobs and are listed here.")
    with panel("On a schedule"):
        table("Jobs on a schedule", SCHEDULED, [_scheduled(row) for row in found.scheduled])


def _long(row: JobRow, asking: Actor, change: Change) -> list[Cell]:
    return [
        retold(row.title),
        lambda: marked(*longer.state(row)),
        lambda: _progress(row),
        row.asked_by,
        lambda: ago(row.asked_at),
        retold(row.problem or MISSING),
        lambda: _button(row, asking, change),
    ]


def _progress(row: JobRow) -> None:
    share = longer.share(row)
    if share is not None and row.is_open:
        label = say("Progress of {job}", job=retold(row.title))
        box("progress", "bar", max="100", value=f"{share:.1f}", aria_label=label)
    Text(longer.progress(row), classes="number")


def _button(row: JobRow, asking: Actor, change: Change) -> None:
    own = row.asked_by == asking.username or asking.may(Permission.ADMINISTER)
    if not own or not asking.may(Permission.ORDER_JOBS) or row.state == "done":
        return

    async def act() -> None:
        await change(row)

    word = "End" if row.is_open else "Go on"
    label = f"{say(word)}: {retold(row.title)}"
    button(word, attempted(act), "small", acts=True, aria_label=label)


def _scheduled(row: ScheduledRow) -> list[Cell]:
    took = MISSING if row.last_seconds is None else f"{decimal(row.last_seconds, 1)} s"
    return [
        retold(row.name),
        longer.rhythm(row.every_s),
        lambda: ago(row.last_begun_at),
        took,
        lambda: marked(*longer.run_state(row)),
        lambda: moment(row.next_at, longer.next_style(row)),
        lambda: _problem(row),
    ]


def _problem(row: ScheduledRow) -> None:
    if row.problem is None:
        Text(MISSING)
        return
    ago(row.problem_at)
    Text(f" · {retold(row.problem)}")


PLACES = [Place("/jobs", "Jobs", build, drawings.JOBS, group=KEEP, rank=60, key="j")]

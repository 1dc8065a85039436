"""One file: what its dry run found row by row, and how far its job has come."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import (
    Cell,
    Columns,
    Text,
    box,
    button,
    link,
    marked,
    moment,
    panel,
    table,
)
from hesper_ui.part import Part, look_every
from hesper_ui.places import Place
from hesper_ui.services import (
    Actor,
    ChangedRow,
    ImportView,
    JobRow,
    Permission,
    ProblemCount,
    RejectedRow,
)
from hesper_ui.views import import_words, longer
from hesper_ui.views.wording import MISSING, grouped, plural, retold, sentence
from hesper_ui.words import say

PER_PAGE = 100
Apply = Callable[[], Awaitable[None]]
MISTAKES = Columns(("Column", "Mistake", "Rows"), numbers=frozenset({2}))
CHANGES = Columns(("Row", "Asset", "Field", "Is", "Becomes"), numbers=frozenset({0}))
ROWS = Columns(("Row", "Column", "Value", "What to do"), numbers=frozenset({0}))


@dataclass(frozen=True, slots=True)
class _Shown:
    """One file and the part of its refused rows that is shown."""

    file: ImportView
    rows: Sequence[RejectedRow]
    changes: Sequence[ChangedRow]


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one file."""
    import_id = args.path_parameters["import_id"]
    file = await desk.services.imports.get(actor, import_id)
    with box("div", "page-head"), box("div", "titles"):
        Text(file.name, "h1", tabindex="-1")
        kind = say(longer.KINDS.get(file.kind, file.kind))
        facts = (kind, longer.size(file.octets), file.encoding, _separator(file.separator))
        Text(" · ".join(facts), "p", "meta")
    link(say("All files"), "/import")

    async def load(asking: Actor) -> _Shown:
        services = desk.services.imports
        found = await services.get(asking, import_id)
        if found.removed:
            return _Shown(found, (), ())
        rows = await services.rejected(asking, import_id, 0, PER_PAGE)
        changes = await services.changes(asking, import_id, 0, PER_PAGE)
        return _Shown(found, rows, changes)

    async def apply() -> None:
        await desk.services.imports.apply(await desk.actor(), import_id)
        await part.refresh()

    offered = attempted(apply) if actor.may(Permission.EDIT_ASSETS) else None
    part = Part(desk, load, lambda shown: _draw(shown, offered))
    await part.show()
    look_every(1.0, part.refresh)


def _separator(mark: str) -> str:
    return say("separated by {mark}", mark={"\t": say("tabs")}.get(mark, mark))


def _draw(shown: _Shown, apply: Apply | None) -> None:
    with box("div", "stack"):
        _found(shown.file, apply)
        if shown.changes:
            _changes(shown.changes)
        if shown.file.removed:
            _removed(shown.file)
        elif shown.rows:
            _mistakes(shown)
        else:
            with box("section", "panel", aria_label=say("Mistakes")):
                states.empty("No mistake was found", "Every row may be applied.")


def _found(file: ImportView, apply: Apply | None) -> None:
    with panel("What was found", classes="bring"):
        with box("div", "chips"):
            Text(plural(file.row_count, "row"), classes="chip")
            Text(say("{count} good", count=grouped(file.good_count)), classes="chip")
            Text(say("{count} with mistakes", count=grouped(file.bad_count)), classes="chip")
            if file.existing == "update":
                words = say("{count} change what is there", count=grouped(file.change_count))
                Text(words, classes="chip")
        if file.job is not None:
            _job(file.job)
        elif apply is not None and file.good_count and not file.removed:
            words = say("Apply {rows}", rows=plural(file.good_count, "row"))
            with box("div", "actions"):
                button(words, apply, "primary", acts=True)


def _changes(rows: Sequence[ChangedRow]) -> None:
    note = say("the first {count} rows", count=PER_PAGE) if len(rows) == PER_PAGE else ""
    with panel("What the rows change", note):
        cells = [
            [str(row.row), row.asset, each.field, _value(each.before), _value(each.after)]
            for row in rows
            for each in row.changes
        ]
        table("What the rows change", CHANGES, cells)


def _value(value: object) -> str:
    return MISSING if value is None else str(value)


def _removed(file: ImportView) -> None:
    with box("section", "panel", aria_label=say("Mistakes")):
        states.empty("The rows of this file are gone", "To see or to apply them, bring it again.")
    if file.problems:
        _by_column(file)


def _by_column(file: ImportView) -> None:
    with panel("Mistakes by column"):
        table("Mistakes by column", MISTAKES, [_count(each) for each in file.problems])


def _mistakes(shown: _Shown) -> None:
    _by_column(shown.file)
    with panel("Row by row", _note(shown)) as tools:
        with tools:
            words = say("All rejected rows as CSV")
            address = f"/console/imports/{shown.file.id}/rejected.csv"
            Text(words, "a", "btn small", href=address, download=True)
        table("Rejected rows", ROWS, [cells for row in shown.rows for cells in _cells(row)])


def _job(job: JobRow) -> None:
    share = longer.share(job) or 0.0
    with box("div", "chips"):
        marked(*longer.state(job))
        Text(longer.progress(job), classes="number", role="status")
        if job.ended_at is not None:
            moment(job.ended_at, "date")
    bar = box("progress", "bar", max="100", value=f"{share:.1f}", aria_label=say("Progress"))
    bar.style("width: 100%")
    if job.result:
        entered, rejected = job.result.get("entered", 0), job.result.get("rejected", 0)
        words = say(
            "{entered} entered, {rejected} refused when they were applied",
            entered=grouped(entered),
            rejected=grouped(rejected),
        )
        Text(words, "p", "meta")
    if job.problem:
        states.notice("warning", sentence(job.problem))
    if job.is_open:
        Text(say("You may leave this page; the job goes on."), "p", "meta")
    link(say("All jobs"), "/jobs")


def _count(found: ProblemCount) -> list[Cell]:
    column = found.column or say("whole row")
    return [column, import_words.mistake(found.code), grouped(found.count)]


def _note(shown: _Shown) -> str:
    if len(shown.rows) < PER_PAGE:
        return ""
    return say("the first {count} rows", count=PER_PAGE)


def _cells(row: RejectedRow) -> list[list[Cell]]:
    return [
        [str(row.row), each["column"] or say("whole row"), each["value"], retold(each["advice"])]
        for each in row.problems
    ]


PLACES = [Place("/import/{import_id}", "Import", build, needs=Permission.EDIT_ASSETS)]

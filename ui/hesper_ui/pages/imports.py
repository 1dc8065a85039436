"""Import: a template, a file, and what became of the files before it."""

from collections.abc import Mapping, Sequence

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, fields, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, marked, panel, table
from hesper_ui.files import DATES, DECIMALS, ENCODINGS, SEPARATORS
from hesper_ui.part import Part, look_every
from hesper_ui.places import KEEP, Place
from hesper_ui.services import IMPORT_KINDS, Actor, ImportView, PageAsked, Permission
from hesper_ui.views import longer
from hesper_ui.views.wording import grouped
from hesper_ui.words import later, say

COLUMNS = Columns(
    ("File", "Of what", "State", "Rows", "With mistakes", "Brought by", "When"),
    numbers=frozenset({3, 4}),
)
_EXISTING = {"refuse": later("are refused"), "update": later("change it")}
_FOUND_OUT = {"": later("Found out by itself")}
_SEPARATORS = {
    "comma": later("Comma"),
    "semicolon": later("Semicolon"),
    "tab": later("Tab"),
    "bar": later("Vertical bar"),
}
_DATES = {
    "dmy": later("Day, month, year"),
    "mdy": later("Month, day, year"),
    "ymd": later("Year, month, day"),
}
_CSV = ".csv,.txt,.tsv,text/csv,text/plain"
_DECIMALS = {"point": later("Point"), "comma": later("Comma")}


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the form, and the list of files under it."""
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Import"), "h1", tabindex="-1")
        Text(say("A dry run shows every mistake by row and column; then apply it."), "p", "meta")
    if actor.may(Permission.EDIT_ASSETS):
        _templates()
        _form()

    async def load(asking: Actor) -> Sequence[ImportView]:
        return (await desk.services.imports.page(asking, PageAsked(50)))[0]

    part = Part(desk, load, _draw)
    await part.show()
    look_every(3.0, part.refresh)


def _templates() -> None:
    with panel("1. Take a template"), box("div", "chips"):
        for kind in IMPORT_KINDS:
            Text(
                say(longer.KINDS[kind]),
                "a",
                "btn small",
                href=f"/console/templates/{kind}.csv",
                download=f"{kind}.csv",
            )


def _form() -> None:
    with (
        panel("2. Bring the file", classes="form bring"),
        box("form", data_upload="/console/imports", aria_label=say("Bring a file")),
    ):
        with box("div", "fields"):
            fields.select("kind", "Of what", {kind: longer.KINDS[kind] for kind in IMPORT_KINDS})
            fields.file("file", "File (CSV)", _CSV)
            fields.select("existing", "Rows of what is there already", _EXISTING)
        with box("details"):
            Text(say("How the file is written"), "summary")
            with box("div", "fields"):
                fields.select(
                    "encoding", "Encoding", _FOUND_OUT | {name: name for name in ENCODINGS}
                )
                fields.select("separator", "Separator", _FOUND_OUT | _of(_SEPARATORS, SEPARATORS))
                fields.select("dates", "Dates", _FOUND_OUT | _of(_DATES, DATES))
                fields.select("decimal", "Decimal mark", _FOUND_OUT | _of(_DECIMALS, DECIMALS))
        Text("", "p", "complaint", role="alert", data_upload_said=True)
        with box("div", "actions"):
            Text(say("Try the file"), "button", "btn primary", type="submit")


def _of(words: Mapping[str, str], known: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    return {name: words[name] for name in known}


def _draw(files: Sequence[ImportView]) -> None:
    if not files:
        with box("section", "panel", aria_label=say("Files")):
            states.empty("No file yet", "Take a template, fill it in, and bring it here.")
        return
    with panel("Files, newest first"):
        table("Files", COLUMNS, [_cells(file) for file in files])


def _cells(file: ImportView) -> list[Cell]:
    return [
        lambda: link(file.name, f"/import/{file.id}"),
        say(longer.KINDS.get(file.kind, file.kind)),
        lambda: marked(*longer.file_state(file)),
        grouped(file.row_count),
        grouped(file.bad_count),
        file.brought_by,
        lambda: ago(file.brought_at),
    ]


PLACES = [
    Place("/import", "Import", build, drawings.IMPORT, needs=Permission.EDIT_ASSETS,
          group=KEEP, rank=40, key="i")
]  # fmt: skip

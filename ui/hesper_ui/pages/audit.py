"""Audit: who did what, before it took effect, in a chain that shows any change to it."""

from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, block, box, button, link, moment, panel, table
from hesper_ui.places import Place
from hesper_ui.services import Actor, AuditEntry, Invalid, Page, Permission, ServiceError
from hesper_ui.views import audit_words
from hesper_ui.views.wording import MISSING, capital, grouped, plural, sentence
from hesper_ui.words import say

PER_PAGE = 100
MOST_SHOWN = 80
COLUMNS = Columns(
    ("No.", "When", "Who", "What", "Of what", "Before", "After", "Why"),
    numbers=frozenset({0}),
    wide_only=frozenset({5}),
)


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds one page of the log, newest first, and the check of the whole chain."""
    subject = args.query_parameters.get("subject", "")
    offset = _offset(args.query_parameters.get("offset", "0"))
    page = await desk.services.audit.page(actor, offset, PER_PAGE, subject)
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Audit"), "h1", tabindex="-1")
            Text(say("{total} entries", total=grouped(page.total)), "p", "meta", role="status")
        _search(subject)
    _check(desk)
    if not page.rows:
        with box("section", "panel", aria_label=say("Audit log")):
            states.empty("No entry here", "Whatever is decided or changed is written down here.")
        return
    with panel("Newest first", _span(page)):
        table("Audit log", COLUMNS, [_cells(row) for row in page.rows])
    _pager(page, subject)


def _offset(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid(say("There is no such page."))
    return int(text)


def _search(subject: str) -> None:
    with box("form", method="get", action="/audit", role="search"):
        Text(
            "",
            "input",
            "native search",
            type="search",
            name="subject",
            value=subject,
            placeholder=say("Meter, command, account …"),
            aria_label=say("Search what entries are about"),
            maxlength="100",
        )


def _check(desk: Desk) -> None:
    with box("div", "chips"):
        check = button("Check the whole chain")
        link(say("Looks at data"), "/audit/looks", "chip")
        verdict = box("div", "grow", role="status")

    async def look() -> None:
        block(check, True)
        try:
            found = await desk.services.audit.verify(await desk.actor())
        except ServiceError as refusal:
            kind, text, tone = "unknown", sentence(refusal), ""
        else:
            kind, tone = ("done", "") if found.intact else ("critical", "critical")
            text = sentence(found.text)
        block(check, False)
        verdict.clear()
        with verdict:
            states.notice(kind, text, tone)

    check.on("click", look, args=[])


def _span(page: Page[AuditEntry]) -> str:
    last = page.offset + len(page.rows)
    return say(
        "{first} to {last} of {entries}",
        first=grouped(page.offset + 1),
        last=grouped(last),
        entries=plural(page.total, "entry", "entries"),
    )


def _pager(page: Page[AuditEntry], subject: str) -> None:
    with box("nav", "chips", aria_label=say("Pages")):
        if page.offset:
            _turn(say("Newer"), max(0, page.offset - PER_PAGE), subject)
        if page.offset + len(page.rows) < page.total:
            _turn(say("Older"), page.offset + PER_PAGE, subject)


def _turn(words: str, offset: int, subject: str) -> ui.element:
    asked = {"offset": str(offset)} | ({"subject": subject} if subject else {})
    return Text(words, "a", "chip", href=f"/audit?{urlencode(asked)}")


def _cells(row: AuditEntry) -> list[Cell]:
    return [
        str(row.sequence),
        lambda: moment(row.at, "date"),
        row.actor,
        lambda: Text(capital(audit_words.action(row.action)), title=row.action),
        lambda: Text(audit_words.subject(row), title=row.subject),
        lambda: _long(audit_words.value(row, row.before), row.before),
        lambda: _long(audit_words.value(row, row.after), row.after),
        lambda: _long(audit_words.why(row.why), row.why),
    ]


def _long(text: str | None, kept: str | None) -> None:
    """Writes a text, the log's own where the pointer rests; a long one behind its beginning."""
    if text is None or len(text) <= MOST_SHOWN:
        Text(text or MISSING, classes="told", title=kept or None)
        return
    with box("details", "long told"):
        Text(f"{text[:MOST_SHOWN]}…", "summary")
        Text(text, "p")


PLACES = [
    Place("/audit", "Audit", build, drawings.AUDIT, needs=Permission.READ_AUDIT, rank=90, key="u")
]

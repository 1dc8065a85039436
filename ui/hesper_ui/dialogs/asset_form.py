"""Forms in which customers and SIM cards are added, changed and deleted."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.services import CustomerRow, MeterCard, SimRow
from hesper_ui.views import assets
from hesper_ui.views.assets import (
    CUSTOMER_STATES,
    FIELDS,
    SIM_STATES,
    Field,
    FormKind,
    Kept,
    KeptKind,
)
from hesper_ui.words import later, say

Done = Callable[[Kept | MeterCard], Awaitable[None]]
TITLES: dict[FormKind, tuple[str, str]] = {
    "customer": (later("Add a customer"), later("Change this customer")),
    "sim": (later("Add a SIM card"), later("Change this SIM card")),
    "meter": (later("Add a meter"), later("Change what is kept of this meter")),
}
_IN_COLUMNS = (
    "display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr))"
)
_NAMES = {
    state: look.word for looks in (CUSTOMER_STATES, SIM_STATES) for state, look in looks.items()
}


def open_form(
    desk: Desk, kind: FormKind, record: Kept | MeterCard | None, host: ui.element, done: Done
) -> None:
    """Opens the form of a new customer or card, or of one that is there.

    Only what was written differently is sent, with the version that the form was filled from.
    """
    fields = FIELDS[kind]
    lines: dict[str, ui.input | ui.select] = {}
    with sheet(host, TITLES[kind][record is not None]) as page:

        def texts() -> dict[str, str]:
            return {name: str(line.value or "") for name, line in lines.items()}

        def check() -> None:
            if len(lines) == len(fields):
                page.allow(bool(assets.changes(fields, record, texts())))

        with box("div").style(_IN_COLUMNS):
            for field in fields:
                line = _line(field, record, check)
                lines[field.name] = line

        async def send() -> None:
            await done(await _sent(desk, kind, record, texts()))

        page.buttons("Not now", "Keep" if record is None else "Change", "primary", send)
        check()


def _line(
    field: Field, record: Kept | MeterCard | None, check: Callable[[], None]
) -> ui.input | ui.select:
    line: ui.input | ui.select
    if field.options:
        line = choice(field.line(), field.options, check, _NAMES)
        line.value = assets.text_of(record, field) or field.options[0]
    else:
        line = entry(field.line(), check)
        line.value = assets.text_of(record, field)
    return line.mark(f"asset-{field.name.replace('_', '-')}")


async def _sent(
    desk: Desk, kind: FormKind, record: Kept | MeterCard | None, texts: dict[str, str]
) -> Kept | MeterCard:
    actor, values = await desk.actor(), assets.changes(FIELDS[kind], record, texts)
    if record is None:
        found = await desk.services.assets.create(actor, kind, values)
    else:
        found = await desk.services.assets.change(actor, kind, record.id, values, record.version)
    if not isinstance(found, CustomerRow | SimRow | MeterCard):
        raise TypeError(f"a {kind} was answered with {type(found).__name__}")
    return found


def open_deletion(
    desk: Desk,
    kind: KeptKind,
    record: Kept,
    host: ui.element,
    done: Callable[[], Awaitable[None]],
) -> None:
    """Asks whether a customer or card is to be deleted."""
    name = record.name if isinstance(record, CustomerRow) else record.iccid
    with sheet(host, say("Delete {name}?", name=name)) as page:
        words = "It leaves every list. Its history stays, and it can be restored."
        Text(say(words), "p")

        async def send() -> None:
            actor = await desk.actor()
            await desk.services.assets.delete(actor, kind, record.id, record.version)
            await done()

        page.buttons("Not now", "Delete", "danger", send)

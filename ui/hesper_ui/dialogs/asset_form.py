"""Forms in which what is kept is added, changed and deleted: customers, SIM cards, areas …"""

from collections.abc import Awaitable, Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.views import assets
from hesper_ui.views.assets import (
    CUSTOMER_STATES,
    ELEMENTS,
    FIELDS,
    SIM_STATES,
    Field,
    FormKind,
    Written,
)
from hesper_ui.words import later, say

Done = Callable[[Written], Awaitable[None]]
TITLES: dict[FormKind, tuple[str, str]] = {
    "customer": (later("Add a customer"), later("Change this customer")),
    "sim": (later("Add a SIM card"), later("Change this SIM card")),
    "meter": (later("Add a meter"), later("Change what is kept of this meter")),
    "gateway": (later("Add a gateway"), later("Change what is kept of this gateway")),
    "area": (later("Add an area"), later("Change this area")),
    "model": (later("Add a meter model"), later("Change this meter model")),
    "tariff": (later("Add a tariff"), later("Change this tariff")),
    "element": (later("Add a grid element"), later("Change this grid element")),
}
_IN_COLUMNS = (
    "display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr))"
)
_NAMES = {
    state: look.word for looks in (CUSTOMER_STATES, SIM_STATES) for state, look in looks.items()
} | ELEMENTS


def open_form(
    desk: Desk, kind: FormKind, record: Written | None, host: ui.element, done: Done
) -> None:
    """Opens the form of a new record, or of one that is there.

    Only what was written differently is sent, with the version that the form was filled from.
    """
    fields = FIELDS[kind]
    lines: dict[str, ui.input | ui.select] = {}
    with sheet(host, TITLES[kind][record is not None]) as page:

        def texts() -> dict[str, str]:
            return {name: str(line.value or "") for name, line in lines.items()}

        def check() -> None:
            if len(lines) == len(fields):
                written = texts()
                is_full = assets.complete(fields, written)
                page.allow(is_full and bool(assets.changes(fields, record, written)))

        with box("div").style(_IN_COLUMNS):
            for field in fields:
                line = _line(field, record, check)
                lines[field.name] = line

        async def send() -> None:
            await done(await _sent(desk, kind, record, texts()))

        page.buttons("Not now", "Keep" if record is None else "Change", "primary", send)
        check()


def _line(field: Field, record: Written | None, check: Callable[[], None]) -> ui.input | ui.select:
    line: ui.input | ui.select
    if field.options:
        line = choice(field.line(), field.options, check, _NAMES)
        line.value = assets.text_of(record, field) or field.options[0]
    else:
        line = entry(field.line(), check)
        line.value = assets.text_of(record, field)
    return line.mark(f"asset-{field.name.replace('_', '-')}")


async def _sent(
    desk: Desk, kind: FormKind, record: Written | None, texts: dict[str, str]
) -> Written:
    actor, values = await desk.actor(), assets.changes(FIELDS[kind], record, texts)
    service = desk.services.assets
    if record is None:
        return await service.create(actor, kind, values)
    return await service.change(actor, kind, assets.key_of(record), values, _version(record))


def _version(record: Written) -> int | None:
    """Returns the version that a form was filled from; elements of the grid have none."""
    version: int | None = getattr(record, "version", None)
    return version


def open_deletion(
    desk: Desk,
    kind: FormKind,
    record: Written,
    host: ui.element,
    done: Callable[[], Awaitable[None]],
) -> None:
    """Asks whether a record is to be deleted."""
    with sheet(host, say("Delete {name}?", name=assets.title_of(record))) as page:
        if kind in ("customer", "sim"):
            words = "It leaves every list. Its history stays, and it can be restored."
        else:
            words = "It leaves every list. What still names it keeps it from being deleted."
        Text(say(words), "p")

        async def send() -> None:
            actor, key = await desk.actor(), assets.key_of(record)
            await desk.services.assets.delete(actor, kind, key, _version(record))
            await done()

        page.buttons("Not now", "Delete", "danger", send)

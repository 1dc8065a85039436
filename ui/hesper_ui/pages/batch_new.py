"""A new batch: which meters, which command, under which terms; nothing leaves from this page."""

import uuid
from collections.abc import Callable, Mapping

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, key_after
from hesper_ui.elements import Text, block, box, button, link, panel
from hesper_ui.places import Place
from hesper_ui.selections import Selection
from hesper_ui.services import Actor, BatchOrder, Invalid, Permission, ServiceError
from hesper_ui.services.answering import answered
from hesper_ui.views import batches, serials
from hesper_ui.views.looks import COMMAND_KINDS
from hesper_ui.views.wording import plural, sentence
from hesper_ui.words import later, say

TERMS = {
    "canary": (later("Canary: how many go first"), 5),
    "wave_size": (later("At once, at most"), 100),
    "per_hour": (later("An hour, at most"), 3600),
    "stop_percent": (later("Stop above this share of failures, %"), 10),
}


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the form; ``selection`` in the address names the meters chosen in their list."""
    kept = None
    if wanted := args.query_parameters.get("selection", ""):
        kept = desk.selections.get(actor.username, wanted)
    with box("div", "page-head"), box("div", "titles"):
        Text(say("New batch"), "h1", tabindex="-1")
        words = "The authority looks up every meter, leaves out by cause, and freezes the list."
        Text(say(words), "p", "meta")
    if not actor.may(Permission.REQUEST_COMMAND):
        role = say(actor.role.value)
        states.notice("unknown", say("Your role ({role}) may look, not command.", role=role))
        return
    _Form(desk, kept, args.query_parameters.get("kind", ""))


class _Form:
    _go: Text | None = None  # until the whole form is drawn

    def __init__(self, desk: Desk, kept: Selection | None, kind: str) -> None:
        self._desk = desk
        self._kept = kept
        self._key = uuid.uuid4().hex
        self._meters: ui.textarea | None = None
        with panel("Meters", classes="form"):
            self._meters = chosen(kept, self._check)
        with panel("Command", classes="form"):
            self._kind = choice("Command (required)", batches.KINDS, self._check, COMMAND_KINDS)
            self._kind.mark("batch-kind")
            self._reason = entry("Reason (required)", self._check).mark("batch-reason")
        with panel("Terms", classes="form"), box("div", "fields"):
            self._terms = terms(TERMS)
        self._complaint = Text("", "p", "complaint", role="alert")
        with box("div", "actions"):
            link(say("Cancel"), "/batches", "btn")
            self._go = button("Freeze the list", self._propose, "primary", acts=True)
        if kind in batches.KINDS:
            self._kind.value = kind
        self._check()

    def _check(self) -> None:
        named = self._kept is not None or bool(self._written())
        told = self._kind.value and str(self._reason.value or "").strip()
        self._allow(bool(named and told))

    def _allow(self, allowed: bool) -> None:
        if self._go is not None:
            block(self._go, not allowed)

    async def _propose(self) -> None:
        self._allow(False)
        try:
            with answered():
                order = self._order()
                service = self._desk.services.batches
                made = await service.propose(await self._desk.actor(), order, self._key)
        except ServiceError as refusal:
            self._complaint.text = sentence(refusal)
            self._key = key_after(refusal, self._key)
            self._allow(True)
            return
        ui.navigate.to(f"/batches/{made.id}")

    def _written(self) -> str:
        return "" if self._meters is None else str(self._meters.value or "")

    def _order(self) -> BatchOrder:
        kind = str(self._kind.value)
        kept = self._kept
        return BatchOrder(
            kind=kind,
            reason=str(self._reason.value).strip(),
            meters=kept.ids if kept else serials.read(self._written()),
            query=kept.query if kept else None,
            parameters=dict(batches.PARAMETERS.get(kind, {})),
            canary=whole(self._terms["canary"]),
            wave_size=whole(self._terms["wave_size"]),
            per_hour=whole(self._terms["per_hour"]),
            stop_percent=whole(self._terms["stop_percent"]),
        )


def chosen(kept: Selection | None, check: Callable[[], object]) -> ui.textarea | None:
    """Draws the selection that was brought along, or a place to write serials into."""
    if kept is not None:
        which = (
            say("all that match the filter of the list when the batch is frozen")
            if kept.query is not None
            else say("as they were marked in the list")
        )
        Text(plural(kept.total, "meter"), "strong")
        Text(which, "p", "meta")
        return None
    field = ui.textarea(say("Serial numbers, one a line"), on_change=lambda _: check())
    field.props("outlined dense rows=6 maxlength=400000").mark("serials")
    Text(say("Or select meters in their list, with its filters."), "p", "meta")
    return field


def terms(names: Mapping[str, tuple[str, int]]) -> dict[str, ui.number]:
    """Draws the fields of the terms."""
    fields = {}
    for name, (label, value) in names.items():
        field = ui.number(say(label), value=value, precision=0, min=0)
        fields[name] = field.props("outlined dense").mark(f"term-{name}")
    return fields


def whole(field: ui.number) -> int:
    """Returns what a field holds.

    Raises:
        Invalid: it is empty or not whole.
    """
    value = field.value
    if value is None or float(value) != int(value):
        raise Invalid(say("The terms are whole numbers."))
    return int(value)


PLACES = [Place("/batches/new", "New batch", build, needs=Permission.REQUEST_COMMAND)]

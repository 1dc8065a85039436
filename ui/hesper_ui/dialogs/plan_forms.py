"""Forms of schedules and templates: a version, an assignment, its end, and what is sent."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import Sheet, choice, entry, sheet
from hesper_ui.elements import Text, box, button
from hesper_ui.services.planning import (
    SCHEDULE_FIELDS,
    AssignmentRow,
    PlanKind,
    PlanQuery,
    PlanRow,
    Sent,
)
from hesper_ui.views import plans
from hesper_ui.views.wording import plural, sentence
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]
Taking = Callable[[AssignmentRow], None]
NEW: dict[PlanKind, str] = {
    "schedule": later("New schedule…"),
    "template": later("New template…"),
}
_TITLES: dict[PlanKind, str] = {
    "schedule": later("New schedule"),
    "template": later("New template"),
}
_MOST_NAMED = 8


def version(
    desk: Desk, kind: PlanKind, before: PlanRow | None, host: ui.element, done: Done | None = None
) -> None:
    """Opens the form of the next version of a plan, or of the first of a new one."""
    title = _TITLES[kind] if before is None else say("New version of {name}", name=before.name)
    with sheet(host, title, wide=kind == "template") as page:
        form = _Version(page, kind, before)

        async def send() -> None:
            name, document, note = form.said()
            wanted = 0 if before is None else before.version
            service = desk.services.plans
            await service.put(await desk.actor(), (kind, name), document, note, wanted)
            if done is None:
                ui.navigate.to(plans.address(kind, name))
            else:
                await done()

        page.buttons("Not now", "Keep this version", "primary", send)
        form.check()


class _Version:
    """The lines of one version."""

    def __init__(self, page: Sheet, kind: PlanKind, before: PlanRow | None) -> None:
        self._page, self._kind, self._before = page, kind, before
        document = None if before is None else before.document
        if before is None:
            self._name = entry("Name: small letters, digits, hyphens (required)", self.check)
            self._name.mark("plan-name")
        self._lines: dict[str, ui.input] = {}
        self._toml: ui.textarea | None = None
        if kind == "schedule":
            Text(say("In seconds; an empty line leaves the gateway its default."), "p", "meta")
            with box("div", "fields"):
                for name in SCHEDULE_FIELDS:
                    self._lines[name] = _seconds(name, plans.text_of(document, name), self.check)
        else:
            self._toml = text_area(
                later("Text of the template, TOML (required)"),
                str((document or {}).get("toml", "")),
                self.check,
            ).mark("plan-toml")
        self._note = entry("Why (optional)", self.check).mark("plan-note")

    def check(self) -> None:
        """Lets a version be kept once it has a name, and a template a text."""
        named = self._before is not None or bool(str(self._name.value or "").strip())
        written = self._toml is None or bool(str(self._toml.value or "").strip())
        self._page.allow(named and written)

    def said(self) -> tuple[str, dict[str, object], str]:
        """Returns name, document and note; raises Invalid where a line holds no number."""
        name = self._before.name if self._before else str(self._name.value or "").strip()
        note = str(self._note.value or "").strip()
        if self._toml is not None:
            return name, {"toml": str(self._toml.value or "")}, note
        texts = {field: str(line.value or "") for field, line in self._lines.items()}
        return name, plans.schedule_of(texts), note


def _seconds(name: str, value: str, check: Callable[[], object]) -> ui.input:
    line = entry(plans.FIELDS[name], check, value=value)
    return line.props("inputmode=decimal suffix=s").mark(f"plan-{name.replace('_', '-')}")


def text_area(label: str, value: str, check: Callable[[], object]) -> ui.textarea:
    """Draws a field for the text of a file."""
    field = ui.textarea(say(label), value=value, on_change=lambda _: check())
    return field.props("outlined dense rows=14 maxlength=262144 spellcheck=false").classes("code")


async def assign(desk: Desk, versions: Sequence[PlanRow], host: ui.element, done: Done) -> None:
    """Opens the assignment of a version to those whom a query finds."""
    kind, name = versions[0].kind, versions[0].name
    gateways = [row.id for row in await desk.services.gateways.list(await desk.actor())]
    with sheet(host, say("Assign {name}?", name=name)) as page:
        words = "All that you say must hold. Nothing said: every gateway."
        Text(say(words), "p")
        numbers = {str(row.version): str(row.version) for row in versions}
        which = choice("Version", list(numbers), lambda: None, numbers, str(versions[0].version))
        which.mark("assign-version")
        lines: dict[str, ui.input | ui.select] = {}
        with box("div", "fields"):
            for field, label in plans.QUERY.items():
                if field == "gateway":
                    line: ui.input | ui.select = _gateway(label, gateways)
                else:
                    line = entry(label, lambda: None)
                lines[field] = line.mark(f"assign-{field.replace('_', '-')}")

        async def send() -> None:
            said = {field: str(line.value or "").strip() or None for field, line in lines.items()}
            service, number = desk.services.plans, int(str(which.value))
            await service.assign(await desk.actor(), kind, name, number, PlanQuery(**said))
            await done()

        page.buttons("Not now", "Assign", "primary", send)


def _gateway(label: str, gateways: Sequence[str]) -> ui.select:
    names = {gateway: gateway for gateway in gateways}
    return choice(label, gateways, lambda: None, names).props("clearable")


def take_back(desk: Desk, row: AssignmentRow, host: ui.element, done: Done) -> None:
    """Asks whether an assignment ends."""
    with sheet(host, say("Take back the assignment of {name}?", name=row.name)) as page:
        words = "For {whom} an older assignment may hold again. Nothing is sent by this."
        Text(say(words, whom=plans.whom(row.query)), "p")

        async def send() -> None:
            await desk.services.plans.take_back(await desk.actor(), row.kind, row.id)
            await done()

        page.buttons("Not now", "Take back", "danger", send)


def send(desk: Desk, name: str, due: Sequence[str], host: ui.element, done: Done) -> None:
    """Asks gateways that do not follow a schedule for its file, each as a command of its own."""
    with sheet(host, say("Send {name} to gateways?", name=name)) as page:
        words = (
            "Each of {gateways} is asked to take its file with this schedule in it; another person "
            "approves each. A gateway keeps a new file only if it reaches the broker with it."
        )
        Text(say(words, gateways=plural(len(due), "gateway")), "p")
        rest = len(due) - _MOST_NAMED
        more = " " + say("and {rest} more", rest=rest) if rest > 0 else ""
        Text(", ".join(due[:_MOST_NAMED]) + more, "p", "meta")
        reason = entry("Reason (required)", lambda: page.allow(len(_said(reason)) > 2))
        reason.mark("send-reason")

        async def ask() -> None:
            service = desk.services.plan_sending
            sent = await service.send(await desk.actor(), name, _said(reason), page.key)
            _told(sent, host)
            await done()

        page.buttons("Not now", "Ask for it", "primary", ask)
        page.allow(False)


def _said(line: ui.input) -> str:
    return str(line.value or "").strip()


def _told(sent: Sent, host: ui.element) -> None:
    """Says what was asked for, and where nothing could be."""
    asked = plural(len(sent.commands), "command awaits approval", "commands await approval")
    if not sent.skipped:
        ui.notify(asked)
        return
    with sheet(host, "What was asked for") as page:
        Text(asked, "p")
        Text(say("Nothing was asked of these:"), "p")
        with box("dl", "facts"):
            for gateway, why in sent.skipped.items():
                Text(gateway, "dt")
                Text(sentence(why), "dd")
        with box("div", "buttons"):
            button("Close", page.dialog.close, "primary")

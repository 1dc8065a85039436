"""Forms for targets and routes of delivery; a secret that was made is shown once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.services.alerting import RouteWish, TargetRow, TargetWish
from hesper_ui.views import delivery
from hesper_ui.views.alerts import SEVERITIES
from hesper_ui.words import say

Done = Callable[[], Awaitable[None]]
_IN_COLUMNS = (
    "display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr))"
)


def new_target(desk: Desk, kind: str, host: ui.element, done: Done) -> None:
    """Opens the form of a new target of one kind."""
    with sheet(host, say("New target: {kind}", kind=say(delivery.KINDS[kind]))) as page:
        lines: dict[str, ui.input | ui.select] = {}
        with box("div").style(_IN_COLUMNS):
            lines["name"] = entry("Name, like shift-mail (required)", lambda: None)
            if kind == "email":
                _mail(lines)
            elif kind == "webhook":
                lines["url"] = entry("Address, https://… (required)", lambda: None)
        for name, line in lines.items():
            line.mark(f"target-{name}")
        if kind == "webhook":
            words = "A secret for its signature is made, and shown once."
            Text(say(words), "p", "meta")

        async def send() -> None:
            said = _said(lines)
            secret = said.get("password") or None
            wish = TargetWish(said["name"].strip(), delivery.config(kind, said), True, secret)
            made = await desk.services.delivery.put_target(await desk.actor(), wish, None, 0)
            await done()
            if made.secret is not None:
                _show_once(host, made.secret)

        page.buttons("Not now", "Keep", "primary", send)


def _mail(lines: dict[str, ui.input | ui.select]) -> None:
    lines["host"] = entry("Mail server (required)", lambda: None)
    lines["port"] = entry("Port", lambda: None)
    lines["port"].value = "587"
    lines["security"] = choice("Security", list(delivery.SECURITY), lambda: None, delivery.SECURITY)
    lines["security"].value = "starttls"
    lines["username"] = entry("User name at the server", lambda: None)
    lines["password"] = entry("Password at the server", lambda: None, password=True)
    lines["sender"] = entry("Sender (required)", lambda: None)
    lines["recipients"] = entry("Recipients, with commas (required)", lambda: None)


def _said(lines: Mapping[str, ui.input | ui.select]) -> dict[str, str]:
    return {name: str(line.value or "") for name, line in lines.items()}


def _show_once(host: ui.element, secret: str) -> None:
    with sheet(host, "The secret of this webhook") as page:
        words = "Give it to the receiver now: it is never shown again."
        Text(say(words), "p")
        Text(secret, "p", "strong")

        async def send() -> None:
            return None

        page.buttons("Close", "I have it", "primary", send)


def new_route(desk: Desk, targets: Sequence[TargetRow], host: ui.element, done: Done) -> None:
    """Opens the form of a new route."""
    by_name = {target.name: target.id for target in targets}
    with sheet(host, "New route") as page:
        lines: dict[str, ui.input | ui.select] = {}
        with box("div").style(_IN_COLUMNS):
            lines["name"] = entry("Name, like nights (required)", lambda: None)
            lines["target"] = choice("Target", list(by_name), lambda: None)
            lines["target"].value = next(iter(by_name))
            levels = {name: words for name, words in SEVERITIES.items() if name}
            lines["severity"] = choice(
                "This severity and worse", list(levels), lambda: None, levels
            )
            lines["severity"].value = "warning"
            lines["rules"] = entry("Rules, like tamper.*, storm/*; none: all", lambda: None)
            lines["areas"] = entry("Areas, with commas; none: all", lambda: None)
            lines["begin"] = entry("Quiet from, like 22:00", lambda: None)
            lines["end"] = entry("Quiet until, like 06:00", lambda: None)
            lines["zone"] = entry("Zone of these hours, like Europe/Berlin", lambda: None)
            lines["digest"] = entry("Single messages within 10 minutes, at most", lambda: None)
            lines["digest"].value = "5"
        for name, line in lines.items():
            line.mark(f"route-{name}")

        async def send() -> None:
            said = _said(lines)
            wish = RouteWish(said["name"].strip(), by_name[said["target"]], delivery.policy(said))
            await desk.services.delivery.put_route(await desk.actor(), wish, None, 0)
            await done()

        page.buttons("Not now", "Keep", "primary", send)


def remove(name: str, removal: Callable[[], Awaitable[None]], host: ui.element, done: Done) -> None:
    """Asks whether a target or a route is to be removed."""
    with sheet(host, say("Remove {name}?", name=name)) as page:
        words = "A target goes with its routes and with what it has not taken yet."
        Text(say(words), "p")

        async def send() -> None:
            await removal()
            await done()

        page.buttons("Keep it", "Remove", "danger", send)

"""Pages without their content: loading, empty, refused, in error."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hesper_ui.elements import Text, box, button, link, mark
from hesper_ui.services import NotAuthenticated, NotFound, NotPermitted, ServiceError
from hesper_ui.views.wording import sentence
from hesper_ui.words import later, say


def loading(heights: tuple[int, ...] = (28, 112, 280)) -> None:
    """Draws the bones of a page while its content is fetched."""
    Text(say("Loading…"), classes="visually-hidden", role="status")
    for height in heights:
        box("div", "bone", aria_hidden="true").style(f"height: {height}px")


def empty(title: str, text: str) -> None:
    """Says that there is nothing here, and what would change that."""
    with box("div", "state"):
        Text(say(title), "strong")
        Text(say(text), "p")


@dataclass(frozen=True, slots=True)
class Steps:
    """How far an empty system has come on its way to the first live meter."""

    gateway_known: bool = False
    gateway_heard: bool = False
    meter_found: bool = False


FIRST_STEPS = (
    (
        later("Let a gateway in"),
        later(
            "On the server: hesper-cloud gateway keep NAME gateway.toml, then hesper-cloud "
            "gateway token NAME. On the gateway: hesper-gateway enroll with that token."
        ),
    ),
    (
        later("Hear from it"),
        later("Start hesper-gateway; within seconds it reports itself, and the gateways list it."),
    ),
    (
        later("Find the first meter"),
        later(
            "Name its line in gateway.toml; hesper-gateway discover LINE says who answers there "
            "and what to write. A meter that is read appears here by itself. If it does not: "
            "hesper-gateway commission METER goes hop by hop and says what to do."
        ),
    ),
)


def first_run(steps: Steps | None = None) -> None:
    """Says what to do while no meter has ever been heard, and what of it is done."""
    done = dataclasses.astuple(steps or Steps())
    with box("section", "panel", aria_label=say("First steps")), box("div", "state first-run"):
        Text(say("No meter has reported yet"), "strong")
        Text(say("Three steps bring the first one here:"), "p")
        with box("ol"):
            for is_done, (title, text) in zip(done, FIRST_STEPS, strict=True):
                with box("li", "done" if is_done else ""):
                    mark("done" if is_done else "unknown")
                    with box("div"):
                        Text(say(title), "strong")
                        if is_done:
                            Text(f" · {say('done')}", classes="meta")
                        Text(say(text), "p")


def notice(kind: str, text: str, tone: str = "") -> Any:
    """Draws a line that wants to be read, with its shape."""
    role = "alert" if tone == "critical" else "status"
    with box("div", f"notice {tone}".strip(), role=role) as element:
        mark(kind)
        Text(text, classes="grow")
    return element


def refused(refusal: ServiceError, again: Callable[[], Any]) -> None:
    """Shows why a page could not be built: not found, not permitted, or not now."""
    if isinstance(refusal, NotPermitted):
        title, text = later("Not open to your role"), sentence(refusal)
    elif isinstance(refusal, NotFound):
        title, text = later("Nothing here under this name"), sentence(refusal)
    elif isinstance(refusal, NotAuthenticated):
        title, text = later("Your session has ended"), say("Sign in again to go on.")
    else:
        title, text = later("This page could not be loaded"), sentence(refusal)
    title = say(title)
    with box("section", "panel", aria_label=title), box("div", "state", role="alert"):
        Text(title, "h1", tabindex="-1")
        Text(text, "p")
        if isinstance(refusal, NotAuthenticated):
            Text(
                say("Sign in"), "a", "btn primary", href="/login", target="_top", onclick=_TO_LOGIN
            )
        elif isinstance(refusal, NotPermitted | NotFound):
            link(say("Go to the overview"), "/")
        else:
            button("Try again", again)


# Sub-page links are handled by the console itself; this one must leave it.
_TO_LOGIN = "event.stopPropagation(); location.assign('/login')"

"""Settings: what runs here and how it is set up; changed in files, so shown and not edited."""

from collections.abc import Sequence
from itertools import groupby

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings
from hesper_ui.desk import Desk
from hesper_ui.elements import Text, box, marked, panel
from hesper_ui.pages import display
from hesper_ui.part import Part, look_every
from hesper_ui.places import Place
from hesper_ui.services import Actor, Fact, Permission
from hesper_ui.views import policy_words
from hesper_ui.views.wording import retold
from hesper_ui.words import later, say

SECTIONS = {
    "runs": later("What runs"),
    "retention": later("How long it is kept"),
    "web": later("Console and REST"),
    "keys": later("Keys"),
    "rules": later("Rules"),
}

_SAID = (
    later("version"),
    later("registry"),
    later("authority"),
    later("broker"),
    later("store"),
    later("readings"),
    later("ids of batches"),
    later("for ever"),
    later("session"),
    later("secure cookies"),
    later("where the proxy says HTTPS"),
    later("map tiles"),
    later("sign-in by OpenID Connect"),
    later("command key in a token"),
    later("release keys of firmware"),
    later("nominal voltage"),
    later("time zone of days"),
    later("yes"),
    later("no"),
    later("none"),
)
"""Names and values of facts, as the service gives them out and catalogues translate them."""


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the facts by section, and the policy under which commands leave."""
    policy = await desk.services.decisions.policy(actor)
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Settings"), "h1", tabindex="-1")
        words = "How it is shown is yours; the rest is changed in cloud.toml and by policy."
        Text(say(words), "p", "meta")
    with box("div", "columns"):
        with box("div", "stack"):
            display.draw()
            part = Part(desk, desk.services.about.facts, _draw)
            await part.show()
        with panel("Policy for commands", "in force now"), box("dl", "facts"):
            for line in policy_words.lines(policy):
                Text(line.called, "dt", title=line.name)
                Text(line.said, "dd")
    look_every(15.0, part.refresh)


def _draw(facts: Sequence[Fact]) -> None:
    with box("div", "stack"):
        for section, rows in groupby(facts, key=lambda fact: fact.section):
            with panel(SECTIONS.get(section, section)), box("dl", "facts"):
                for fact in rows:
                    Text(say(fact.name), "dt")
                    with box("dd"):
                        _value(fact)


def _value(fact: Fact) -> None:
    if fact.is_well is None:
        Text(retold(fact.value))
        return
    marked("normal" if fact.is_well else "critical", "answers" if fact.is_well else "is away")
    Text(f" {retold(fact.value)}", classes="meta")


PLACES = [
    Place(
        "/settings", "Settings", build, drawings.COG, needs=Permission.READ_AUDIT, rank=95, key="y"
    )
]

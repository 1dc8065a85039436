"""Emergencies: commands that one person let go alone, and what another said of it afterwards."""

from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs import emergency
from hesper_ui.dialogs.decide import Done
from hesper_ui.dialogs.proving import is_coded
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Text, ago, box, button, link, mark, moment, panel
from hesper_ui.services import Actor, BreakGlassRow, Permission
from hesper_ui.views.wording import plural
from hesper_ui.words import later, say

MOST = 10


def draw(
    desk: Desk, actor: Actor, uses: Sequence[BreakGlassRow], host: ui.element, done: Done
) -> None:
    """Draws the newest uses, those that wait for a review first; nothing where there was none."""
    if not uses:
        return
    waiting = sum(use.reviewed_at is None for use in uses)
    ordered = sorted(uses, key=lambda use: use.reviewed_at is not None)
    note = plural(waiting, "review is due", "reviews are due") if waiting else later("all reviewed")
    with panel("Break-glass", note), box("ul", "row-list"):
        for use in ordered[:MOST]:
            with box("li"):
                mark(_kind(use))
                _told(use)
                with box("div", "chips"):
                    _action(desk, actor, use, host, done)


def _kind(use: BreakGlassRow) -> str:
    if use.reviewed_at is not None:
        return "done"
    return "critical" if datetime.now(UTC) > use.review_until else "warning"


def _told(use: BreakGlassRow) -> None:
    with box("div"):
        with box("div", "what"):
            Text(say("{who}: {why}", who=use.username, why=use.reason))
            if use.meter:
                Text(" · ", classes="meta")
                link(use.meter, f"/meters/{use.meter}")
        with box("div", "meta"):
            ago(use.at)
            Text(" · ")
            if use.reviewed_by and use.verdict:
                verdict = say(emergency.VERDICTS.get(use.verdict, use.verdict))
                words = "{verdict}, said {who}: {why}"
                Text(say(words, verdict=verdict, who=use.reviewed_by, why=use.review or ""))
            else:
                Text(say("to be reviewed until"))
                Text(" ")
                moment(use.review_until, "date")


def _action(desk: Desk, actor: Actor, use: BreakGlassRow, host: ui.element, done: Done) -> None:
    own = use.username == actor.username
    if use.reviewed_at is not None or own or not actor.may(Permission.APPROVE_COMMAND):
        return

    async def ask() -> None:
        emergency.review(desk, use, await is_coded(desk), host, done)

    button("Review…", attempted(ask), "small", acts=True)

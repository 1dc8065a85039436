"""Commands: the approvals inbox, what is under way or ended, and the switch that stops all."""

from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import decide, emergency
from hesper_ui.dialogs.proving import is_coded
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Text, ago, block, box, button, link, mark, panel
from hesper_ui.pages import emergencies, timeline
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import ACT, Place
from hesper_ui.services import FOR_PEOPLE, Actor, CommandRow, KillSwitchState, Permission
from hesper_ui.views import relay
from hesper_ui.views.looks import command_kind, command_state
from hesper_ui.views.wording import grouped, plural
from hesper_ui.words import later, say

MOST = 100


@dataclass(frozen=True, slots=True)
class _Queue:
    """What the page shows of each part, and how many are under way, with those of batches."""

    waiting: Sequence[CommandRow]
    waiting_batches: int
    moving: Sequence[CommandRow]
    ended: Sequence[CommandRow]
    moving_count: int
    batched_count: int


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the queue of commands."""
    host = box("div", "contents")
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Commands"), "h1", tabindex="-1")
        Text(say("Nothing is called done without evidence from the meter."), "p", "meta")
    switch = _Switch(desk, actor, host)
    inbox = _Inbox(desk, actor, host)

    async def load(asking: Actor) -> _Queue:
        return await _load(desk, asking)

    def draw(found: _Queue) -> None:
        with box("div", "stack"):
            with panel("Awaiting approval", plural(len(found.waiting), "request")):
                if found.waiting_batches:
                    _waiting_batches(found.waiting_batches)
                if found.waiting or not found.waiting_batches:
                    inbox.draw(found.waiting, queue.refresh)
            with panel("Under way", plural(found.moving_count, "command")):
                _under_way(found.moving, found.batched_count)
            ended = found.ended
            with panel(
                "Ended", say("the latest {ended}", ended=len(ended)) if len(ended) > 1 else ""
            ):
                text = later("Results stay here, with their evidence.")
                _listed(ended, later("None outside a batch has ended yet"), text)

    kill = Part(
        desk, desk.services.commands.kill_switch, lambda state: switch.draw(state, kill.refresh)
    )
    queue = Part(desk, load, draw)
    used = Part(
        desk,
        desk.services.decisions.broken,
        lambda uses: emergencies.draw(desk, actor, uses, host, used.refresh),
    )
    await kill.refresh()
    await queue.show()
    await used.refresh()
    watch("commands", queue.refresh)
    watch("switch", kill.refresh)
    watch("alerts commands", used.refresh)
    look_every(10.0, queue.refresh)
    look_every(10.0, kill.refresh)


async def _load(desk: Desk, actor: Actor) -> _Queue:
    """Asks for each part by itself: no number of others may hide what waits for a decision."""
    commands = desk.services.commands
    waiting = [
        row for state in sorted(FOR_PEOPLE) for row in await commands.list(actor, state, None, MOST)
    ]
    opened = await commands.list(actor, "open", None, MOST + len(waiting))
    latest = await commands.list(actor, None, None, MOST + len(opened))
    moving = [row for row in opened if row.state not in FOR_PEOPLE][:MOST]
    figures = await desk.services.overview.figures(actor)
    asked = await desk.services.batches.list(actor, "awaiting_approval", MOST)
    batched, count = figures.commands_in_batches, figures.commands_in_flight
    if len(moving) < MOST:
        count = len(moving) + batched
    ended = [row for row in latest if not row.is_open]
    return _Queue(waiting, len(asked), moving, ended, count, batched)


def _waiting_batches(count: int) -> None:
    """Draws how many batches wait, which are decided on pages of their own."""
    with box("p", "meta lead"):
        link(plural(count, "batch awaits approval", "batches await approval"), "/batches")


def _under_way(rows: Sequence[CommandRow], batched: int) -> None:
    """Draws what is under way by itself, and how much is in batches, which have their own page."""
    if batched:
        with box("p", "meta lead"):
            link(say("{count} of them in batches", count=grouped(batched)), "/batches")
    if rows or not batched:
        _listed(rows, later("Nothing is under way"), later("Approved commands pass through here."))


def _listed(rows: Sequence[CommandRow], title: str, text: str) -> None:
    if rows:
        timeline.entries(rows, with_meter=True)
    else:
        states.empty(title, text)


@dataclass(frozen=True, slots=True)
class _Switch:
    desk: Desk
    actor: Actor
    host: ui.element

    def draw(self, state: KillSwitchState, done: decide.Done) -> None:
        if not state.engaged:
            if self.actor.may(Permission.ENGAGE_KILL_SWITCH):
                with box("div", "chips"):
                    Text(say("Commands may leave."), classes="meta")
                    button(
                        "Stop all commands…",
                        lambda: decide.engage_kill_switch(self.desk, self.host, done),
                        "danger small",
                    )
            return
        with box("div", "notice critical", role="alert"):
            mark("critical")
            with box("div", "grow"):
                Text(say("The kill switch is engaged: commands may only read."), "strong")
                with box("div", "meta"):
                    Text(
                        say(
                            "by {who}: {why} · ",
                            who=state.set_by or say("unknown"),
                            why=state.reason or say("no reason given"),
                        )
                    )
                    ago(state.set_at)
                if first := state.lift_asked_by:
                    words = "{who} has asked for its release; another approver must say so, too."
                    Text(say(words, who=first), "div", "meta")
            if self.actor.may(Permission.APPROVE_COMMAND):
                release = button(
                    "Release…",
                    lambda: decide.release_kill_switch(self.desk, self.host, done),
                    "small",
                    acts=True,
                )
                if self.actor.username in (state.set_by, state.lift_asked_by):
                    block(release, True)
                    release.props["title"] = say("It takes two, and neither may have set it.")


@dataclass(frozen=True, slots=True)
class _Inbox:
    desk: Desk
    actor: Actor
    host: ui.element

    def draw(self, rows: Sequence[CommandRow], done: decide.Done) -> None:
        if not rows:
            states.empty("Nothing to approve", "Requests of others appear here for 15 minutes.")
            return
        if not self.actor.may(Permission.APPROVE_COMMAND):
            Text(
                say(
                    "Your role ({role}) may look; an approver decides.",
                    role=say(self.actor.role.value),
                ),
                "p",
                "meta",
            )
        with box("ul", "row-list"):
            for row in rows:
                self._row(row, done)

    def _row(self, row: CommandRow, done: decide.Done) -> None:
        with box("li"):
            mark("warning")
            with box("div"):
                with box("div", "what"):
                    Text(say("{kind} to ", kind=command_kind(row.kind)))
                    timeline.addressee(row)
                if row.state == "quarantined":
                    Text(say(command_state(row.state).word), "div", "meta")
                why = relay.reason(row.reason)
                asked = say("asked by {who}: {why}", who=row.requester, why=why)
                Text(asked, "div", "meta")
                with box("div", "meta"):
                    ago(row.created_at)
            with box("div", "chips"):
                self._actions(row, done)

    def _actions(self, row: CommandRow, done: decide.Done) -> None:
        own = row.requester == self.actor.username
        if own:
            self._withdraw(row, done)
        if not self.actor.may(Permission.APPROVE_COMMAND):
            return
        if row.state == "quarantined":
            self._release(row, own, done)
            return

        async def approve() -> None:
            actor = await self.desk.actor()
            meters = self.desk.services.meters
            detail = await meters.get(actor, row.meter) if row.meter else None
            await decide.approve(self.desk, row, detail, self.host, done)

        named = _named("Approve…", row)
        decision = button("Approve…", attempted(approve), "small", acts=True, aria_label=named)
        self._by_another(decision, own)
        if not own:
            button(
                "Reject…",
                lambda: decide.reject(self.desk, row, self.host, done),
                "small",
                aria_label=_named("Reject…", row),
            )

    def _withdraw(self, row: CommandRow, done: decide.Done) -> None:
        async def withdraw() -> None:
            await self.desk.services.commands.cancel(await self.desk.actor(), row.id)
            await done()

        button("Withdraw", attempted(withdraw), "small", aria_label=_named("Withdraw", row))

    def _release(self, row: CommandRow, own: bool, done: decide.Done) -> None:
        async def release() -> None:
            coded = await is_coded(self.desk)
            emergency.release(self.desk, row, coded, self.host, done)

        named = _named("Release…", row)
        decision = button("Release…", attempted(release), "small", acts=True, aria_label=named)
        self._by_another(decision, own)

    def _by_another(self, decision: Text, own: bool) -> None:
        """Holds a decision that is not for whoever asked."""
        block(decision, own)
        if own:
            decision.props["title"] = say("Another person must approve what you asked for.")


def _named(label: str, row: CommandRow) -> str:
    """Returns what a button is called for who cannot see which request it stands beside."""
    return f"{say(label)} {command_kind(row.kind)}, {row.meter or row.gateway}"


PLACES = [
    Place(
        "/commands",
        "Commands",
        build,
        drawings.COMMANDS,
        figure="commands_awaiting_approval",
        tone="neutral",
        said="awaiting approval",
        group=ACT,
        rank=10,
        key="c",
    )
]

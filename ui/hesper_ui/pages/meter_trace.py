"""The decoded trace on a meter's page: what its gateway and it said when somebody asked for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import asking
from hesper_ui.elements import Text, block, box, button, mark, moment, panel
from hesper_ui.part import Part
from hesper_ui.services import (
    Actor,
    CommandRow,
    CommandWish,
    ConversationRow,
    NotFound,
    Permission,
    UtteranceRow,
)
from hesper_ui.views.batches import READ_REGISTERS
from hesper_ui.views.conversations import SIDES, glance, is_warning, spaced
from hesper_ui.views.looks import command_state
from hesper_ui.views.wording import capital, decimal, grouped, plural, retold, sentence
from hesper_ui.words import say

EARLIER = 5
_ARROWS = {"sent": "→", "received": "←"}


@dataclass(frozen=True, slots=True)
class Trace:
    """What a panel shows: the traces that were asked for, and the conversation of one of them."""

    asked: tuple[CommandRow, ...]
    shown: CommandRow | None = None
    conversation: ConversationRow | None = None


class TracePanel:
    """Shows the newest trace of a meter, or the one that the address names.

    Args:
        desk: Whose page it is.
        meter: Whose line.
        chosen: Id of a command; empty for the newest.
        done: Looks again at what else a new command changes.
    """

    def __init__(
        self, desk: Desk, meter: str, chosen: str, done: Callable[[], Awaitable[None]]
    ) -> None:
        self._desk = desk
        self._meter = meter
        self._chosen = chosen
        self._done = done
        self._known: ConversationRow | None = None
        with panel("Decoded trace", "what gateway and meter say to each other"):
            self.part = Part(desk, self._load, self._draw)

    async def _load(self, actor: Actor) -> tuple[Trace, bool]:
        asked = tuple(
            await self._desk.services.conversations.asked_for(actor, self._meter, EARLIER)
        )
        shown = next(
            (each for each in asked if each.id == self._chosen), asked[0] if asked else None
        )
        found = None if shown is None or shown.is_open else await self._conversation(actor, shown)
        return Trace(asked, shown, found), actor.may(Permission.REQUEST_COMMAND)

    async def _conversation(self, actor: Actor, command: CommandRow) -> ConversationRow | None:
        """Returns what was said; each look is logged, so what is there is not fetched again."""
        if self._known is None or self._known.command != command.id:
            try:
                self._known = await self._desk.services.conversations.get(actor, command.id)
            except NotFound:
                return None
        return self._known

    def _draw(self, found: tuple[Trace, bool]) -> None:
        trace, may_ask = found
        if may_ask:
            self._offer(any(each.is_open for each in trace.asked))
        if trace.shown is None:
            states.empty(
                "No trace yet",
                "Ask for one: the gateway opens the line, reads clock, name and registers, and "
                "tells every octet. It shows where a silent meter stops.",
            )
            return
        _head(trace.shown)
        if trace.conversation is not None:
            _conversation(trace.conversation)
        self._others(trace)

    def _offer(self, is_under_way: bool) -> None:
        """Offers to ask."""

        async def ask(key: str) -> CommandRow:
            actor = await self._desk.actor()
            wish = CommandWish(
                "read.conversation", self._meter, {"logical_names": READ_REGISTERS}, ""
            )
            return await self._desk.services.commands.request(actor, wish, key)

        async def shown() -> None:
            self._chosen = ""
            await self.part.refresh()
            await self._done()

        control = button("Trace the line now", asking(ask, shown), acts=True).mark("ask-trace")
        block(control, is_under_way)

    def _others(self, trace: Trace) -> None:
        others = [each for each in trace.asked if each != trace.shown]
        if not others:
            return
        with box("p", "meta others"):
            Text(say("Other traces:"))
            for each in others:
                with box("a", href=f"/meters/{self._meter}?trace={each.id}"):
                    moment(each.created_at, "date")


def _head(command: CommandRow) -> None:
    """Says who asked, and how far the conversation came."""
    look = command_state(command.state)
    with box("div", "marked trace-head", data_trace=command.state):
        mark(look.mark)
        if command.state == "confirmed":
            Text(say("the meter answered to the end"), "strong")
        else:
            Text(say(look.word), "strong")
            if command.detail:
                Text(f"· {capital(retold(command.detail))}")
    with box("div", "meta"):
        Text(say("asked by {who}", who=command.requester))
        Text(" · ")
        moment(command.created_at, "date")


def _conversation(found: ConversationRow) -> None:
    sent, received = grouped(found.octets_sent), grouped(found.octets_received)
    told = say("{sent} octets to the meter, {received} from it", sent=sent, received=received)
    Text(told, "p", "meta")
    if found.truncated:
        shown, all_ = len(found.utterances), plural(found.utterance_count, "utterance")
        text = say("Not all of it fitted: {shown} of {all} are here.", shown=shown, all=all_)
        states.notice("warning", text, "warning")
    with box("ol", "timeline said"):
        for said in found.utterances:
            _utterance(said, (said.at - found.utterances[0].at).total_seconds())


def _utterance(said: UtteranceRow, after_s: float) -> None:
    """Draws one line; what it says in full, and its octets, are one click away."""
    what, points = glance(said)
    with box("li", data_said=said.what):
        with box("div", "when"):
            moment(said.at)
            Text(f"+{decimal(after_s, 2)} s", "div")
        if is_warning(said):
            mark("warning")
        else:
            Text(_ARROWS.get(said.what, "·"), classes="arrow", aria_hidden="true")
        with box("div", "what"):
            if said.what == "note":
                Text(sentence(what), "div", "meta")
                return
            with box("details"):
                with box("summary"):
                    Text(say(SIDES[said.what]), classes="side")
                    Text(what, "strong")
                    if points:
                        Text(points, classes="meta")
                Text(plural(said.octet_count, "octet"), "div", "meta")
                if said.octets:
                    Text(spaced(said.octets), "pre", "code octets", tabindex="0")
                Text("\n".join(said.says), "pre", "code", tabindex="0")

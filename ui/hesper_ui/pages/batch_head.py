"""The head of a batch's page: what it is, and what may be decided.

The buttons are drawn anew only when other decisions become possible. While a batch runs its figures
change every second, and a button that is replaced under the pointer loses the click.
"""

from collections.abc import Awaitable, Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs import decide_batch
from hesper_ui.dialogs.proving import is_coded
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Text, ago, box, button, marked
from hesper_ui.services import Actor, BatchVerb, BatchView
from hesper_ui.views import batches
from hesper_ui.views.looks import command_kind
from hesper_ui.words import later, say

LABELS: dict[BatchVerb, tuple[str, str]] = {
    "approve": (later("Approve…"), "primary"),
    "reject": (later("Reject…"), ""),
    "pause": (later("Pause…"), ""),
    "resume": (later("Resume…"), "primary"),
    "release": (later("Let more leave…"), "primary"),
    "retry": (later("Repeat what failed…"), ""),
    "abort": (later("Abort…"), "danger"),
}
Done = Callable[[], Awaitable[None]]


class Head:
    """Title, state and decisions of the batch that a page is about."""

    def __init__(self, desk: Desk, actor: Actor, host: ui.element) -> None:
        self._desk = desk
        self._actor = actor
        self._host = host
        self._verbs: list[BatchVerb] = []
        with box("div", "page-head"):
            self._titles = box("div", "titles")
            self._actions = box("div", "actions")

    def draw(self, batch: BatchView, done: Done) -> None:
        """Shows how the batch stands now; whoever decides is shown ``done`` afterwards."""
        self._titles.clear()
        with self._titles:
            Text(title(batch), "h1", tabindex="-1")
            with box("div", "meta status-line"):
                marked(*batches.state(batch))
                if wave := batches.wave(batch):
                    Text(wave)
                Text(say("asked by {who}: {why}", who=batch.requester, why=batch.reason))
                ago(batch.proposed_at)
        verbs = batches.verbs(batch, self._actor)
        if verbs == self._verbs:
            return
        self._verbs = verbs
        self._actions.clear()
        with self._actions:
            for verb in verbs:
                decision(self._desk, batch, verb, self._host, done)


def title(batch: BatchView) -> str:
    """Returns what a batch does; of firmware with the version."""
    kind, version = command_kind(batch.kind), batch.parameters.get("version")
    return f"{kind} · {version}" if version else kind


def decision(desk: Desk, batch: BatchView, verb: BatchVerb, host: ui.element, done: Done) -> None:
    """Draws the button of one decision; its dialog tells how the batch stands when it opens."""

    async def ask() -> None:
        coded = decide_batch.WORDS[verb].proves and await is_coded(desk)
        now = await desk.services.batches.get(await desk.actor(), batch.id)
        decide_batch.open_dialog(desk, now, verb, coded, host, done)

    label, kind = LABELS[verb]
    button(label, attempted(ask), kind, acts=True).mark(f"batch-{verb}")

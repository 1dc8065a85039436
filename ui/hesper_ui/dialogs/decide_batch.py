"""Deciding about a batch: approving its hash by a typed count, holding it, ending it."""

from dataclasses import dataclass

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.decide import Done
from hesper_ui.dialogs.proving import Proving
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.services import BatchVerb, BatchView, Decision
from hesper_ui.views import batches
from hesper_ui.views.looks import command_kind
from hesper_ui.views.wording import grouped, plain
from hesper_ui.words import later, say


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one decision; ``proves``: it lets a batch go on, so it asks for a password."""

    title: str
    text: str
    act: str
    kind: str = "primary"
    proves: bool = False


WORDS: dict[BatchVerb, Words] = {
    "approve": Words(
        later("Approve this batch?"),
        later("What you approve is the list with this hash, and no other. The canary goes first."),
        later("Approve batch"),
        "danger",
        proves=True,
    ),
    "reject": Words(
        later("Reject this batch?"),
        later("Everything stays as it is. The requester sees your reason."),
        later("Reject batch"),
        "danger",
    ),
    "pause": Words(
        later("Pause this batch?"),
        later("What has not been signed is taken back and waits; an approver lets it go on."),
        later("Pause batch"),
    ),
    "resume": Words(
        later("Let this batch go on?"),
        later(
            "Rows that wait leave again; what failed so far is forgiven, but not repeated. "
            "Where a wave is over, the next begins."
        ),
        later("Resume batch"),
        proves=True,
    ),
    "retry": Words(
        later("Repeat what failed?"),
        later("Only rows that failed, were refused or expired go again; confirmed ones do not."),
        later("Repeat failed rows"),
        proves=True,
    ),
    "release": Words(
        later("Let more of this batch leave?"),
        later("As many left as one decision covers. Your word lets as many more go."),
        later("Let more leave"),
        "danger",
        proves=True,
    ),
    "abort": Words(
        later("Abort this batch for good?"),
        later("What has not left never will. What is at a gateway already comes to its end."),
        later("Abort batch"),
        "danger",
    ),
}


def open_dialog(
    desk: Desk, batch: BatchView, verb: BatchVerb, coded: bool, host: ui.element, done: Done
) -> None:
    """Opens the decision; ``coded``: the account gives a code beside its password."""
    words = WORDS[verb]
    with sheet(host, words.title) as page:
        Text(say(words.text), "p")
        _facts(batch)
        count = batches.taking_part(batch)

        def check() -> None:
            typed = verb != "approve" or plain(str(number.value or "")) == str(count)
            given = proving.complete if proving else bool(str(reason.value or "").strip())
            page.allow(typed and given)

        number = entry("Number of meters that it reaches (required)", check)
        number.props("inputmode=numeric maxlength=9").mark("typed-count")
        number.set_visibility(verb == "approve")
        proving = Proving(coded, check) if words.proves else None
        label = "Reason (optional)" if words.proves else "Reason (required)"
        reason = entry(label, check).mark("batch-reason")

        async def send() -> None:
            password = proving.proof().to_text() if proving else ""
            why, stood_at = str(reason.value or "").strip(), batch.updated_at
            decision = Decision(verb, why, batch.digest, password, stood_at)
            await desk.services.batches.decide(await desk.actor(), batch.id, decision, page.key)
            await done()

        page.buttons("Not now", words.act, words.kind, send)
        page.allow(False)


def _facts(batch: BatchView) -> None:
    rows = [
        (say("Command"), command_kind(batch.kind)),
        (say("Reaches"), grouped(batches.taking_part(batch))),
        (say("Excluded"), grouped(batches.excluded(batch))),
        (say("Asked by"), batch.requester),
        (say("Reason"), batch.reason),
    ]
    with box("dl", "facts"):
        for name, text in rows:
            Text(name, "dt")
            Text(text, "dd")
        Text(say("Hash"), "dt")
        Text(batch.digest, "dd", "hash")

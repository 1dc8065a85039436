"""While readings wait for a store that is away, everything else passes them.

Events, results of commands and status need the registry alone: an alarm is raised, and a relay
confirmed, though nobody can say where readings go. What passes has to have come: while more
readings wait than may be outstanding, the broker keeps the rest, in the order of their sending.
"""

from hesper_contracts.frame import Kind

from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.settling import Settling


class Passing:
    """Looks through the inbox while the writer's thread waits; called from that thread."""

    def __init__(self, inbox: Inbox, settling: Settling) -> None:
        self._inbox = inbox
        self._settling = settling

    def turn(self) -> None:
        """Settles what needs no store; readings wait on."""
        waiting = self._inbox.drained()
        for each in waiting:
            if each.kind is Kind.READINGS:
                self._inbox.put(each)
        self._settling.let_pass([each for each in waiting if each.kind is not Kind.READINGS])

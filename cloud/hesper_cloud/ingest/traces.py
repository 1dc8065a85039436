"""Spans of ingest: one for each traced batch, and one trace of its own for the group it was in.

A batch's span hangs under its gateway's and reaches from arrival to receipt; below it lies the
commit that made it durable. Both are linked with the group, whose one commit serves the batches of
many gateways, and whose trace shows the stages. Nothing is recorded for a group without a traced
batch, nor where there is no tracer.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hesper_contracts.frame import Kind
from hesper_contracts.trace import TraceContext

from hesper_cloud.ingest.message import Message
from hesper_cloud.ingest.stages import Mark

if TYPE_CHECKING:
    from hesper_cloud.observing.tracer import Span, Tracer

_NS = 1_000_000_000
_MOST_LINKS = 100
COMMITS: dict[Kind, str] = {
    Kind.READINGS: "store",
    Kind.EVENTS: "store events",
    Kind.RESULTS: "store results",
}


class IngestTraces:
    """Tells of groups that hold traced batches."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    def tell(self, group: Sequence[Message], marks: Sequence[Mark]) -> None:
        """Tells of a group that was settled just now.

        Args:
            group: All its messages, traced or not.
            marks: Which stages it went through, and when.
        """
        from hesper_cloud.observing.tracer import Span, beginning, below

        ended_ns = time.time_ns()
        whole = beginning()
        batches = {message: below(message.trace) for message in group if message.trace is not None}
        begun_ns = min([mark.begun_ns for mark in marks], default=ended_ns)
        about = {"hesper.messages": len(group), "hesper.traced": len(batches)}
        links = list(batches.values())[:_MOST_LINKS]
        self._tracer.tell(Span("ingest group", whole, begun_ns, ended_ns, about=about, links=links))
        for mark in marks:
            self._tracer.tell(Span(mark.stage, below(whole), *mark[1:], whole))
        for message, context in batches.items():
            self._tracer.tell(_of_batch(message, context, ended_ns, whole))
            for mark in marks:
                if mark.stage == COMMITS.get(message.kind):
                    commit = Span(mark.stage, below(context), *mark[1:], context, links=[whole])
                    self._tracer.tell(commit)


def _of_batch(
    message: Message, context: TraceContext, ended_ns: int, whole: TraceContext
) -> "Span":
    from hesper_cloud.observing.tracer import Span

    return Span(
        f"ingest {message.kind}",
        context,
        int(message.received_at * _NS),
        ended_ns,
        message.trace,
        "consumer",
        {"hesper.gateway": message.gateway, "hesper.octets": len(message.payload)},
        [whole],
    )

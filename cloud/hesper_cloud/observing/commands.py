"""The spans of a command's way: asked for, signed, settled. Its trace is derived from its id."""

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from hesper_contracts import trace

if TYPE_CHECKING:
    from hesper_cloud.observing.tracer import Tracer

_MOST_KNOWN = 10_000
_ABOVE: dict[trace.Span | None, trace.Span] = {"sign": "request", None: "gateway"}


class CommandTraces:
    """Tells of commands that are sampled; without a tracer it does nothing."""

    def __init__(self, tracer: "Tracer | None") -> None:
        self._tracer = tracer
        self._signed: OrderedDict[str, None] = OrderedDict()

    def traceparent(self, command_id: str) -> str | None:
        """Returns what goes along with a command to its gateway; None where it is not traced."""
        trace_id = self._sampled(command_id)
        return None if trace_id is None else trace.context(trace_id, "sign").traceparent()

    def asked(self, command_id: str, kind: str, begun_ns: int) -> None:
        """Tells that a person or machine asked for a command, and was answered now."""
        self._tell(command_id, "request", "command requested", begun_ns, {"hesper.kind": kind})

    def signed(self, command_id: str, begun_ns: int) -> None:
        """Tells that a command was signed and left; what leaves again is not told again."""
        if self._tracer is None or command_id in self._signed:
            return
        self._signed[command_id] = None
        if len(self._signed) > _MOST_KNOWN:
            self._signed.popitem(last=False)
        self._tell(command_id, "sign", "command signed", begun_ns, {})

    def settled(self, command_id: str, state: str, begun_ns: int) -> None:
        """Tells that a gateway's result brought a command to a state."""
        self._tell(command_id, None, "command settled", begun_ns, {"hesper.state": state})

    def _sampled(self, command_id: str) -> str | None:
        if self._tracer is None:
            return None
        trace_id = trace.of_command(command_id)
        return trace_id if trace.is_sampled(trace_id, self._tracer.ratio) else None

    def _tell(
        self,
        command_id: str,
        span: trace.Span | None,
        name: str,
        begun_ns: int,
        about: dict[str, str | int],
    ) -> None:
        trace_id = self._sampled(command_id)
        if trace_id is None or self._tracer is None:
            return
        from hesper_cloud.observing.tracer import Span, below

        above = _ABOVE.get(span)
        parent = None if above is None else trace.context(trace_id, above)
        here = below(trace.context(trace_id, "gateway"))
        if span is not None:
            here = trace.context(trace_id, span)
        about = {"hesper.command": command_id, **about}
        self._tracer.tell(Span(name, here, begun_ns, time.time_ns(), parent, about=about))

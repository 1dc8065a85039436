"""What an engineer can try when a meter does not do what was asked."""

from __future__ import annotations

from hesper_dlms.errors import (
    AssociationRejected,
    DlmsError,
    InvocationCounterError,
    LinkError,
    NoAnswer,
    SecurityError,
    ServiceError,
)

from hesper_gateway.explain.names import diagnostic_name

_ANOTHER_CLIENT = "the meter may not know this --client, or wants another --authentication"
_REJECTED = {
    1: _ANOTHER_CLIENT,
    2: "another --referencing, or --ciphered or --plain",
    3: "another --system-title: the meter knows its clients by theirs",
    11: "another --authentication",
    12: "this --client needs another --authentication than none",
    13: "the password or the keys are not those of this --client",
    14: "this --client needs another --authentication",
}
_DECIPHERING, _COUNTER = 5, 6
_EXCEPTION = {
    1: "another --authentication or --client: there is no association that allows this",
    2: "the meter does not have this service",
    4: "the request is longer than the meter takes: ask for less at once",
    _DECIPHERING: "are these the keys of this meter? Do --suite, --policy and --plain fit?",
}
_REFUSED = {
    1: "the meter found a hardware fault",
    2: "a temporary failure: try again later",
    3: "another --client may: 1 is management as a rule",
    4: "this object is not there for this --client: `hesper-dlms objects` lists what is",
    9: "another class: `hesper-dlms objects` lists them",
    11: "this object is not available to this --client",
    12: "the value has another type: see --type",
    13: "this --client may not reach so far back or so much",
}
_SILENT = (
    "do --server, --client and --link fit? Over HDLC also --physical and --address-octets; on a "
    "serial port --baudrate, --framing, --mode-e; a slow one needs a longer --timeout; --trace "
    "shows every octet"
)
_BROKEN = "does --link fit? Some meters take one client at a time; --trace shows every octet"


def advice(error: DlmsError) -> str:
    """Return what to try, empty where nobody knows."""
    if isinstance(error, AssociationRejected):
        named = diagnostic_name(error.diagnostic)
        tried = _REJECTED.get(error.diagnostic or 0, _ANOTHER_CLIENT)
        return f"{named}: {tried}" if named else tried
    if isinstance(error, InvocationCounterError):
        return _counter(error.expected)
    if isinstance(error, ServiceError):
        return refusal(error)
    if isinstance(error, SecurityError):
        return "the keys or the suite may be another meter's; believe nothing of this answer"
    if isinstance(error, NoAnswer):
        return _SILENT
    return _link(str(error)) if isinstance(error, LinkError) else ""


def refusal(error: ServiceError) -> str:
    """Return what to try after one refused service."""
    if error.kind in ("data-access-result", "action-result"):
        return _REFUSED.get(error.code, "")
    return _EXCEPTION.get(error.code, "") if error.kind == "exception-response" else ""


def _counter(expected: int | None) -> str:
    given = "" if expected is None else f" --invocation-counter {expected}, or"
    return f"{given} leave it out: it is read from --counter-object".strip()


def _link(text: str) -> str:
    if "cannot be reached" in text:
        return "is the address right, and does anything listen on that --port?"
    if "cannot be opened" in text:
        return "is the adapter plugged in (ls /dev/tty*), and are you in its group (dialout)?"
    if "UDP" in text:
        return "is --port right, and does the meter take UDP?"
    return _BROKEN

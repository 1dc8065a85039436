"""How a server refuses (IEC 62056-5-3): exception-response, confirmed-service-error.

exception-response        0xD8 | state error | service error [| invocation counter (4)]
confirmed-service-error   0x0E | service | kind of error | value
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8, u32
from hesper_dlms.errors import InvocationCounterError, ServiceError

EXCEPTION_RESPONSE = 0xD8
CONFIRMED_SERVICE_ERROR = 0x0E

SERVICE_NOT_ALLOWED = 1
SERVICE_UNKNOWN = 2

OPERATION_NOT_POSSIBLE = 1
SERVICE_NOT_SUPPORTED = 2
OTHER_REASON = 3
PDU_TOO_LONG = 4
DECIPHERING_ERROR = 5
INVOCATION_COUNTER_ERROR = 6

STATE_ERRORS = {SERVICE_NOT_ALLOWED: "service-not-allowed", SERVICE_UNKNOWN: "service-unknown"}
SERVICE_ERRORS = {
    OPERATION_NOT_POSSIBLE: "operation-not-possible",
    SERVICE_NOT_SUPPORTED: "service-not-supported",
    OTHER_REASON: "other-reason",
    PDU_TOO_LONG: "pdu-too-long",
    DECIPHERING_ERROR: "deciphering-error",
    INVOCATION_COUNTER_ERROR: "invocation-counter-error",
}

CONFIRMED_SERVICES = {
    1: "initiate",
    2: "get-status",
    3: "get-name-list",
    4: "get-variable-attribute",
    5: "read",
    6: "write",
    7: "get-data-set-attribute",
    8: "get-ti-attribute",
    9: "change-scope",
    10: "start",
    11: "stop",
    12: "resume",
    13: "make-usable",
    14: "initiate-load",
    15: "load-segment",
    16: "terminate-load",
    17: "initiate-up-load",
    18: "up-load-segment",
    19: "terminate-up-load",
}
"""The choices of ConfirmedServiceError; a COSEM server uses initiate, read and write."""

ERROR_KINDS: dict[int, tuple[str, tuple[str, ...]]] = {
    0: (
        "application-reference",
        (
            "other",
            "time-elapsed",
            "application-unreachable",
            "application-reference-invalid",
            "application-context-unsupported",
            "provider-communication-error",
            "deciphering-error",
        ),
    ),
    1: (
        "hardware-resource",
        (
            "other",
            "memory-unavailable",
            "processor-resource-unavailable",
            "mass-storage-unavailable",
            "other-resource-unavailable",
        ),
    ),
    2: (
        "vde-state-error",
        ("other", "no-dlms-context", "loading-data-set", "status-nochange", "status-inoperable"),
    ),
    3: ("service", ("other", "pdu-size", "service-unsupported")),
    4: (
        "definition",
        (
            "other",
            "object-undefined",
            "object-class-inconsistent",
            "object-attribute-inconsistent",
        ),
    ),
    5: (
        "access",
        (
            "other",
            "scope-of-access-violated",
            "object-access-violated",
            "hardware-fault",
            "object-unavailable",
        ),
    ),
    6: (
        "initiate",
        (
            "other",
            "dlms-version-too-low",
            "incompatible-conformance",
            "pdu-size-too-short",
            "refused-by-the-vde-handler",
        ),
    ),
    7: (
        "load-data-set",
        (
            "other",
            "primitive-out-of-sequence",
            "not-loadable",
            "data-set-size-too-large",
            "not-awaited-segment",
            "interpretation-failure",
            "storage-failure",
            "data-set-not-ready",
        ),
    ),
    8: ("change-scope", ()),
    9: (
        "task",
        ("other", "no-remote-control", "ti-stopped", "ti-running", "ti-unusable"),
    ),
    10: ("other", ()),
}
"""ServiceError: its choices and what the values of each mean."""


class ExceptionResponse(NamedTuple):
    """Refuses a service; `invocation_counter` comes with service-error 6: the one expected next."""

    state_error: int
    service_error: int
    invocation_counter: int | None = None

    def __str__(self) -> str:
        state = STATE_ERRORS.get(self.state_error, f"state error {self.state_error}")
        service = SERVICE_ERRORS.get(self.service_error, f"service error {self.service_error}")
        return f"{state}: {service}"

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(EXCEPTION_RESPONSE, self.state_error, self.service_error)
        counter = self.invocation_counter
        return head if counter is None else head + u32(counter)

    @classmethod
    def from_octets(cls, octets: bytes) -> ExceptionResponse:
        """Read the APDU."""
        reader = Reader(octets, EXCEPTION_RESPONSE)
        state, service = reader.u8(), reader.u8()
        more = service == INVOCATION_COUNTER_ERROR and reader.offset < len(octets)
        apdu = cls(state, service, reader.u32() if more else None)
        reader.end()
        return apdu

    def error(self) -> ServiceError:
        """Return what the caller should raise."""
        if self.service_error == INVOCATION_COUNTER_ERROR:
            return InvocationCounterError(self.invocation_counter)
        name = SERVICE_ERRORS.get(self.service_error, "")
        return ServiceError(self.service_error, "exception-response", name)


class ConfirmedServiceError(NamedTuple):
    """Refuses an InitiateRequest, a read or a write: service, kind of error and its value."""

    service: int
    kind: int
    value: int

    def __str__(self) -> str:
        service = CONFIRMED_SERVICES.get(self.service, f"service {self.service}")
        kind, values = ERROR_KINDS.get(self.kind, (f"error kind {self.kind}", ()))
        known = self.value < len(values)
        return f"{service}: {kind}: {values[self.value] if known else self.value}"

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(CONFIRMED_SERVICE_ERROR, self.service, self.kind, self.value)

    @classmethod
    def from_octets(cls, octets: bytes) -> ConfirmedServiceError:
        """Read the APDU."""
        reader = Reader(octets, CONFIRMED_SERVICE_ERROR)
        apdu = cls(reader.u8(), reader.u8(), reader.u8())
        reader.end()
        return apdu

    def error(self) -> ServiceError:
        """Return what the caller should raise."""
        return ServiceError(self.value, "confirmed-service-error", str(self))

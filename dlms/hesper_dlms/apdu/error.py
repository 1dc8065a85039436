"""How a server refuses (IEC 62056-5-3): exception-response, confirmed-service-error."""

from __future__ import annotations

from dataclasses import dataclass

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

_NAMES = {
    1: "operation-not-possible",
    2: "service-not-supported",
    3: "other-reason",
    4: "pdu-too-long",
    5: "deciphering-error",
}


@dataclass(frozen=True, slots=True)
class ExceptionResponse:
    """Refuses a service; `invocation_counter` comes with service-error 6: the one expected next."""

    state_error: int
    service_error: int
    invocation_counter: int | None = None

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
        name = _NAMES.get(self.service_error, "")
        return ServiceError(self.service_error, "exception-response", name)


@dataclass(frozen=True, slots=True)
class ConfirmedServiceError:
    """Refuses an InitiateRequest, a read or a write: service, kind of error and its value."""

    service: int
    kind: int
    value: int

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
        name = f"service {self.service}, error kind {self.kind}"
        return ServiceError(self.value, "confirmed-service-error", name)

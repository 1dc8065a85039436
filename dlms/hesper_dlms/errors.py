"""The error tree of the DLMS/COSEM stack, cut by what the caller should do.

    DlmsError
    ├── LocalError              our bug or misuse: fix the calling code
    └── RemoteError             distrust what the other side sent
        ├── DecodeError         octets that do not parse: drop the message, keep the octets
        ├── SecurityError       tag, replay, downgrade: drop the message, raise an alarm
        ├── ServiceError        the meter answered with an error: the code says why
        │   └── InvocationCounterError   read the counter again, associate once more
        ├── AssociationRejected the meter refused us: back off, check credentials
        └── LinkError           the link is gone: connect again
            └── NoAnswer        nothing came, however often it was asked

No other exception leaves the package, whatever octets arrive.
"""


class DlmsError(Exception):
    """Anything that this package raises."""


class LocalError(DlmsError):
    """An argument that cannot be encoded, or a call in the wrong state: a bug on our side."""


class RemoteError(DlmsError):
    """The other side sent something that cannot be accepted."""


class DecodeError(RemoteError):
    """Octets that do not parse.

    Args:
        message: What is wrong.
        offset: Where, in octets from the start of the APDU or value; None where unknown.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at octet {offset})")
        self.offset = offset


class SecurityError(RemoteError):
    """A tag that does not verify, a replayed counter, a downgrade, or unknown control bits."""


class ServiceError(RemoteError):
    """The meter answered a service request with an error.

    Args:
        code: The number of the standard for this service (data-access-result, action-result, …).
        kind: Which table `code` belongs to, spelled as the standard does.
        name: The code's name in that table; the number itself when unknown.
    """

    def __init__(self, code: int, kind: str = "data-access-result", name: str = "") -> None:
        super().__init__(f"{kind} {code}" + (f" ({name})" if name else ""))
        self.code = code
        self.kind = kind
        self.name = name


class InvocationCounterError(ServiceError):
    """The meter refused our invocation counter (exception-response, service-error 6).

    Args:
        expected: The counter it wants to see next; None when it does not say.
    """

    def __init__(self, expected: int | None = None) -> None:
        super().__init__(6, "exception-response", "invocation-counter-error")
        self.expected = expected


class AssociationRejected(RemoteError):
    """The meter refused the association.

    Args:
        result: 1 rejected-permanent, 2 rejected-transient.
        diagnostic: The acse-service-user or -provider diagnostic; None when absent.
    """

    def __init__(self, result: int, diagnostic: int | None = None) -> None:
        kind = {1: "permanent", 2: "transient"}.get(result, f"result {result}")
        why = "" if diagnostic is None else f", diagnostic {diagnostic}"
        super().__init__(f"association rejected ({kind}{why})")
        self.result = result
        self.diagnostic = diagnostic


class LinkError(RemoteError):
    """The link was refused or broke: DM, FRMR, an unexpected frame, or retries exhausted."""


class NoAnswer(LinkError):
    """Nothing came in time, however often it was asked."""

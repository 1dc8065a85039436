"""The one place where the stack's errors become the gateway's: each with its hop.

What the meter says no to is a `MeterRefused`, told apart by whether another right would have
helped; what it does not take of password, key or counter is a `CredentialsRefused`, because meters
lock themselves after a few of those.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from hesper_dlms.errors import (
    AssociationRejected,
    DecodeError,
    DlmsError,
    InvocationCounterError,
    LinkError,
    NoAnswer,
    SecurityError,
    ServiceError,
)

from hesper_gateway.errors import (
    CredentialsRefused,
    Hop,
    MeterDistrusted,
    MeterFailed,
    MeterRefused,
    MeterSilent,
)

_NO_ACCESS = {"read-write-denied", "scope-of-access-violated"}


def refusal(error: ServiceError, what: str = "") -> MeterRefused:
    """Return the meter's no to a service, with the hop that it means."""
    text = f"{what}: {error}" if what else str(error)
    if isinstance(error, InvocationCounterError):
        return CredentialsRefused(text, Hop.COUNTER)
    return MeterRefused(text, Hop.ACCESS if error.name in _NO_ACCESS else Hop.REFUSED)


@contextmanager
def classed() -> Iterator[None]:
    """Turn the stack's errors into the gateway's; what the meter declines passes unchanged."""
    try:
        yield
    except ServiceError:
        raise
    except AssociationRejected as error:
        raise CredentialsRefused(str(error)) from error
    except SecurityError as error:
        raise MeterDistrusted(str(error), Hop.SECURITY) from error
    except DecodeError as error:
        raise MeterDistrusted(str(error)) from error
    except NoAnswer as error:
        raise MeterSilent(str(error)) from error
    except LinkError as error:
        raise MeterFailed(str(error), Hop.LINK) from error
    except DlmsError as error:
        raise MeterFailed(f"the gateway's own mistake: {error}", Hop.GATEWAY) from error


@contextmanager
def associating() -> Iterator[None]:
    """Turn the stack's errors into the gateway's while credentials are at stake.

    Raises:
        InvocationCounterError: read the counter, skip ahead, try once more.
    """
    try:
        with classed():
            yield
    except InvocationCounterError:
        raise
    except ServiceError as error:
        raise CredentialsRefused(str(error)) from error
    except MeterDistrusted as error:
        if error.hop is Hop.SECURITY:
            raise CredentialsRefused(str(error), Hop.SECURITY) from error
        raise

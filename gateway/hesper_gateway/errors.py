"""What can go wrong in the gateway, cut by what the caller should do.

::

    GatewayError
    ├── ConfigError          a person must correct a file; the text says which and how
    ├── LineInUse            somebody else has the line; nothing was sent
    ├── CommandExpired       the command's time is over; nothing was written
    └── MeterFailed(hop)       try the meter again later; ``hop`` names where it stopped
          ├── LineDown         the channel itself cannot be opened or broke
          │     └── DialLimit  no call or message is allowed now; the meter was not tried
          ├── MeterSilent      the channel works, nothing (more) comes from the meter
          ├── MeterRefused     the meter answered no: access denied, no such object
          │     └── CredentialsRefused   password, key or counter not taken: meters lock themselves
          │           └── NoCounter      there is no counter to use; nothing was sent
          ├── MeterDistrusted  what came does not parse or does not authenticate
          ├── WrongMeter       another meter answers at this address; nothing was written
          ├── WriteUncertain   something else was written and was not read back
          └── RelayUncertain   the relay was asked to move, its state was not read back
"""

from enum import StrEnum


class Hop(StrEnum):
    """Where on the way between cloud, gateway and meter an attempt stopped, from far to near.

    These are the words of events, status and log; a new one may be added, none may change.
    """

    BROKER = "broker"
    """The connection to the broker could not be made or broke."""
    GATEWAY = "gateway"
    """Our own mistake, or a configuration that does not fit."""
    DIAL_LIMIT = "dial-limit"
    """A limit on calls or messages is reached; the meter was not tried, and has not failed."""
    MODEM = "modem"
    """The modem does not answer, is not registered, or the call did not come about."""
    LINE = "line"
    """The channel cannot be opened, or the other side closed it."""
    LINK = "link"
    """HDLC, wrapper or mode E: disconnected, rejected frames, something else talks there."""
    TIMEOUT = "timeout"
    """The channel is open and nothing, or no end, came in the template's time."""
    ASSOCIATION = "association"
    """The association or its authentication was refused."""
    COUNTER = "counter"
    """The invocation counter was not taken, or none is left."""
    SECURITY = "security"
    """An answer's protection does not verify."""
    IDENTITY = "identity"
    """Another meter answers at this address."""
    ACCESS = "access"
    """This client may not read or write the object."""
    REFUSED = "meter-refused"
    """The meter declined a service for another reason: no such object, busy, hardware fault."""
    DECODE = "decode"
    """The meter answered something that does not parse or cannot be meant."""


class GatewayError(Exception):
    """Every error that the gateway raises on purpose."""


class ConfigError(GatewayError):
    """A file written by a person does not fit; the message says where and what is expected."""


class LineInUse(GatewayError):
    """Somebody else has the line, or talks on it; nothing was sent."""


class CommandExpired(GatewayError):
    """The command's time was over before anything was written for it."""


class MeterFailed(GatewayError):
    """One attempt to work with a meter failed; the meter keeps its buffer, so try later."""

    hop = Hop.GATEWAY

    def __init__(self, text: str, hop: Hop | None = None) -> None:
        super().__init__(text)
        if hop is not None:
            self.hop = hop


class LineDown(MeterFailed):
    """The channel cannot be opened, or it broke under way."""

    hop = Hop.LINE


class DialLimit(LineDown):
    """No further call or message is allowed now; the meter was not tried.

    Attributes:
        wait_s: After how long there is room again.
    """

    hop = Hop.DIAL_LIMIT

    def __init__(self, text: str, wait_s: float) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class MeterSilent(MeterFailed):
    """Nothing came within the template's time."""

    hop = Hop.TIMEOUT


class MeterRefused(MeterFailed):
    """The meter answered with a refusal, or what is asked of it is not there."""

    hop = Hop.REFUSED


class CredentialsRefused(MeterRefused):
    """The meter does not take password, key or counter; they are not tried again at once."""

    hop = Hop.ASSOCIATION


class NoCounter(CredentialsRefused):
    """No invocation counter may be used; nothing was sent."""

    hop = Hop.COUNTER


class MeterDistrusted(MeterFailed):
    """What came from the meter does not parse, or its protection does not verify."""

    hop = Hop.DECODE


class WrongMeter(MeterFailed):
    """Another meter than the configured one answers at this address."""

    hop = Hop.IDENTITY

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected logical device name {expected!r}, found {found!r}")
        self.expected = expected
        self.found = found


class WriteUncertain(MeterFailed):
    """Something was written and could not be read back; read it before anything."""

    hop = Hop.TIMEOUT


class RelayUncertain(MeterFailed):
    """The relay was asked to move and its state could not be read back; read it before anything."""

    hop = Hop.TIMEOUT

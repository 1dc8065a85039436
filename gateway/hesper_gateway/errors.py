"""What can go wrong in the gateway, cut by what the caller should do.

::

    GatewayError
    ├── ConfigError          a person must correct a file; the text says which and how
    ├── CommandExpired       the command's time is over; nothing was written
    └── MeterFailed(hop)       try the meter again later; ``hop`` names where it stopped
          ├── LineDown         the channel itself cannot be opened or broke
          ├── MeterSilent      the channel works, nothing (more) comes from the meter
          ├── MeterRefused     the meter answered no: association rejected, access denied
          ├── MeterDistrusted  what came does not parse or does not authenticate
          ├── WrongMeter       another meter answers at this address; nothing was written
          └── RelayUncertain   the relay was asked to move, its state was not read back
"""

from enum import StrEnum


class Hop(StrEnum):
    """Where between gateway and meter an attempt stopped."""

    LINE = "line"
    LINK = "link"
    ASSOCIATION = "association"
    APPLICATION = "application"
    IDENTITY = "identity"


class GatewayError(Exception):
    """Every error that the gateway raises on purpose."""


class ConfigError(GatewayError):
    """A file written by a person does not fit; the message says where and what is expected."""


class CommandExpired(GatewayError):
    """The command's time was over before anything was written for it."""


class MeterFailed(GatewayError):
    """One attempt to work with a meter failed; the meter keeps its buffer, so try later."""

    hop = Hop.LINK

    def __init__(self, text: str, hop: Hop | None = None) -> None:
        super().__init__(text)
        if hop is not None:
            self.hop = hop


class LineDown(MeterFailed):
    """The channel cannot be opened, or it broke under way."""

    hop = Hop.LINE


class MeterSilent(MeterFailed):
    """Nothing came within the template's time."""

    hop = Hop.LINK


class MeterRefused(MeterFailed):
    """The meter answered with a refusal; credentials are not tried again at once."""

    hop = Hop.ASSOCIATION


class MeterDistrusted(MeterFailed):
    """What came from the meter does not parse, or its protection does not verify."""

    hop = Hop.APPLICATION


class WrongMeter(MeterFailed):
    """Another meter than the configured one answers at this address."""

    hop = Hop.IDENTITY

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected logical device name {expected!r}, found {found!r}")
        self.expected = expected
        self.found = found


class RelayUncertain(MeterFailed):
    """The relay was asked to move and its state could not be read back; read it before anything."""

    hop = Hop.APPLICATION

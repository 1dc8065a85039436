"""What can be wrong with the database, and what a job says no with."""

from hesper_gateway.errors import GatewayError


class JobRefused(GatewayError):
    """A job changed nothing, on purpose; only this job is rolled back."""


class DatabaseError(GatewayError):
    """The database cannot be trusted or opened; a person must look at it."""


class DatabaseInUse(DatabaseError):
    """Another process, the agent most likely, has it open; nothing was touched."""


class DatabaseDamaged(DatabaseError):
    """The file, or the card below it, gives back other than what was written."""


class StorageFull(GatewayError):
    """The disk is full even without the ballast, or takes no writes: nothing was written.

    Try again later: there may be room then.
    """

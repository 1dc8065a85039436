"""What can go wrong with a store, cut by what the caller should do."""


class StoreError(Exception):
    """The store did not take or give what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or is out of room: keep the data and try again."""


class StoreInUse(StoreUnavailable):
    """Another process has the embedded store or the energy book open; only one can."""


class StoreRefused(StoreError):
    """The store will never take this group: set the offending batch aside as a dead letter."""

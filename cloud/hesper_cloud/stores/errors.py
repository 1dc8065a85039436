"""What can go wrong with a store, cut by what the caller should do."""


class StoreError(Exception):
    """The store did not take or give what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or is out of room: keep the data and try again."""


class StoreInUse(StoreUnavailable):
    """Another process has the embedded store or the energy book open; only one can."""


class StoreRefused(StoreError):
    """The store will never take this group: set what offends it aside as a dead letter.

    Attributes:
        captures: Meters and times (epoch seconds) whose rows alone it refuses, where it can tell;
            empty: find the offending batch by writing one after the other.
    """

    def __init__(self, text: str, captures: frozenset[tuple[str, int]] = frozenset()) -> None:
        super().__init__(text)
        self.captures = captures

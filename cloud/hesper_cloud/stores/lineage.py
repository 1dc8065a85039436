"""Which store gave a cursor of the change feed, and what it means after a restore.

Theory of operation. A store is born with an epoch, a random name. One that is restored from a
backup keeps the epochs of the store before it, each up to the newest commit that the backup holds,
and begins an epoch of its own: the commits that it makes are not those that the lost store made
after the backup, even where their numbers are the same. A cursor carries the epochs of its store::

    9f3c01d2-17.3.0.1790000100.0.0               commit 17 of a store that never was restored
    9f3c01d2_1240_77ab40e1-1000001244.…          of one that was, from a backup up to commit 1240

As far as the epochs of cursor and store agree, so do their commits, and the cursor is good.
Otherwise its reader knows commits that this store does not hold, and may lack others: it is told
from where on to read again.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

_EPOCH = "[0-9a-f]{8}"
_MARK = re.compile(rf"{_EPOCH}(_[0-9]{{1,19}}_{_EPOCH})*")


class StartAgain(ValueError):
    """A cursor of a store that this one replaced; ``cursor`` is where its reader goes on."""

    def __init__(self, cursor: str) -> None:
        super().__init__(
            "the cursor was given by a store that was replaced, by a restore for example;"
            f" start again from {cursor!r}" + ("" if cursor else ", the beginning")
        )
        self.cursor = cursor


class Epoch(NamedTuple):
    """An epoch and its newest commit that counts; None: it goes on."""

    name: str
    until: int | None = None


class Lineage:
    """The epochs of one store, oldest first; the last one goes on.

    Args:
        epochs: At least one.
        after: Returns the store's own cursor behind the last reading of a commit.
    """

    def __init__(self, epochs: Sequence[Epoch], after: Callable[[int], str]) -> None:
        self.epochs = tuple(epochs)
        self._after = after

    def marked(self, cursor: str) -> str:
        """Returns a cursor of the store as it is given out."""
        if not cursor:
            return ""
        older = (f"{each.name}_{each.until}_" for each in self.epochs[:-1])
        return f"{''.join(older)}{self.epochs[-1].name}-{cursor}"

    def own(self, given: str) -> str:
        """Returns the store's own cursor from one that was given out, by whichever store.

        One without epochs is of a time before there were any: of the first.

        Raises:
            StartAgain: it was given for commits that are not, or not all, in this store.
            ValueError: it is no cursor at all.
        """
        if not given:
            return ""
        mark, dash, cursor = given.partition("-")
        position = cursor.partition(".")[0] if dash else given.partition(".")[0]
        if not position.isdecimal() or (dash and not _MARK.fullmatch(mark)):
            raise ValueError(f"{given[:200]!r} is no cursor of this store")
        theirs = _epochs(mark) if dash else (Epoch(self.epochs[0].name),)
        shared = self._shared(theirs, int(position))
        if shared is not None:
            raise StartAgain(self.marked(self._after(shared)) if shared >= 0 else "")
        return cursor if dash else given

    def _shared(self, theirs: Sequence[Epoch], position: int) -> int | None:
        """Returns the newest commit that both stores have, -1 for none.

        None: there are others, but none up to the cursor's position.
        """
        newest = self._newest_of_both(theirs)
        return None if newest is None or position <= newest else newest

    def _newest_of_both(self, theirs: Sequence[Epoch]) -> int | None:
        """Returns the newest commit that both stores have, -1 for none; None: they are the same."""
        if theirs[0].name != self.epochs[0].name:
            return -1
        for place, (our, their) in enumerate(zip(self.epochs, theirs, strict=False)):
            if their.until is None or our.until is None:
                ends = [each.until for each in (our, their) if each.until is not None]
                return ends[0] if ends else None
            if our != their:
                return min(our.until, their.until)
            if self.epochs[place + 1].name != theirs[place + 1].name:
                return our.until
        raise AssertionError("the last epoch of either goes on")


def born() -> Epoch:
    """Returns a new epoch."""
    return Epoch(secrets.token_hex(4))


def restored(epochs: Sequence[Epoch], newest: int) -> list[Epoch]:
    """Returns the epochs of a store that is built from a backup up to the commit ``newest``."""
    return [*epochs[:-1], Epoch(epochs[-1].name, newest), born()]


def _epochs(mark: str) -> tuple[Epoch, ...]:
    parts = mark.split("_")
    ended = zip(parts[:-1:2], parts[1::2], strict=True)
    return (*(Epoch(name, int(until)) for name, until in ended), Epoch(parts[-1]))

"""How many layouts one sender may bring: the quantities of a row, with scalers, units and profile.

A layout stays: stores and latest values keep each for good, and who asks for a curve looks at all.
A concentrator has a handful of profiles times a handful of kinds of meters; a program that leaves
out what is missing some hundred, and one that tells only which of ten quantities changed 1023. So a
sender that brings ever others is broken or hostile, and nobody beside it shall pay: what it says in
layouts that it brought before is taken, a message with one too many is a dead letter. Counted from
the start of ingest on.
"""

from collections import defaultdict
from collections.abc import Collection

from hesper_contracts.frame import Refused

from hesper_cloud.stores.port import Block, Quantity

MOST_OF_ONE = 1024

Layout = tuple[str, tuple[Quantity, ...]]


class Layouts:
    """The layouts that each sender has brought; belongs to one thread."""

    def __init__(self) -> None:
        self._of: defaultdict[str, set[Layout]] = defaultdict(set)

    def admit(self, sender: str, blocks: Collection[Block]) -> None:
        """Takes note of a message's layouts, or of none of them.

        Raises:
            Refused: with them the sender has brought too many.
        """
        known = self._of[sender]
        brought = {(block.profile, block.quantities) for block in blocks}
        if brought <= known:
            return
        count = len(known | brought)
        if count > MOST_OF_ONE:
            raise Refused(
                f"{count} sets of quantities, scalers and units of one sender: at most "
                f"{MOST_OF_ONE}; tried again by an operator they are taken"
            )
        known |= brought

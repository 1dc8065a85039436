"""The oldest capture that was written lately: whoever removes old readings asks for it first."""

from hesper_cloud.stores.records import LATEST, Group


class Late:
    """Notes what is written; whoever writes holds the store's lock."""

    def __init__(self) -> None:
        self._oldest = LATEST

    def watch(self) -> None:
        """Begins anew."""
        self._oldest = LATEST

    def note(self, group: Group) -> None:
        """Notes a group, before it is written."""
        found = [int(block.captured_at.min()) for block in group.blocks if block.row_count]
        self._oldest = min([self._oldest, *found])

    def is_before(self, instant: int) -> bool:
        """Says whether something captured before an instant was written since `watch`."""
        return self._oldest < instant

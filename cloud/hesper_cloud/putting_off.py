"""What is said of work that waits for a database, a store or a key: once, and once that it goes on.

Such work is tried again every few seconds, for hours if need be; tries in between are counted.
"""

import logging

_log = logging.getLogger(__name__)


class PuttingOff:
    """Remembers of one piece of work whether it is put off, and for which kind of reason."""

    def __init__(self) -> None:
        self._reason: type[BaseException] | None = None
        self._count = 0

    def because(
        self,
        what: str,
        error: BaseException,
        level: int = logging.WARNING,
        *,
        traced: bool = False,
    ) -> None:
        """Notes that a try failed; it is said if it is the first, or fails for another reason.

        Args:
            what: The work, as a word in the log.
            error: Why.
            level: How grave it is.
            traced: Whether to say where in the code.
        """
        self._count += 1
        if type(error) is not self._reason:
            self._reason = type(error)
            words = "%s put off, tried again until it can be done: %s"
            _log.log(level, words, what, error, exc_info=error if traced else None)

    def over(self, what: str) -> None:
        """Notes that the work was done; says so if it was put off before."""
        if self._reason is not None:
            _log.info("%s goes on; it was put off %d times", what, self._count)
            self._reason, self._count = None, 0

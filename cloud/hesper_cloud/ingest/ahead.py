"""The next thing is got ready while the one before is worked on, by another thread."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Gets one thing after the other; every method belongs to one thread."""

    def __init__(self, executor: Executor, get: Callable[[], T]) -> None:
        self._executor = executor
        self._get = get
        self._coming: Future[T] | None = None

    def begin(self) -> None:
        """Has the next one got ready from now on, if that is not begun yet.

        Called when the thread that works has to wait for something else: before that, the two would
        take turns at the interpreter, and what is waited for would begin later.
        """
        if self._coming is None:
            self._coming = self._executor.submit(self._get)

    def next(self) -> T:
        """Waits for the next one."""
        coming = self._coming or self._executor.submit(self._get)
        self._coming = None
        return coming.result()

"""What many wait for is waited for once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class OncePerKey(Generic[T]):
    """Does a piece of work for a key while anybody waits for its outcome, once for all of them."""

    def __init__(self, work: Callable[[str], Coroutine[Any, Any, T]]) -> None:
        """Takes what is to be done for a key."""
        self._work = work
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._waiting: Counter[str] = Counter()

    async def of(self, key: str) -> T:
        """Returns the outcome; whoever gives up waiting takes it from nobody else."""
        task = self._tasks.get(key)
        if task is None or task.done():
            task = self._tasks[key] = asyncio.create_task(self._work(key))
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                self._tasks.pop(key).cancel()

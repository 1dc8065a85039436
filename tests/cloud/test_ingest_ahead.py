"""The next group is got ready once, from when the store is at work, or when it is asked for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hesper_cloud.ingest.ahead import Ahead


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_nothing_is_got_ready_before_somebody_says_so(pool: ThreadPoolExecutor) -> None:
    numbers = count(1)
    ahead = Ahead(pool, lambda: next(numbers))
    assert ahead.next() == 1
    assert next(numbers) == 2


def test_it_is_got_ready_once_however_often_it_is_told_to_begin(pool: ThreadPoolExecutor) -> None:
    numbers = count(1)
    ahead = Ahead(pool, lambda: next(numbers))
    ahead.begin()
    ahead.begin()
    assert [ahead.next(), ahead.next()] == [1, 2]


def test_what_went_wrong_is_told_to_who_waits_and_the_next_one_comes(
    pool: ThreadPoolExecutor,
) -> None:
    answers = iter([ValueError("torn"), 2])

    def get() -> int:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    ahead = Ahead(pool, get)
    ahead.begin()
    with pytest.raises(ValueError, match="torn"):
        ahead.next()
    assert ahead.next() == 2

"""Work that many wait for: done once, while anybody waits."""

import asyncio

import pytest
from hesper_cloud.services.once_per_key import OncePerKey

pytestmark = pytest.mark.asyncio


class Work:
    """Work that ends when it is told to, and counts how often it was begun and given up."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.given_up: list[str] = []
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self, key: str) -> str:
        self.begun.append(key)
        try:
            return await asyncio.shield(self.outcome)
        except asyncio.CancelledError:
            self.given_up.append(key)
            raise


async def waiting(once: OncePerKey[str], *keys: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(once.of(key)) for key in keys]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_those_who_wait_for_the_same_share_it():
    work = Work()
    tasks = await waiting(OncePerKey(work), "a", "b", "a", "a")
    assert work.begun == ["a", "b"]
    work.outcome.set_result("over")
    assert await asyncio.gather(*tasks) == ["over"] * 4
    assert work.given_up == []


async def test_one_who_gives_up_takes_it_from_nobody_and_the_last_ends_it():
    work = Work()
    once = OncePerKey(work)
    first, second = await waiting(once, "a", "a")
    first.cancel()
    await asyncio.wait({first})
    assert work.given_up == []
    second.cancel()
    await asyncio.wait({second})
    await asyncio.sleep(0)
    assert work.given_up == ["a"]
    (third,) = await waiting(once, "a")
    assert work.begun == ["a", "a"]
    work.outcome.set_result("later")
    assert await third == "later"


async def test_what_goes_wrong_goes_wrong_for_all_and_is_tried_again_by_the_next():
    work = Work()
    once = OncePerKey(work)
    tasks = await waiting(once, "a", "a")
    work.outcome.set_exception(OSError("away"))
    assert [str(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [
        "away",
        "away",
    ]
    work.outcome = asyncio.get_running_loop().create_future()
    work.outcome.set_result("there")
    assert await once.of("a") == "there"

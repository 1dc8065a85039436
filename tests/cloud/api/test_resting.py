"""Who follows the authority's database looks while somebody is there, no oftener than needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest
from hesper_cloud import keys
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.accounts.tokens import MachineTokens
from hesper_cloud.db.watch import Watch
from hesper_cloud.services import accounts, live
from hesper_cloud.services.authority_link import AuthorityLink

pytestmark = pytest.mark.asyncio
DEADLINE_S = 60.0
VIEWER = Actor("vic", Role.VIEWER)
A_WHILE = 200


class Counted(Watch):
    """Counts how often somebody looked."""

    looks = 0

    def changed(self) -> bool:
        Counted.looks += 1
        return super().changed()


class Blind(Counted):
    """That of a database which cannot tell of changes, as PostgreSQL."""

    def __init__(self, url: str) -> None:
        super().__init__("postgresql://a/b")


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "looks", 0)
    for module in (live, accounts):
        monkeypatch.setattr(module, "Watch", Counted)
        monkeypatch.setattr(module, "_LOOK_S", 0.0)


@asynccontextmanager
async def running(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield
    finally:
        task.cancel()


async def looks_in_a_while() -> int:
    before = Counted.looks
    for _ in range(A_WHILE):
        await asyncio.sleep(0)
    return Counted.looks - before


async def until_it_rests() -> None:
    while await looks_in_a_while():
        pass


async def test_nobody_looks_for_frames_while_nobody_listens(house, monkeypatch):
    monkeypatch.setattr(live, "_FRAME_S", 0.0)
    frames_of = live.Live(house.services.sources, house.services.overview)
    async with running(frames_of.run):
        assert not await looks_in_a_while()
        async with aclosing(frames_of.subscribe(VIEWER)) as frames:
            await anext(frames)
            await anext(frames)
        await until_it_rests()
        async with aclosing(frames_of.subscribe(VIEWER)) as frames:
            await anext(frames)


async def test_nobody_looks_for_accounts_while_nobody_is_known(house, monkeypatch):
    monkeypatch.setattr(accounts, "_RECHECK_S", 3600.0)
    sources = house.services.sources
    secret = keys.token_secret(sources.settings.keys)
    link = AuthorityLink(sources, keys.request_sealer(sources.settings.keys))
    people = accounts.Accounts(sources, link, MachineTokens(secret, timedelta(minutes=5)))
    token = house.headers("vic")["Authorization"].removeprefix("Bearer ")
    async with running(people.run):
        await until_it_rests()
        looks = Counted.looks
        assert (await people.actor_of(token)).username == "vic"
        while Counted.looks == looks:
            await looks_in_a_while()
        assert people.lately_known(token) is not None  # nothing has changed
        people.forget()
        await until_it_rests()


async def test_a_database_that_cannot_tell_is_asked_more_seldom(house, monkeypatch):
    for module in (live, accounts):
        monkeypatch.setattr(module, "Watch", Blind)
        monkeypatch.setattr(module, "_BLIND_LOOK_S", 3600.0)
    frames_of = live.Live(house.services.sources, house.services.overview)
    async with running(frames_of.run), aclosing(frames_of.subscribe(VIEWER)) as frames:
        await anext(frames)
        assert not await looks_in_a_while()

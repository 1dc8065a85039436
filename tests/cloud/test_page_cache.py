"""Pages from memory: one answer for many, never past its moment, never for somebody else."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from hesper_cloud.api import page_cache
from hesper_cloud.api.page_cache import PageCache
from hesper_cloud.services.errors import NotAuthenticated


class Accounts:
    """Knows one token, until it is revoked."""

    good = True

    async def actor_of(self, token: str, source: str = "") -> str:
        if not self.good:
            raise NotAuthenticated("log in again")
        return token

    def lately_known(self, token: str) -> str | None:
        return token if self.good else None


class Served:
    """An application that counts how often its routes were asked."""

    def __init__(self) -> None:
        self.now, self.asked, self.accounts = 0.0, 0, Accounts()
        inner = FastAPI()
        inner.state.services = self
        inner.get("/page")(self.page)
        inner.get("/other")(self.page)
        inner.post("/change")(self.page)
        self.app = PageCache(inner, ["/page"], 0.5, lambda: self.now)

    async def page(self, request: Request) -> dict[str, object]:
        self.asked += 1
        return {"asked": self.asked, "by": request.headers.get("authorization")}


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(served.app)
    headers = {"authorization": "Bearer one"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://hes", headers=headers
    ) as opened:
        yield opened


async def asked(client: httpx.AsyncClient, path: str = "/page", **headers: str) -> int:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200
    return int(answer.json()["asked"])


async def test_a_repeated_question_is_answered_from_memory_for_a_moment(
    served: Served, client: httpx.AsyncClient
) -> None:
    assert [await asked(client) for _ in range(3)] == [1, 1, 1]
    served.now = 0.4
    assert await asked(client) == 1
    served.now = 0.5
    assert await asked(client) == 2


async def test_other_questions_paths_and_people_get_their_own(client: httpx.AsyncClient) -> None:
    assert await asked(client) == 1
    assert await asked(client, "/page?offset=1") == 2
    assert await asked(client, authorization="Bearer two") == 3
    assert await asked(client, cookie="hesper_session=three") == 4
    assert [await asked(client, "/other") for _ in range(2)] == [5, 6]
    assert await asked(client) == 1


async def test_who_sends_two_credentials_gets_the_page_of_neither(
    client: httpx.AsyncClient,
) -> None:
    """The routes go by the first; a page kept under the last one's name would be another's."""
    both = [("authorization", "Bearer one"), ("authorization", "Bearer two")]
    request = client.build_request("GET", "/page")
    request.headers = httpx.Headers(both)
    assert (await client.send(request)).json()["by"] == "Bearer one"
    answer = await client.get("/page", headers={"authorization": "Bearer two"})
    assert answer.json()["by"] == "Bearer two"


async def test_a_change_empties_the_memory(client: httpx.AsyncClient) -> None:
    assert await asked(client) == 1
    await client.post("/change")
    assert await asked(client) == 3


async def test_who_is_not_welcome_any_more_is_sent_to_the_routes(
    served: Served, client: httpx.AsyncClient
) -> None:
    assert await asked(client) == 1
    served.accounts.good = False
    assert await asked(client) == 2


async def test_large_pages_are_let_go_before_they_fill_the_memory(
    served: Served, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = len((await client.get("/page")).content)
    monkeypatch.setattr(page_cache, "_MOST_OCTETS", 3 * length)
    for n in range(20):  # whoever may log in chooses how many questions there are
        await client.get(f"/page?n={n}")
        served.now += 0.01
    assert sum(page.length for page in served.app._pages.values()) <= 3 * length
    assert await asked(client, "/page?n=19") == await asked(client, "/page?n=19") == 21
    served.now += 1.0
    await asked(client, "/page?n=19")
    held = sum(page.length for page in served.app._pages.values())
    assert served.app._octet_count == held, "a page that is made anew counts once"

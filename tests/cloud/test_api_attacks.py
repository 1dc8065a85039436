"""Bad input at the doors of the API: SQL, headers, paths, passwords by force; what each gets.

What is tried comes from the API's own description: every parameter that takes words is given words
that other systems have fallen to. `docs/attacks.md` has the table.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hesper_cloud.app import create_app
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.db.registry import LoginFailure, Meter
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import func, inspect, select

sys.path.insert(0, str(Path(__file__).parent))
from api_calls import PREFIX, Call, described

CLEO = {"username": "cleo", "password": "keeper-of-the-house"}
SQL = "' OR '1'='1'; DROP TABLE meters; --"
HEADER = "x\r\nSet-Cookie: hesper_session=stolen\r\n"
OUTWARD = "../../../../etc/passwd"
WORDS = {"SQL": SQL, "header": HEADER, "path": OUTWARD, "NUL": "x\x00y", "long": "x" * 3000}


@pytest.fixture
def app(head_end) -> Iterator[Any]:
    settings, registry = head_end.settings, head_end.databases.registry
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(settings, registry, read_only, store, LatestValues(), head_end.clock)
    services = assemble(sources, lambda: 0.0)
    yield create_app(services, settings)
    services.energy.close()
    store.close()
    read_only.dispose()


@pytest.fixture
async def client(app) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client


def takes_words(parameter: dict[str, Any]) -> bool:
    schema = parameter["schema"]
    kinds = [schema, *schema.get("anyOf", ())]
    return any(each.get("type") == "string" for each in kinds)


def questions(document: dict[str, Any]) -> Iterator[tuple[str, Call]]:
    """Every parameter of every GET route that takes words, with each of the words in it."""
    for path, methods in document["paths"].items():
        if "get" not in methods or not path.startswith(PREFIX):
            continue
        for parameter in filter(takes_words, methods["get"].get("parameters", ())):
            if parameter["in"] == "header":
                continue
            for what, words in WORDS.items():
                given = {parameter["name"]: quoted(words) if parameter["in"] == "path" else words}
                name = f"{path} {parameter['name']} {what}"
                yield name, Call(document, path, "get", given)


def quoted(words: str) -> str:
    return "".join(f"%{octet:02x}" for octet in words.encode())


async def test_words_that_others_have_fallen_to_are_words_here(client, head_end):
    token = (await client.post(f"{PREFIX}/auth/login", json=CLEO)).json()["token"]
    registry = head_end.databases.registry
    tables = inspect(registry).get_table_names()
    broken, seen = {}, 0
    for name, call in questions(described()):
        answer = await call.answer(client, token)
        seen += 1
        if answer.status_code >= 500 or "stolen" in str(answer.headers):
            broken[name] = answer.status_code
        assert "root:" not in answer.text, name
    assert broken == {}
    assert seen > 200
    assert inspect(registry).get_table_names() == tables
    with reading(registry) as session:
        assert session.scalar(select(func.count()).select_from(Meter)) == 2


async def test_a_search_that_would_match_everything_matches_nothing(client):
    token = (await client.post(f"{PREFIX}/auth/login", json=CLEO)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    for path, words in ((f"{PREFIX}/meters", "%"), (f"{PREFIX}/meters", "' OR ''='")):
        found = (await client.get(path, params={"search": words}, headers=headers)).json()
        assert found["total"] == 0


async def test_sql_in_a_name_logs_nobody_in(client):
    for name in ("cleo' --", "' OR '1'='1", 'cleo"; DROP TABLE users; --', "cleo\x00"):
        body = {"username": name, "password": "' OR '1'='1"}
        answer = await client.post(f"{PREFIX}/auth/login", json=body)
        assert answer.status_code in (401, 429)


async def test_headers_cannot_be_added_by_what_is_asked(client):
    token = (await client.post(f"{PREFIX}/auth/login", json=CLEO)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    span = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}
    path = f"{PREFIX}/exports/readings"
    answer = await client.get(path, params=span | {"profile": HEADER}, headers=headers)
    assert answer.status_code == 422
    answer = await client.get("/login/oidc", params={"next": HEADER})
    assert "set-cookie" not in answer.headers


async def test_names_of_images_lead_to_no_other_file(client):
    token = (await client.post(f"{PREFIX}/auth/login", json=CLEO)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    for name in (quoted(OUTWARD), "..%2f..%2fkeys%2fcommands.key", "%2fetc%2fpasswd"):
        answer = await client.put(
            f"{PREFIX}/firmware/images/{name}", content=b"octets", headers=headers
        )
        assert answer.status_code in (400, 404, 405, 422), answer.text


async def test_passwords_tried_by_force_meet_a_growing_wait(client, head_end):
    wrong = {"username": "cleo", "password": "not-the-password"}
    statuses = []
    for _ in range(8):
        answer = await client.post(f"{PREFIX}/auth/login", json=wrong)
        statuses.append(answer.status_code)
    assert statuses[:3] == [401] * 3
    assert statuses[-1] == 429
    assert int(answer.headers["retry-after"]) >= 1
    right = await client.post(f"{PREFIX}/auth/login", json=CLEO)
    assert right.status_code == 429  # nobody learns in the meantime whether one would fit
    waits = []
    for _ in range(4):
        head_end.clock.advance(int(answer.headers["retry-after"]) + 1)
        answer = await client.post(f"{PREFIX}/auth/login", json=wrong)
        waits.append(int(answer.headers["retry-after"]))
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]
    with reading(head_end.databases.registry) as session:
        counted = set(session.scalars(select(LoginFailure.subject)))
    assert counted >= {"account cleo", "address 127.0.0.1"}

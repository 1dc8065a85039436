"""Texts that are none, or have no end, in every field of every body that the API describes."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_calls import PREFIX, Call, described
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.api.application import create_app
from hesper_cloud.api.who import actor_of
from hesper_cloud.db.engines import open_engine
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore

HERE = "the text to try"
TEXTS = {
    "half of a pair": rb'"\ud83d"',
    "NUL": rb'"x\u0000y"',
    "a megabyte": b'"' + b"x" * 1_000_000 + b'"',
}
AWAY = 503  # the authority is, and every route that needs it says so
Place = tuple[str | int, ...]


@pytest.fixture
async def client(head_end, monkeypatch) -> Any:
    for name, value in {"WAIT": timedelta(0), "_IN_HAND_S": 0.0, "_LONGER": {}}.items():
        monkeypatch.setattr(f"hesper_cloud.services.authority_link.{name}", value)
    settings, registry = head_end.settings, head_end.databases.registry
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(settings, registry, read_only, store, LatestValues(), head_end.clock)
    services = assemble(sources, lambda: 0.0)
    app = create_app(services, settings)
    app.dependency_overrides[actor_of] = lambda: Actor("cleo", Role.ADMIN)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as made:
        yield made
    services.energy.close()
    store.close()
    read_only.dispose()


def places(schemas: dict[str, Any], schema: dict[str, Any]) -> Iterator[Place]:
    """Where a body has texts, keys of objects with any key included."""
    if "$ref" in schema:
        yield from places(schemas, schemas[schema["$ref"].rsplit("/", 1)[-1]])
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from places(schemas, each)
    if schema.get("type") == "string" or not schema:
        yield ()
    for name, each in schema.get("properties", {}).items():
        yield from ((name, *rest) for rest in places(schemas, each))
    if any_key := schema.get("additionalProperties"):
        yield (HERE,)
        told = any_key if isinstance(any_key, dict) else {}
        yield from (("any", *rest) for rest in places(schemas, told))
    if "items" in schema:
        yield from ((0, *rest) for rest in places(schemas, schema["items"]))


def with_text(body: Any, place: Place) -> Any:
    """A body with a mark where the text is to be."""
    if not place:
        return HERE
    first, *rest = place
    if first == 0:
        return [with_text(None, tuple(rest))]
    known = body if isinstance(body, dict) else {}
    return {**known, first: with_text(known.get(first), tuple(rest))}


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, Call, bytes]]:
    """Every text of every body, marked, with the call it belongs to."""
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            content = route.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            if not schema or not path.startswith(PREFIX):
                continue
            call = Call(document, path, method)
            for place in dict.fromkeys(places(document["components"]["schemas"], schema)):
                body = json.dumps(with_text(call.body, place)).encode()
                yield f"{method} {path} {place}", call, body


async def test_no_text_in_a_body_breaks_an_answer(client):
    broken, seen = {}, 0
    for name, call, marked in bodies(described()):
        for what, text in TEXTS.items():
            body = marked.replace(json.dumps(HERE).encode(), text)
            headers = {"Content-Type": "application/json", "Idempotency-Key": f"{seen}"}
            answer = await client.request(
                call.method, call.path, params=call.query, content=body, headers=headers
            )
            seen += 1
            is_taken = what == "half of a pair" and answer.status_code < 400
            if is_taken or 500 <= answer.status_code != AWAY:
                broken[f"{name} {what}"] = answer.status_code
    assert broken == {}
    assert seen > 1000


async def test_json_is_what_the_standard_says(client):
    good = b'{"clock": {}, "reason": "to try"}'
    taken = [good, b"\xef\xbb\xbf" + good]
    refused = [
        good.replace(b"to try", b"\xed\xa0\xbd"),
        good.replace(b"{}", b'{"x": NaN}'),
        good.decode().encode("utf-16"),
        b"[" * 100_000,
        good[:-1],
    ]
    headers = {"Content-Type": "application/json", "Idempotency-Key": "1"}
    for body in taken + refused:
        path = f"{PREFIX}/meters/HES12642984/settings"
        answer = await client.put(path, content=body, headers=headers)
        assert answer.status_code in ((AWAY,) if body in taken else (400, 422)), body[:60]

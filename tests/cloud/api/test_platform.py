"""What all routes share: pages, tags, compression, problems, ids, and what is going."""

import asyncio
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from hesper_cloud import paging
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.api import request_ids
from hesper_cloud.api.description import methods_of, operation_id
from hesper_cloud.api.problems import install, problem
from hesper_cloud.api.representation import Representation
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.paging import Asked, BadPage, Order, Orders
from jsonschema import Draft202012Validator
from sqlalchemy import select
from sqlalchemy.exc import DataError

METER = "HES12642984"
PROBLEM = "application/problem+json"
ANN = Actor("ann", Role.OPERATOR)


@pytest.fixture(scope="module")
def fleet(house) -> list[str]:
    """Some hundred meters, of which a third have no area."""
    now = now_utc()
    names = [f"PG{n:04}" for n in range(120)]
    with writing(house.head_end.databases.registry) as session:
        session.add_all(
            Meter(id=name, first_seen_at=now, area=[None, "East", "West"][n % 3])
            for n, name in enumerate(names)
        )
    return names


def pages(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Follows the links to the last page."""
    found = []
    while path:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += body["rows"] if isinstance(body, dict) else body
        path = answer.links.get("next", {}).get("url", "").removeprefix("/api/v1")
    return found


@pytest.mark.parametrize("sort", ["id", "-id", "area", "-area", "last_contact_at"])
def test_pages_by_cursor_have_every_row_once_in_every_order(fleet, viewer, sort):
    rows = pages(viewer, f"/meters?search=PG&limit=17&sort={sort}")
    ids = [row["id"] for row in rows]
    assert sorted(ids) == fleet
    if sort.endswith("area"):
        areas = [row["area"] for row in rows if row["area"]]
        assert areas == sorted(areas, reverse=sort.startswith("-"))
        assert [row["area"] for row in rows[80:]] == [None] * 40


def test_rows_that_come_in_between_hide_and_repeat_no_others(house, fleet, viewer):
    first = viewer.get("/meters?search=PG&limit=50").json()
    assert first["total"] == 120
    with writing(house.head_end.databases.registry) as session:
        session.add(Meter(id="AA-PG", first_seen_at=now_utc()))
    rest = pages(viewer, f"/meters?search=PG&limit=50&cursor={first['next']}")
    assert [row["id"] for row in first["rows"] + rest] == fleet
    with writing(house.head_end.databases.registry) as session:
        session.delete(session.get_one(Meter, "AA-PG"))


def test_a_cursor_is_for_its_own_question_and_cannot_be_made_up(fleet, viewer):
    cursor = viewer.get("/meters?search=PG&limit=5").json()["next"]
    for query in (
        f"search=P&cursor={cursor}",
        f"search=PG&sort=area&cursor={cursor}",
        f"search=PG&cursor={cursor[:-2]}",
        f"search=PG&cursor={'B' if cursor[0] == 'A' else 'A'}{cursor[1:]}",
        "cursor=%00", "cursor=1;DROP TABLE meters", "cursor=" + "A" * 2000,
    ):  # fmt: skip
        answer = viewer.get(f"/meters?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM), query
    assert viewer.get("/commands?sort=password").status_code == 400


def test_values_of_a_cursor_are_checked_before_they_reach_a_query(house):
    orders = Orders({"id": Order(Meter.id, str)}, Order(Meter.id, str), "id")
    with reading(house.head_end.databases.registry) as session:
        for values in ((1, "x"), ("x", 2**63), ("\0", "x"), (True, "x"), ([], "x"), ("x", None)):
            cursor = paging.sealed(Asked(), "id", values)
            with pytest.raises(BadPage):
                orders.page(session, select(Meter), Asked(cursor=cursor))
    at = (datetime, datetime)
    for value in ("soon", "2026-11-20T00:00:00", 5, "0001-01-01T00:00:00+23:00"):
        with pytest.raises(BadPage):
            paging.opened(Asked(cursor=paging.sealed(Asked(), "at", (value, value))), "at", at)


def test_a_made_up_cursor_of_rows_in_memory_is_refused():
    for values in ((None, None), ("a", None), ("a", 5)):
        cursor = paging.sealed(Asked(), "username", values)
        with pytest.raises(BadPage):
            paging.cut([ANN], "username", Asked(cursor=cursor))


def test_rows_in_memory_are_cut_the_same_way():
    rows = [Actor(f"name-{n}", Role.VIEWER) for n in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        page, cursor = paging.cut(rows, "username", Asked(2, cursor, "-username"))
        seen += [row.username for row in page]
    assert seen == [f"name-{n}" for n in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("path", ["/gateways", f"/meters/{METER}/settings", "/schedules"])
def test_who_has_an_answer_is_told_so(viewer, path):
    first = viewer.get(path)
    tag = first.headers["etag"]
    again = viewer.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert viewer.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_answers_of_some_length_are_compressed_for_those_who_take_it(fleet, viewer):
    plain = viewer.get("/meters?search=PG", headers={"Accept-Encoding": "identity"})
    packed = viewer.get("/meters?search=PG", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert packed.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'
    assert "accept-encoding" in packed.headers["vary"].lower()
    refused = viewer.get("/meters?search=PG", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    assert "content-encoding" not in viewer.get("/auth/me").headers


async def test_what_holds_a_secret_is_neither_tagged_nor_compressed_and_streams_are():
    app, no_store = FastAPI(), {"Cache-Control": "no-store"}
    app.get("/api/secret")(lambda: Response("s" * 5000, headers=no_store, media_type="text/plain"))
    app.get("/api/export")(
        lambda: StreamingResponse((b"line\n" for _ in range(9)), media_type="application/x-ndjson")
    )
    app.add_middleware(Representation, prefix="/api")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hes") as client:
        secret, export = await client.get("/api/secret"), await client.get("/api/export")
    assert {"etag", "content-encoding"}.isdisjoint(secret.headers)
    assert (export.headers["content-encoding"], export.content) == ("gzip", b"line\n" * 9)


async def test_what_postgres_takes_for_no_value_is_the_callers_mistake():
    app = FastAPI()
    install(app)

    @app.get("/nul")
    def refused() -> None:
        raise DataError("SELECT", {}, ValueError("NUL"))

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hes") as client:
        assert (await client.get("/nul")).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nothing/here", 404, "/api/v1/nothing/here"),
        ("GET", "/commands/none", 404, "none"),
        ("DELETE", "/meters", 405, "DELETE"),
        ("PATCH", f"/meters/{METER}/latest", 405, "PATCH"),
        ("GET", "/meters?limit=0", 422, "limit"),
        ("GET", "/consumption?from=x&to=2026-01-01", 422, "from"),
        ("POST", "/commands", 422, "body"),
    ],
)
def test_every_error_is_a_problem_with_the_requests_id(operator, method, path, status, says):
    answer = operator.request(method, path, headers={"X-Request-ID": "my-own.id_1"})
    body = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert (body["status"], says in body["detail"]) == (status, True), body
    assert body["request_id"] == answer.headers["x-request-id"] == "my-own.id_1"
    assert (status != 405) or answer.headers["allow"] in ("GET, POST", "GET")


def test_validation_names_the_places_and_never_repeats_what_stood_there(operator):
    body = {"meter": METER, "action": "explode", "reason": "hunter2-is-my-password"}
    answer = operator.post("/commands", json=body | {"reason": ["hunter2-is-my-password"]})
    assert {each["at"] for each in answer.json()["errors"]} == {
        "body.relay.action", "body.relay.reason",
    }  # fmt: skip
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a\\nb", "<script>"])
def test_a_request_id_that_is_not_fit_for_a_log_is_replaced(viewer, name):
    answer = viewer.get("/auth/me", headers={"X-Request-ID": name})
    assert len(answer.headers["x-request-id"]) == 32


async def test_a_mistake_of_ours_is_a_problem_too_and_tells_nothing():
    app = FastAPI()
    install(app)
    app.add_middleware(request_ids.RequestIds)

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("the secret is hunter2")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hes") as client:
        answer = await client.get("/fails", headers={"X-Request-ID": "one"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert (answer.json()["request_id"], "hunter2" in answer.text) == ("one", False)


def test_a_route_that_is_going_says_when_and_what_comes_in_its_place(viewer):
    old, new = viewer.get("/firmware/campaigns"), viewer.get("/campaigns")
    assert old.json() == new.json() == []
    assert "deprecation" not in new.headers
    announced = datetime.fromtimestamp(int(old.headers["deprecation"].removeprefix("@")), UTC)
    ends = parsedate_to_datetime(old.headers["sunset"])
    assert (ends - announced).days == 365
    assert old.links["successor-version"]["url"] == "/api/v1/campaigns"
    document = viewer.get("/openapi.json").json()
    assert document["paths"]["/api/v1/firmware/campaigns"]["get"]["deprecated"] is True


@pytest.fixture(scope="module")
def document(house) -> dict[str, Any]:
    return dict(httpx.get(f"{house.url}/api/v1/openapi.json", timeout=60).json())


def bodies(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (operation["operationId"], content["application/json"])
        for methods in document["paths"].values()
        for operation in methods.values()
        for body in (operation.get("requestBody", {}), *operation["responses"].values())
        if "application/json" in (content := body.get("content", {}))
    ]


def test_every_body_has_an_example_that_its_schema_allows(document):
    components = {"components": document["components"]}
    wrong = {}
    for name, content in bodies(document):
        if content.get("schema"):
            checker = Draft202012Validator(content["schema"] | components)
            errors = [error.message for error in checker.iter_errors(content["example"])]
            if errors:
                wrong[name] = errors[0]
    assert wrong == {}


def test_operations_have_ids_of_their_address_tags_and_problems(document):
    operations = [
        (method, path, each)
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]
    assert all(
        each["operationId"] == operation_id(method, path) for method, path, each in operations
    )
    assert len({each["operationId"] for _, _, each in operations}) == len(operations)
    ours = [each for _, path, each in operations if path.startswith("/api/v1")]
    assert [each["operationId"] for each in ours if not each.get("tags")] == []
    assert all({"4XX", "5XX"} <= each["responses"].keys() for _, _, each in operations)
    posts = [each for method, _, each in operations if method == "post"]
    for each in posts:
        assert "Idempotency-Key" in {parameter["name"] for parameter in each["parameters"]}


def test_methods_of_an_address_are_found_in_the_description(document):
    assert methods_of(document, "/api/v1/meters/x/latest") == ["GET"]
    assert methods_of(document, "/api/v1/meters//latest") == []
    assert methods_of(document, "/api/v1/nothing") == []


def test_ten_conditional_questions_are_answered_from_memory(viewer):
    """The memory of pages knows 304, too, and gives nobody another's form or id."""
    first = viewer.get("/overview", headers={"Accept-Encoding": "identity"})
    packed = viewer.get("/overview", headers={"Accept-Encoding": "gzip"})
    assert (first.json().keys(), packed.headers.get("content-encoding")) == (
        packed.json().keys(),
        "gzip" if len(first.content) >= 1024 else None,
    )
    ids = [viewer.get("/overview").headers.get("x-request-id") for _ in range(5)]
    known = [each for each in ids if each]
    assert len(known) == len(set(known))


def test_json_of_the_description_is_stable(document, house):
    again = httpx.get(f"{house.url}/api/v1/openapi.json", timeout=60).json()
    assert json.dumps(again) == json.dumps(document)


async def test_many_requests_have_their_own_ids(house):
    async with httpx.AsyncClient(base_url=house.url, timeout=60) as client:
        answers = await asyncio.gather(*(client.get("/api/v1/auth/me") for _ in range(10)))
    assert len({answer.json()["request_id"] for answer in answers}) == 10


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (413, "too-large"),
        (414, "request-uri-too-long"),
        (416, "requested-range-not-satisfiable"),
        (422, "unprocessable-entity"),
    ],
)
def test_a_code_is_that_of_before_where_python_renamed_a_status(status: int, code: str) -> None:
    assert json.loads(problem(status, "").body)["code"] == code

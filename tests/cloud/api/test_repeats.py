"""Changes that meet another, and requests that come again: versions and idempotency keys."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.api.idempotency import IdempotentPosts
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import IdempotentAnswer
from hesper_cloud.services.idempotency import (
    KEPT,
    CutOff,
    Idempotency,
    Kept,
    KeyInUse,
    OtherRequest,
)
from sqlalchemy import select

PROBLEM = "application/problem+json"
ANN = Actor("ann", Role.OPERATOR)


def test_a_change_is_refused_when_somebody_else_made_one_in_between(operator):
    def put(profile_s: int, **headers: str) -> httpx.Response:
        body = {"document": {"profile_s": profile_s}}
        return operator.put("/schedules/contested", json=body, headers=headers)

    first = put(900)
    assert (first.status_code, first.json().get("version")) == (200, 1), first.text
    tag = operator.get("/schedules/contested").headers["etag"]
    assert put(1800, **{"If-Match": tag}).json()["version"] == 2
    stale = put(60, **{"If-Match": tag})
    assert (stale.status_code, stale.headers["content-type"]) == (412, PROBLEM)
    assert put(60, **{"If-Match": "*"}).json()["version"] == 3
    assert put(60, **{"If-Match": "nonsense"}).status_code == 400


def assign(client: httpx.Client, key: str, area: str = "North") -> httpx.Response:
    body = {"query": {"area": area}}
    headers = {"Idempotency-Key": key}
    return client.post("/schedules/contested/assignments", json=body, headers=headers)


def test_a_repeated_post_makes_one_thing_and_gets_its_answer_again(house, operator):
    operator.put("/schedules/contested", json={"document": {"profile_s": 900}})
    key = uuid.uuid4().hex
    first, again = assign(operator, key), assign(operator, key)
    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    held = [each["id"] for each in operator.get("/schedules/assignments").json()]
    assert held.count(first.json()["id"]) == 1
    other = assign(operator, key, "South")
    assert (other.status_code, other.headers["content-type"]) == (422, PROBLEM)
    with house.client("cleo") as admin:
        assert assign(admin, key).json()["id"] != first.json()["id"]


def test_a_refused_post_may_be_tried_again_under_its_key(operator):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    path = "/schedules/not-there-yet"
    assert operator.post(f"{path}/assignments", json={}, headers=key).status_code == 404
    operator.put(path, json={"document": {}})
    assert operator.post(f"{path}/assignments", json={}, headers=key).status_code == 201


def test_ten_equal_posts_at_once_make_one_thing(operator):
    operator.put("/schedules/contested", json={"document": {"profile_s": 900}})
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(10) as clicks:
        answers = list(clicks.map(lambda _: assign(operator, key), range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


def test_a_number_of_versions_for_one_change_at_once_is_one(operator):
    first = operator.post("/customers", json={"account_number": "E-1", "name": "Ada"})
    path, tag = f"/customers/{first.json()['id']}", first.headers["etag"]

    def rename(number: int) -> int:
        body = {"name": f"Ada {number}"}
        return operator.patch(path, json=body, headers={"If-Match": tag}).status_code

    with ThreadPoolExecutor(6) as clerks:
        told = sorted(clerks.map(rename, range(6)))
    assert told == [200, *[412] * 5]


class _Posts:
    """An application with its idempotent door, driven message by message."""

    def __init__(self, house: Any, app: Any) -> None:
        self._app = IdempotentPosts(app, "/api/v1")
        self._house = house
        self.key = uuid.uuid4().hex

    async def post(self, *messages: Any) -> list[int]:
        """Sends messages as a server does; returns the statuses that were answered."""
        token = self._house.headers("ann")["Authorization"].encode()
        scope = {
            "type": "http", "method": "POST", "path": "/api/v1/x", "query_string": b"",
            "headers": [(b"authorization", token), (b"idempotency-key", self.key.encode())],
            "app": SimpleNamespace(state=SimpleNamespace(services=self._house.services)),
        }  # fmt: skip
        waiting, told = [*messages], []

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                told.append(message["status"])

        await self._app(scope, receive, send)
        return told


async def test_half_of_a_request_is_none(house):
    seen = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        seen.append(await receive())

    half = {"type": "http.request", "body": b"meterNumber\nA1\n", "more_body": True}
    assert await _Posts(house, app).post(half, {"type": "http.disconnect"}) == []
    assert seen == []


@pytest.mark.parametrize("end", [asyncio.CancelledError, RuntimeError])
async def test_a_request_that_was_broken_off_is_not_carried_out_again(house, end):
    done = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        done.append("it is committed")
        raise end

    posts, whole = _Posts(house, app), {"type": "http.request", "body": b"{}"}
    with pytest.raises(end):
        await posts.post(whole)
    assert await posts.post(whole) == [409]
    assert done == ["it is committed"]


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb", "ä"])
def test_a_key_is_short_printable_ascii(operator, key):
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = operator.post("/schedules/contested/assignments", json={}, headers=headers)
    assert answer.status_code in (400, 422)


class TestKeptAnswers:
    """The service below, with its own clock."""

    @pytest.fixture
    def answers(self, head_end) -> Idempotency:
        class Sources:
            registry, clock = head_end.databases.registry, head_end.clock

        return Idempotency(Sources(), b"secret")

    def test_it_lives_for_a_day(self, answers, head_end):
        digest = answers.digest(b"POST", b"body")
        assert answers.claim(ANN, "k", digest) is None
        answers.keep(ANN, "k", Kept(201, {}, b"made"))
        head_end.clock.advance(KEPT.total_seconds() - 1)
        assert answers.claim(ANN, "k", digest) == Kept(201, {}, b"made")
        head_end.clock.advance(2)
        assert answers.claim(ANN, "k", answers.digest(b"another")) is None
        with reading(head_end.databases.registry) as session:
            assert len(session.scalars(select(IdempotentAnswer)).all()) == 1

    def test_it_is_busy_until_it_is_answered(self, answers):
        digest = answers.digest(b"x")
        answers.claim(ANN, "k", digest)
        with pytest.raises(KeyInUse):
            answers.claim(ANN, "k", digest)
        answers.release(ANN, "k")
        assert answers.claim(ANN, "k", answers.digest(b"y")) is None

    def test_what_was_cut_off_is_not_carried_out_again(self, answers, head_end):
        digest = answers.digest(b"x")
        answers.claim(ANN, "left", digest)
        answers.leave(ANN, "left")
        answers.claim(ANN, "killed", digest)
        head_end.clock.advance(601)
        for key in ("left", "killed"):
            with pytest.raises(CutOff):
                answers.claim(ANN, key, digest)
        head_end.clock.advance(KEPT.total_seconds())
        assert answers.claim(ANN, "left", digest) is None

    def test_passwords_cannot_be_tried_on_what_is_kept(self, answers, head_end):
        answers.claim(ANN, "k", answers.digest(b'{"password": "spring"}'))
        with reading(head_end.databases.registry) as session:
            kept = session.scalars(select(IdempotentAnswer.request)).one()
        other = Idempotency(answers_sources(head_end), b"another secret")
        assert kept == answers.digest(b'{"password": "spring"}')
        assert kept != other.digest(b'{"password": "spring"}')

    def test_tokens_that_may_less_have_keys_of_their_own(self, answers):
        answers.claim(ANN, "k", answers.digest(b"x"))
        north = Actor("ann", Role.OPERATOR, areas=("North",))
        assert answers.claim(north, "k", answers.digest(b"y")) is None
        with pytest.raises(OtherRequest):
            answers.claim(ANN, "k", answers.digest(b"y"))


def answers_sources(head_end: Any) -> Any:
    class Sources:
        registry, clock = head_end.databases.registry, head_end.clock

    return Sources()

"""Readings over HTTP: durable before 200, stored once, refused like those of the broker."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import DeadLetter
from hesper_cloud.ingest import door
from hesper_cloud.ingest.door import Door
from hesper_contracts.quality import Quality
from hesper_contracts.topics import Topics
from sqlalchemy import select

PATH = "/meters/data-ingestion"
METER, ELSEWHERE = "HES12642984", "HES12642985"
ENERGY = "1.0.1.8.0.255"


def batch(meter: str = METER, value: int = 1000, **more: Any) -> bytes:
    at = now_utc().replace(minute=0, second=0, microsecond=0).isoformat()
    values = {ENERGY: [value, 0, 30]}
    body = {"kind": "readings", "version": 1, **more}
    return json.dumps(
        body | {"readings": [{"meter": meter, "captured_at": at, "values": values}]}
    ).encode()


@pytest.fixture(scope="module")
def roof(house) -> httpx.Client:
    headers = house.machine("roof", Permission.BRING_READINGS)
    with httpx.Client(base_url=f"{house.url}/api/v1", headers=headers, timeout=60) as client:
        yield client


def stored(house: Any, meter: str) -> list[int | None]:
    rows = house.services.sources.store.readings(meter, None, 0, 2**33, 100)
    return [value.value for row in rows for value in row.values]


def test_200_means_durable_and_the_same_octets_are_stored_once(house, roof):
    octets = batch("PV-1", batch={"epoch": "0123456789abcdef", "sequence": 1})
    first, again = [roof.post(PATH, content=octets) for _ in range(2)]
    assert first.status_code == again.status_code == 200, first.text
    assert first.json() == again.json()
    assert first.json() == {
        "gateway": "http-roof",
        "epoch": "0123456789abcdef",
        "sequence": 1,
        "digest": hashlib.sha256(octets).hexdigest(),
        "verdict": "stored",
    }
    assert stored(house, "PV-1") == [1000]


def test_a_batch_without_a_name_is_known_by_its_digest(house, roof):
    octets = batch("PV-2", 7)
    with ThreadPoolExecutor(4) as several:
        answers = list(several.map(lambda _: roof.post(PATH, content=octets), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["sequence"] for answer in answers}) == 1
    assert stored(house, "PV-2") == [7]


def test_what_cannot_be_decoded_is_a_dead_letter_and_refused(house, roof):
    answer = roof.post(PATH, content=b'{"kind": "readings", "version": 9, "readings": []}')
    assert (answer.status_code, "version 9" in answer.json()["detail"]) == (400, True)
    with reading(house.head_end.databases.registry) as session:
        letters = session.scalars(select(DeadLetter)).all()
    assert [letter.topic for letter in letters] == ["hesper/v1/http-roof/up/readings"]


def test_a_known_name_with_other_octets_is_refused(roof):
    named = {"epoch": "fedcba9876543210", "sequence": 5}
    assert roof.post(PATH, content=batch("PV-3", 1, batch=named)).status_code == 200
    other = roof.post(PATH, content=batch("PV-3", 2, batch=named))
    assert (other.status_code, "another digest" in other.json()["detail"]) == (400, True)


def test_of_a_meter_behind_a_gateway_it_is_kept_apart_and_leaves_by_no_feed(house, roof):
    for meter in ("PV-9", METER):
        assert roof.post(PATH, content=batch(meter, 3)).status_code == 200
    (row,) = house.services.sources.store.readings(METER, None, 0, 2**33, 10)
    assert row.quality & Quality.FOREIGN_GATEWAY
    assert house.services.sources.latest.of(METER) == []
    headers = house.machine("mdm", Permission.READ)
    with httpx.Client(base_url=f"{house.url}/api/v1", headers=headers, timeout=60) as client:
        span = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
        (shown,) = client.get(f"/meters/{METER}/readings", params=span).json()["rows"]
        assert (shown["profile"], shown["quality"]) == ("1.0.99.1.0.255@http-roof", row.quality)
        changes = client.get("/readings/changes").json()["rows"]
        assert METER not in {each["meter"] for each in changes}
        assert METER not in client.get("/readings/export", params=span).text
        assert "PV-9" in {each["meter"] for each in changes}


def test_machines_alone_within_their_scope_and_areas(house, roof):
    with house.client("cleo") as admin:
        assert admin.post(PATH, content=batch()).status_code == 403
    assert httpx.post(f"{house.url}/api/v1{PATH}", content=batch(), timeout=60.0).status_code == 401
    readers = house.machine("reader", Permission.READ)
    url = f"{house.url}/api/v1{PATH}"
    assert httpx.post(url, content=batch(), headers=readers, timeout=60.0).status_code == 403
    north = house.machine("north", Permission.BRING_READINGS, areas=["North"])
    assert httpx.post(url, content=batch(METER), headers=north, timeout=60).status_code == 200
    assert httpx.post(url, content=batch(ELSEWHERE), headers=north, timeout=60.0).status_code == 404
    foreign = json.loads(batch(ELSEWHERE))  # a row that cannot be hides no other
    foreign["readings"].append({"meter": METER, "captured_at": "never"})
    assert httpx.post(url, json=foreign, headers=north, timeout=60.0).status_code == 404


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"", 400),
        (b"HRc1", 400),
        (b"[]", 400),
        (b'{"kind"', 400),
        (b"{" + b" " * (4 * 1024 * 1024 + 1), 413),
    ],
)
def test_bad_bodies_are_refused_with_a_reason(roof, octets, status):
    answer = roof.post(PATH, content=octets)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )


class _Queue:
    """A queue that keeps what is put in."""

    def __init__(self) -> None:
        self.put: Callable[[Any], None] = [].append


def test_the_door_lets_so_many_wait_and_forgets_who_went(monkeypatch):
    monkeypatch.setattr(door, "MOST_OF_ONE", 2)
    entrance = Door(_Queue(), Topics())
    first, second = entrance.hand_in("roof", b"{1"), entrance.hand_in("roof", b"{2")
    assert entrance.hand_in("roof", b"{3") is None
    assert entrance.hand_in("other", b"{3") is not None
    assert first is not None
    assert second is not None
    first.cancel()
    assert entrance.hand_in("roof", b"{4") is not None
    assert entrance.hand_in("roof", b"{5") is None


def test_the_door_holds_so_many_octets(monkeypatch):
    monkeypatch.setattr(door, "MOST_OCTETS", 10)
    entrance = Door(_Queue(), Topics())
    assert entrance.hand_in("roof", b"{" * 20) is not None
    assert entrance.hand_in("roof", b"{") is None

"""The rooms of the WebSocket: who hears what, from committed rows, and how slow readers fare."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI
from hesper_cloud.accounts.roles import Permission
from hesper_cloud.api.limits import Limits
from hesper_cloud.api.live_rooms import LONGEST
from hesper_cloud.api.page_cache import PageCache
from hesper_cloud.api.serving import configured
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.authority import User
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Alert, Event
from hesper_cloud.live.hub import Hub, Mailbox, TooManyRooms
from hesper_cloud.live.places import FLEET, Place, Room
from hesper_cloud.services.errors import Unavailable
from hesper_cloud.services.live_feed import LiveFeed
from hesper_cloud.web_settings import LimitSettings
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

METER, ELSEWHERE, GATEWAY = "HES12642984", "HES12642985", "http-roof"
ENERGY, RELAY = "1.0.1.8.0.255", "0.0.96.3.10.255"
DEADLINE_S = 60.0
ASYNCAPI = yaml.safe_load((Path(__file__).parents[3] / "docs" / "asyncapi.yaml").read_text("utf-8"))


def described(message: dict[str, Any]) -> None:
    """Checks that a message is what docs/asyncapi.yaml says of its type."""
    reference = ASYNCAPI["channels"]["live"]["messages"][message["type"]]["$ref"]
    payload = ASYNCAPI["components"]["messages"][reference.rsplit("/", 1)[-1]]["payload"]
    schema = payload | {"components": ASYNCAPI["components"]}
    Draft202012Validator(schema).validate(message)


class Listener:
    """One client of the WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def say(self, **message: Any) -> None:
        self._socket.send(json.dumps(message))

    def hear(self, *kinds: str) -> dict[str, Any]:
        """Returns the next message of some kinds; frames and heartbeats are passed over."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            told = json.loads(self._socket.recv(timeout=deadline - time.monotonic()))
            if "type" in told:
                described(told)
            if told.get("type") in kinds:
                return dict(told)

    def join(self, room: str, name: str = "") -> "Listener":
        self.say(type="join-room", room=room, **({"name": name} if name else {}))
        told = self.hear("joined", "problem")
        assert (told["type"], told.get("room")) == ("joined", room), told
        return self


@pytest.fixture(scope="module")
def listening(house) -> Callable[..., Any]:
    @contextmanager
    def listen(who: str | dict[str, str] = "vic") -> Iterator[Listener]:
        with house.live(who) as socket:
            yield Listener(socket)

    return listen


@pytest.fixture(scope="module")
def bring(house) -> Callable[..., httpx.Response]:
    headers = house.machine("roof", Permission.BRING_READINGS)
    house.put_behind("roof", METER, ELSEWHERE)
    moments = itertools.count(1)
    since = now_utc().replace(microsecond=0) - timedelta(hours=1)

    def post(meter: str, value: int, logical_name: str = ENERGY) -> httpx.Response:
        at = (since + timedelta(seconds=next(moments))).isoformat()
        values = {logical_name: [value, 0, 30 if logical_name == ENERGY else 255]}
        readings = [{"meter": meter, "captured_at": at, "values": values}]
        body = {"kind": "readings", "version": 1, "readings": readings}
        url = f"{house.url}/api/v1/meters/data-ingestion"
        answer = httpx.post(url, json=body, headers=headers, timeout=DEADLINE_S)
        assert answer.status_code == 200, answer.text
        return answer

    return post


def an_event(house: Any, name: str, meter: str = METER) -> None:
    now = now_utc()
    row = Event(
        id=name, meter=meter, gateway=GATEWAY, code="cover_opened", severity="critical",
        occurred_at=now, stored_at=now, text="opened", attributes={},
    )  # fmt: skip
    with writing(house.head_end.databases.registry) as session:
        session.add(row)


def an_alert(house: Any, meter: str, area: str) -> None:
    now = now_utc()
    row = Alert(
        rule="voltage", meter=meter, gateway=GATEWAY, area=area, severity="warning",
        raised_at=now, changed_at=now, text="too low",
    )  # fmt: skip
    with writing(house.head_end.databases.registry) as session:
        session.add(row)


@pytest.mark.parametrize(
    "room", [("meter", METER), ("gateway", GATEWAY), ("area", "North"), ("fleet",)]
)
def test_a_room_hears_of_readings_events_and_alerts_in_it(house, listening, bring, room):
    with listening() as listener:
        listener.join(*room)
        bring(METER, 1234)
        told = listener.hear("meter-reading-update")
        assert (told["meter"], told["area"]) == (METER, "North")
        assert 1234 in [each["value"] for each in told["values"]]
        an_event(house, f"event-{room}")
        assert listener.hear("event-logged")["code"] == "cover_opened"
        an_alert(house, METER, "North")
        told = listener.hear("alert-created")
        assert (told["meter"], told["rule"], told["state"]) == (METER, "voltage", "new")


@pytest.mark.parametrize("count", [1_500, 2_500])
def test_of_a_flood_nothing_goes_by_untold(house, listening, count):
    """What is committed at once is told, or counted as missed where no mailbox holds it."""
    now = now_utc()
    rows = [
        Event(
            id=f"flood-{count}-{number}", meter=METER, gateway=GATEWAY, code="cover_opened",
            severity="info", occurred_at=now, stored_at=now, text="opened", attributes={},
        )
        for number in range(count)
    ]  # fmt: skip
    with listening() as listener:
        listener.join("fleet")
        with writing(house.head_end.databases.registry) as session:
            session.add_all(rows)
        told = missed = 0
        while told + missed < count:
            heard = listener.hear("event-logged", "missed")
            told, missed = told + ("code" in heard), missed + heard.get("count", 0)
        assert told + missed == count
        assert told > 1_000


def test_a_room_hears_nothing_of_other_rooms_and_of_rooms_it_left(house, listening, bring):
    with listening() as listener:
        listener.join("meter", ELSEWHERE).join("meter", METER)
        listener.say(type="leave-room", room="meter", name=METER)
        assert listener.hear("left")["name"] == METER
        bring(METER, 1)
        bring(ELSEWHERE, 2)
        assert listener.hear("meter-reading-update")["meter"] == ELSEWHERE


def test_a_relay_that_moves_and_a_command_are_told(house, listening, bring):
    with listening() as listener, house.client("ann") as operator:
        listener.join("meter", METER)
        bring(METER, 1, RELAY)
        listener.hear("meter-reading-update")
        bring(METER, 0, RELAY)
        told = listener.hear("meter-status-change")
        assert (told["meter"], told["status"]) == (METER, "disconnected")
        key = {"Idempotency-Key": "live-read"}
        asked = operator.post(f"/meters/{METER}/read", json={}, headers=key)
        assert (asked.status_code, asked.json()["kind"]) == (202, "read.registers")
        told = listener.hear("command-state")
        assert (told["id"], told["meter"]) == (asked.json()["id"], METER)


def test_a_service_may_send_readings_and_gets_its_receipt(house, listening):
    both = house.machine("both", Permission.READ, Permission.BRING_READINGS)
    at = now_utc().isoformat()
    values = {ENERGY: [4711, 0, 30]}
    readings = [{"meter": "PV-9", "captured_at": at, "values": values}]
    batch = {"kind": "readings", "version": 1, "readings": readings}
    with listening(both) as sender, listening() as hearer:
        hearer.join("meter", "PV-9")
        sender.say(type="meter-update", batch=batch)
        assert sender.hear("receipt", "problem")["verdict"] == "stored"
        assert hearer.hear("meter-reading-update")["values"][0]["value"] == 4711
    for who in ("ann", "cleo", house.machine("only-reads", Permission.READ)):
        with listening(who) as person:
            person.say(type="meter-update", batch=batch)
            assert person.hear("receipt", "problem")["status"] == 403


def test_who_sees_one_area_hears_of_no_other(house, listening, bring):
    south = house.machine("south", Permission.READ, areas=["South"])
    with listening(south) as listener:
        for room in ({"room": "meter", "name": METER}, {"room": "area", "name": "North"}):
            listener.say(type="join-room", **room)
            assert listener.hear("joined", "problem")["status"] == 404
        listener.join("fleet")
        bring(METER, 5)
        bring(ELSEWHERE, 6)
        assert listener.hear("meter-reading-update")["meter"] == ELSEWHERE


@pytest.mark.parametrize(
    "said",
    [
        "no json", "[]", "{}", '{"type": "join-room"}', '{"type": "join-room", "room": "moon"}',
        '{"type": "join-room", "room": "meter"}',
        '{"type": "join-room", "room": "fleet", "name": "x"}',
        '{"type": "meter-update"}', '{"type": ["x"]}',
        json.dumps({"type": "join-room", "room": "meter", "name": "x" * 65}),
    ],
)  # fmt: skip
def test_what_is_no_message_is_a_problem_and_the_connection_stays(house, listening, said):
    with listening("ann") as listener:
        listener._socket.send(said)
        assert listener.hear("problem")["status"] in (400, 403)
        listener.join("fleet")


def test_nobody_and_other_sites_are_refused(house):
    url = house.url.replace("http", "ws") + "/api/v1/live"
    with httpx.Client(base_url=house.url, timeout=DEADLINE_S) as browser:
        body = {"username": "vic", "password": "viewing-only-1"}
        browser.post("/api/v1/auth/login", json=body)
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    for headers in ({}, {"Authorization": "Bearer x"}, cookie | {"Origin": "https://evil.example"}):
        with pytest.raises(InvalidStatus):
            connect(url, additional_headers=headers)
    with connect(url, additional_headers=cookie, origin=house.url) as socket:
        Listener(socket).join("fleet")


def test_the_connection_ends_with_the_account(house, listening):
    leaver = house.machine("leaver", Permission.READ)
    with listening(leaver) as listener:
        listener.join("fleet")
        with writing(house.head_end.databases.authority) as session:
            session.get_one(User, "leaver").disabled = True
        with pytest.raises(ConnectionClosed) as end:
            listener.hear("nothing of this kind")
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1008


async def test_a_slow_reader_gets_the_newest_of_each_thing_and_is_told_what_it_missed():
    hub, mailbox = Hub(), Mailbox(most=3)
    hub.join(mailbox, FLEET)
    for value in range(1000):
        hub.publish(Place("M1"), "meter-reading-update", {"value": value})
    for meter in ("M2", "M3", "M4"):
        hub.publish(Place(meter), "meter-reading-update", {"value": 0})
    found, missed = await mailbox.fetch()
    assert ([each.place.meter for each in found], missed) == (["M2", "M3", "M4"], 1)
    hub.publish(Place("M1"), "meter-reading-update", {"value": 1000})
    hub.publish(Place("M1"), "meter-reading-update", {"value": 1001})
    found, missed = await asyncio.wait_for(mailbox.fetch(), DEADLINE_S)
    assert ([each.document["value"] for each in found], missed) == ([1001], 0)


def test_who_floods_rooms_is_read_no_faster_than_requests_are_taken(listening, monkeypatch):
    monkeypatch.setattr(
        "hesper_cloud.api.live.Limits", lambda _: Limits(LimitSettings(per_second=10, burst=1))
    )
    begun = time.monotonic()
    with listening() as listener:
        for number in range(6):
            listener.say(type="join-room", room="meter", name=f"FLOOD-{number}")
        for _ in range(6):
            assert listener.hear("joined")["room"] == "meter"
    assert time.monotonic() - begun >= 0.35  # four waits of a tenth


def test_an_account_has_so_many_connections_and_no_more(house, listening):
    most = house.services.sources.settings.web.limits.sockets
    many = house.machine("many", Permission.READ)
    with ExitStack() as stack:
        listeners = [stack.enter_context(listening(many)) for _ in range(most)]
        with pytest.raises(InvalidStatus) as refused, listening(many):
            pass
        assert refused.value.response.status_code == 429
        assert f"{most} live connections" in refused.value.response.body.decode()
        listeners[0].join("fleet")  # the others stay
        with listening("vic") as another:
            another.join("fleet")
    deadline = time.monotonic() + DEADLINE_S
    while True:  # the ends are counted as the head end hears of them
        try:
            with listening(many) as listener:
                listener.join("fleet")
                return
        except InvalidStatus:
            assert time.monotonic() < deadline


def test_a_name_that_no_database_takes_is_a_problem(listening):
    with listening() as listener:
        listener.say(type="join-room", room="meter", name="a\0b")
        assert listener.hear("joined", "problem")["status"] == 400


async def test_a_join_while_the_database_is_away_says_so(monkeypatch, house):
    monkeypatch.setattr("hesper_cloud.services.live_feed.FOLLOWED_WITHIN_S", 0.01)
    with pytest.raises(Unavailable):
        await LiveFeed(house.services.sources).following()


def test_a_message_is_no_longer_than_a_batch_may_be(house):
    config = configured(PageCache(FastAPI(), []), house.services, None)
    assert (config.ws_max_size, config.ws_max_queue) == (LONGEST, 4)


async def test_one_connection_may_be_in_so_many_rooms(monkeypatch):
    monkeypatch.setattr("hesper_cloud.live.hub.MOST_ROOMS", 2)
    hub, mailbox = Hub(), Mailbox()
    hub.join(mailbox, Room("meter", "M1"))
    hub.join(mailbox, Room("meter", "M2"))
    hub.join(mailbox, Room("meter", "M2"))
    with pytest.raises(TooManyRooms):
        hub.join(mailbox, Room("meter", "M3"))
    hub.leave(mailbox, mailbox.rooms)
    assert not hub.is_heard

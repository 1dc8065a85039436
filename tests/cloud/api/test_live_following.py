"""What a page of the console says it shows: its meters' values, and events when committed."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.api import socket_protocol
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Event
from hesper_cloud.rules.own_links import BrokerLoss
from hesper_cloud.services import event_stream, live
from hesper_cloud.services.completeness import Ledger
from hesper_cloud.services.event_stream import EventStream
from hesper_cloud.services.overview import OverviewService
from sqlalchemy.exc import OperationalError
from websockets.sync.client import ClientConnection

METER, ELSEWHERE, GATEWAY = "HES12642984", "HES12642985", "gw-1"
ENERGY = "1.0.1.8.0.255"
DEADLINE_S = 60.0
VIEWER = Actor("vic", Role.VIEWER)


def an_event(house: Any, name: str, meter: str | None = METER, at: datetime | None = None) -> None:
    now = at or now_utc()
    row = Event(
        id=name, meter=meter, gateway=GATEWAY, code="tamper.cover_opened", severity="critical",
        occurred_at=now, stored_at=now, text="opened", attributes={},
    )  # fmt: skip
    with writing(house.head_end.databases.registry) as session:
        session.add(row)


def told_in(frame: bytes) -> dict[str, Any]:
    """Returns what a frame tells, but for when that was."""
    told = json.loads(frame)
    assert datetime.fromisoformat(told.pop("told_at")) <= now_utc()
    return dict(told)


class Page:
    """A page of the console, as far as its live connection knows."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def says(self, **wish: Any) -> None:
        self._socket.send(json.dumps({"type": "follow", **wish}))

    def hears(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Returns the next message that will do; others are passed over."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            told = json.loads(self._socket.recv(timeout=deadline - time.monotonic()))
            if wanted(told):
                return dict(told)

    def hears_of(self) -> list[str]:
        """Returns the ids of the next frame of events."""
        return [each["id"] for each in self.hears(lambda told: "events" in told)["events"]]


@pytest.fixture(scope="module")
def opened(house) -> Callable[..., Any]:
    @contextmanager
    def open_page(who: str | dict[str, str] = "vic") -> Iterator[Page]:
        with house.live(who) as socket:
            yield Page(socket)

    return open_page


def test_events_come_after_an_empty_frame_and_without_it_none_do(house, opened, until):
    an_event(house, "before")
    with opened() as page, opened() as other:
        page.says(events=True)
        assert page.hears_of() == []
        an_event(house, "after")
        frame = page.hears(lambda told: told.get("events"))
        (told,) = frame["events"]
        assert (told["id"], told["meter"], told["gateway"]) == ("after", METER, GATEWAY)
        assert (told["group"], told["area"], told["severity"]) == ("tamper", "North", "critical")
        assert not frame["missed"]
        assert "events" not in other.hears(lambda told: True)
        page.says(events=False)
        until(lambda: not house.services.event_stream.is_followed)


def test_who_sees_one_area_is_told_of_its_events_alone(house, opened):
    south = house.machine("south-page", Permission.READ, areas=["South"])
    with opened(south) as page:
        page.says(events=True)
        assert page.hears_of() == []
        an_event(house, "in the north")
        an_event(house, "in the south", ELSEWHERE)
        assert page.hears(lambda told: told.get("events"))["events"][0]["id"] == "in the south"


def test_who_may_not_read_is_let_go(house, opened):
    only_brings = house.machine("brings-only", Permission.BRING_READINGS)
    with opened(only_brings) as page:
        page.says(events=True)
        with pytest.raises(Exception, match="1008"):
            page.hears(lambda told: False)


def test_frames_hold_the_values_of_meters_that_are_shown(house, opened):
    bringer = house.machine("brings-both", Permission.BRING_READINGS)
    house.put_behind("brings-both", METER, ELSEWHERE)

    def bring() -> None:
        at = now_utc().isoformat()
        values = {ENERGY: [7, 0, 30]}
        rows = [{"meter": m, "captured_at": at, "values": values} for m in (METER, ELSEWHERE)]
        body = {"kind": "readings", "version": 1, "readings": rows}
        url = f"{house.url}/api/v1/meters/data-ingestion"
        answer = httpx.post(url, json=body, headers=bringer, timeout=DEADLINE_S)
        assert answer.status_code == 200, answer.text

    with opened() as page, opened() as silent:
        page.says(meters=[METER])
        page.hears(lambda told: told.get("values") == {})  # it is known by now
        silent.hears(lambda told: "values" in told)
        bring()
        assert page.hears(lambda told: told["values"])["values"].keys() == {METER}
        assert silent.hears(lambda told: told["values"])["values"].keys() >= {METER, ELSEWHERE}


@pytest.mark.parametrize("wish", [{"meters": 5}, {"meters": ["x"] * 21}, {"rooms": []}])
def test_a_wish_that_cannot_be_is_a_problem(opened, wish):
    with opened() as page:
        page.says(**wish)
        told = page.hears(lambda told: told.get("type") == "problem")
        assert "follow" in told["detail"]


@pytest.mark.asyncio
async def test_who_is_far_behind_is_told_to_read_the_list_again(house):
    stream = EventStream(house.services.sources)
    async with aclosing(stream.follow(VIEWER)) as frames:
        assert told_in(await anext(frames)) == {"events": [], "missed": False}
        for number in range(event_stream.KEPT_FRAMES + 1):
            an_event(house, f"behind-{number}")
            await stream.look()
        assert told_in(await anext(frames)) == {"events": [], "missed": True}
        first = json.loads(await anext(frames))["events"]
        assert [each["id"] for each in first] == ["behind-1"]


@pytest.mark.asyncio
async def test_what_was_stamped_before_others_and_committed_after_them_is_told_once(house):
    stream = EventStream(house.services.sources)
    async with aclosing(stream.follow(VIEWER)) as frames:
        await anext(frames)
        now = now_utc()
        for name, at in (("in time", now), ("slow", now - timedelta(seconds=1))):
            an_event(house, name, at=at)
            told = asyncio.ensure_future(anext(frames))
            async with asyncio.timeout(DEADLINE_S):
                while not told.done():
                    await stream.look()
                    await asyncio.sleep(0)
            assert [each["id"] for each in json.loads(told.result())["events"]] == [name]


class Looking(EventStream):
    """One that says when it has looked."""

    def __init__(self, house: Any) -> None:
        super().__init__(house.services.sources)
        self.has_looked = asyncio.Event()

    async def look(self) -> None:
        await super().look()
        self.has_looked.set()


@pytest.mark.asyncio
async def test_who_is_rung_for_does_not_wait_for_the_next_look(house, monkeypatch):
    monkeypatch.setattr(event_stream, "_LOOK_S", 3600.0)
    stream = Looking(house)
    stream.ring()  # nobody follows yet, and nothing runs
    running = asyncio.create_task(stream.run())
    try:
        async with asyncio.timeout(DEADLINE_S), aclosing(stream.follow(VIEWER)) as frames:
            await anext(frames)
            await stream.has_looked.wait()
            an_event(house, "rung for")
            await asyncio.to_thread(stream.ring)
            assert [each["id"] for each in json.loads(await anext(frames))["events"]] == [
                "rung for"
            ]
    finally:
        running.cancel()


@pytest.mark.asyncio
async def test_who_comes_first_does_not_wait_for_the_beat(house, monkeypatch):
    monkeypatch.setattr(live, "_FRAME_S", 3600.0)
    frames_of = live.Live(house.services.sources, house.services.overview)
    running = asyncio.create_task(frames_of.run())
    try:
        await asyncio.sleep(0)  # the first beat: nobody is there
        async with asyncio.timeout(DEADLINE_S), aclosing(frames_of.subscribe(VIEWER)) as frames:
            assert json.loads(await anext(frames))["server_time"]
    finally:
        running.cancel()


@pytest.mark.asyncio
async def test_what_changed_while_the_database_was_away_is_told_once_it_is_back(house, monkeypatch):
    frames_of = live.Live(house.services.sources, house.services.overview)
    looked_since: list[datetime] = []

    def away(_since: datetime) -> list[object]:
        raise OperationalError("SELECT", None, Exception("locked"))

    monkeypatch.setattr(frames_of, "_commands", lambda since: looked_since.append(since) or [])
    async with asyncio.timeout(DEADLINE_S), aclosing(frames_of.subscribe(VIEWER)) as frames:
        first = asyncio.create_task(anext(frames))
        await asyncio.sleep(0)  # it listens
        with monkeypatch.context() as patch:
            patch.setattr(frames_of, "_alerts", away)
            for _ in range(2):
                await frames_of._make_frame()
        await frames_of._make_frame()
        await first
        await frames_of._make_frame()
    assert looked_since[0] == looked_since[1] == looked_since[2] != looked_since[3]


class SlowLedger(OverviewService):
    """One whose ledger takes until somebody lets it."""

    def __init__(self, house: Any) -> None:
        super().__init__(house.services.sources, lambda: 0.0, BrokerLoss())
        self.may_end = threading.Event()

    def _compute_ledger(self, actor: Actor) -> Ledger:
        assert self.may_end.wait(DEADLINE_S)
        return Ledger(*(np.array([number]) for number in (0, 4, 3)))


@pytest.mark.asyncio
async def test_the_first_frame_does_not_wait_for_what_costs_a_scan(house, monkeypatch):
    monkeypatch.setattr(live, "_FRAME_S", 0.01)
    slow = SlowLedger(house)
    running = asyncio.create_task((frames_of := live.Live(house.services.sources, slow)).run())
    try:
        async with asyncio.timeout(DEADLINE_S), aclosing(frames_of.subscribe(VIEWER)) as frames:
            assert json.loads(await anext(frames))["figures"]["reads_complete_pct"] is None
            slow.may_end.set()
            while json.loads(await anext(frames))["figures"]["reads_complete_pct"] != 75.0:
                pass
    finally:
        slow.may_end.set()
        running.cancel()


def test_what_all_are_sent_is_the_same_octets():
    """Framed once: a text message that is neither masked nor compressed (RFC 6455, 5.2)."""
    for size in (5, 125, 126, 70_000):
        text = b"x" * size
        framed = socket_protocol._framed(text)
        assert framed is socket_protocol._framed(text)
        assert framed[0] == 0x81
        assert framed.endswith(text)
        assert len(framed) - size == (2 if size < 126 else 4 if size < 65_536 else 10)

"""A Mosquitto that stops says of every gateway that it is gone; that is no alert of theirs.

Its last words come true as far as the registry goes: the wills that it sends say "offline", and it
keeps them. The rule has a clock set by hand and the connection that ingest really has.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert, Gateway
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.own_links import is_connected
from hesper_cloud.rules.silence import SilenceRule
from hesper_cloud.settings import RuleSettings
from hesper_contracts import status
from hesper_contracts.frame import Kind
from ingest_ends import DEADLINE_S, TOPICS, Head
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select

pytestmark = pytest.mark.integration
LOOKS_EVERY_S = 2
STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)
FLEET = ("gw-1", "gw-2", "gw-3")


class Edge:
    """A gateway's connection, with the will that the agent leaves and the status that it keeps."""

    def __init__(self, name: str, port: int) -> None:
        self._name, self._port = name, port
        self._topic = TOPICS.up(name, Kind.STATUS)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.will_set(self._topic, self._status("offline"), qos=1, retain=True)

    def say(self, sent_at: datetime) -> None:
        """Publishes that it is online on a connection without a will, as after a crash of both."""
        bare = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        bare.connect("127.0.0.1", self._port)
        bare.loop_start()
        told = self._status("online", sent_at)
        bare.publish(self._topic, told, qos=1, retain=True).wait_for_publish(DEADLINE_S)
        bare.disconnect()
        bare.loop_stop()

    def _status(self, state: status.Presence, sent_at: datetime = STARTED_AT) -> bytes:
        return status.to_payload(
            status.GatewayStatus(
                gateway=self._name, boot_id="b1", state=state, sent_at=sent_at,
                started_at=STARTED_AT, backlog_batches=0, meters_total=9, outbox_percent=3,
            )
        )  # fmt: skip

    def come(self) -> None:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self.tell()

    def tell(self) -> None:
        """Says that it is online, as it does every 15 s."""
        said = self._client.publish(self._topic, self._status("online"), qos=1, retain=True)
        said.wait_for_publish(DEADLINE_S)

    def stay_away(self) -> None:
        """Does not try again, as one whose way is gone."""
        self._client.loop_stop()

    def cut(self) -> None:
        """Loses its connection without a word."""
        self._client.loop_stop()
        connection = self._client.socket()
        assert connection is not None
        connection.close()


class Watchman:
    """The rule of silence, looking as often as the head end does."""

    def __init__(self, head: Head, links: Callable[[], bool]) -> None:
        self.head, self.now = head, datetime.now(UTC)
        alerts = Alerts(head.engine, lambda: self.now)
        self._silence = SilenceRule(
            head.engine, alerts, RuleSettings(), lambda: self.now, is_connected=links
        )

    def looks(self, seconds: int) -> list[str]:
        """Lets time pass; returns what is open then."""
        for _ in range(seconds // LOOKS_EVERY_S):
            self.now = max(self.now + timedelta(seconds=LOOKS_EVERY_S), datetime.now(UTC))
            self._silence.check()
        with reading(self.head.engine) as session:
            found = session.execute(
                select(Alert.rule, Alert.gateway).where(Alert.state != "cleared")
            )
            return sorted(f"{rule} {gateway or ''}".strip() for rule, gateway in found)

    async def until(self, gateways: set[str], state: str) -> None:
        await self.head.until(
            lambda: {g.id for g in self.head.rows(Gateway) if g.state == state} == gateways
        )


@pytest.fixture
def edges(broker: Any) -> Iterator[list[Edge]]:
    made = [Edge(name, broker.port) for name in FLEET]
    for each in made:
        each.come()
    yield made
    for each in made:
        each.stay_away()


async def test_a_broker_that_stops_and_comes_back_is_no_alert_of_any_gateway(
    head: Head, broker: Any, edges: list[Edge]
) -> None:
    async with head.running():
        watchman = Watchman(head, is_connected)
        await watchman.until(set(FLEET), "online")
        assert watchman.looks(120) == []
        broker.stop()
        await head.until(lambda: not is_connected())
        assert watchman.looks(120) == []
        for each in edges:
            each.stay_away()
        broker.start()
        await head.until(is_connected)
        await watchman.until(set(FLEET), "offline")
        assert watchman.looks(58) == [], "they have their time to come back"
        for each in edges[:2]:
            each.come()
        await watchman.until({"gw-3"}, "offline")
        assert watchman.looks(10) == ["gateway-offline gw-3"]


async def test_the_wills_that_come_before_the_end_of_the_connection_are_waited_out(
    head: Head, broker: Any, edges: list[Edge]
) -> None:
    """As many looks as there is time for between the first will and the end: one."""
    async with head.running():
        still: list[bool] = []
        watchman = Watchman(head, lambda: still.pop() if still else is_connected())
        await watchman.until(set(FLEET), "online")
        assert watchman.looks(120) == []
        broker.stop()
        await watchman.until(set(FLEET), "offline")
        still.append(True)
        assert watchman.looks(80) == []


async def test_a_gateway_that_goes_by_itself_is_told_at_once(
    head: Head, broker: Any, edges: list[Edge]
) -> None:
    async with head.running():
        watchman = Watchman(head, is_connected)
        await watchman.until(set(FLEET), "online")
        assert watchman.looks(2) == []
        edges[0].tell()
        await head.until(lambda: any(row.last_seen_at > STARTED_AT for row in head.rows(Gateway)))
        edges[0].cut()
        await watchman.until({"gw-1"}, "offline")
        assert watchman.looks(2 * LOOKS_EVERY_S) == ["gateway-offline gw-1"]
        edges[0].come()
        await watchman.until(set(), "offline")
        assert watchman.looks(2) == []


async def test_what_the_broker_has_kept_is_no_sign_of_life(head: Head, broker: Any) -> None:
    """A broker that crashed has no wills, and still says "online" of who broke down with it."""
    sent_at = datetime.now(UTC) - timedelta(hours=1)
    dead, alive = (Edge(name, broker.port) for name in FLEET[:2])
    dead.say(sent_at)
    async with head.running():
        await Watchman(head, is_connected).until({"gw-1"}, "online")
        assert [row.last_seen_at for row in head.rows(Gateway)] == [sent_at]
        watchman = Watchman(head, is_connected)
        assert watchman.looks(14 * 60) == [], "it has its time to say something"
        assert watchman.looks(2 * 60) == ["gateway-offline gw-1"]
    async with head.running():
        alive.say(datetime.now(UTC))
        await watchman.until({"gw-2"}, "online")
        dead.say(datetime.now(UTC))
        await watchman.until({"gw-1", "gw-2"}, "online")

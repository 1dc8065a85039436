"""An outage of the broker in the log: where, as whom, why, what to try; once."""

import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.broker_link import BrokerLink
from hesper_cloud.ingest.consumer import Connection, Consumer
from hesper_cloud.settings import BrokerAccount
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from patience import eventually

LOG = logging.getLogger("hesper_cloud.a_role")
SUCCESS = ReasonCode(PacketTypes.CONNACK, "Success")
REFUSED = ReasonCode(PacketTypes.CONNACK, "Not authorized")
LOST = ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")
GOODBYE = ReasonCode(PacketTypes.DISCONNECT, "Normal disconnection")


class Hour:
    """A link whose clock is set by hand, and what it says."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        account = BrokerAccount(username="hes.ingest", password_file=Path("unread"))
        self.now = 0.0
        self._caplog = caplog
        self.link = BrokerLink("ingest", ("hub", 1883), account, LOG, lambda: self.now)

    def fails(self, error: OSError) -> None:
        try:
            raise error
        except OSError:
            self.link.failed(mqtt.Client(CallbackAPIVersion.VERSION2), None)

    def said(self) -> list[str]:
        texts = [record.getMessage() for record in self._caplog.records]
        self._caplog.clear()
        return texts


@pytest.fixture
def hour(caplog: pytest.LogCaptureFixture) -> Hour:
    return Hour(caplog)


def test_an_outage_is_said_once_and_once_when_it_is_over(hour: Hour) -> None:
    for _ in range(20):
        hour.fails(ConnectionRefusedError(111, "Connection refused"))
        hour.now += 10
    (said,) = hour.said()
    assert said == (
        "ingest has no connection to the broker hub:1883 (account hes.ingest): [Errno 111] "
        "Connection refused; does the broker run, on this host and port? [broker] in cloud.toml. "
        "Trying again"
    )
    assert hour.link.came(SUCCESS)
    assert hour.said() == [
        "ingest is connected to the broker hub:1883 (account hes.ingest), after 200 s"
    ]
    hour.fails(ConnectionRefusedError(111, "Connection refused"))
    assert len(hour.said()) == 1, "the next outage is news"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ssl.SSLCertVerificationError("unknown authority"), "compare tls_ca and port"),
        (socket.gaierror(-2, "Name or service not known"), "nobody knows this name"),
        (TimeoutError("timed out"), "no firewall in between"),
    ],
)
def test_what_to_try_depends_on_the_cause(hour: Hour, error: OSError, advice: str) -> None:
    hour.fails(error)
    (said,) = hour.said()
    assert advice in said


def test_a_refusal_names_the_account_and_where_its_password_is(hour: Hour) -> None:
    for _ in range(3):
        assert not hour.link.came(REFUSED)
        hour.link.ended(LOST)  # as paho tells it afterwards
    (said,) = hour.said()
    assert "(account hes.ingest): Not authorized; compare account and password_file" in said


def test_each_cause_of_one_outage_is_said(hour: Hour) -> None:
    hour.link.came(SUCCESS)
    hour.said()
    hour.link.ended(LOST)
    hour.fails(ConnectionRefusedError(111, "Connection refused"))
    hour.fails(ConnectionRefusedError(111, "Connection refused"))
    assert ["the connection ended" in said for said in hour.said()] == [True, False]


def test_a_goodbye_is_no_outage(hour: Hour) -> None:
    hour.link.came(SUCCESS)
    hour.said()
    hour.link.ended(GOODBYE)
    assert hour.said() == []


def test_the_consumer_tells_of_a_broker_that_is_not_there(
    broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.stop()
    consumer = Consumer(Connection("127.0.0.1", broker.port, "hesper/v1"), lambda *_: None)
    consumer.start()
    try:
        eventually(lambda: caplog.messages, "what is amiss is said")
        broker.start()
        eventually(consumer.announced.is_set, "it comes when the broker does")
    finally:
        consumer.stop()
    away, back = caplog.messages
    where = f"the broker 127.0.0.1:{broker.port}"
    assert away.startswith(f"ingest has no connection to {where}: [Errno 111]")
    assert back.startswith(f"ingest is connected to {where}, after ")

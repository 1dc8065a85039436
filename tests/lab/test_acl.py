"""The access rules against the live broker: every account, every kind of topic, both ways."""

from collections.abc import Callable
from typing import Any

import pytest
from hesper_contracts import topics

pytestmark = pytest.mark.integration
ROOT = "hesper/v1"
UP = sorted(str(kind) for kind in topics.UP)
DOWN = ("receipts", "commands", "answers", "config", "blocks", "tunnel", "witness")
SERIES = f"{ROOT}/series/series.weather"
ALERTS = f"{ROOT}/cloud/alerts/ops/critical"
RAW = f"{ROOT}/cloud/out/M1/1.0.99.1.0.255"
COUNTED = {f"{ROOT}/cloud/out/M1/{kind}/1.0.99.1.0.255" for kind in ("validated", "aggregates")}
INGEST, AUTHORITY = f"{ROOT}/cloud/ingest/main/status", f"{ROOT}/cloud/authority/main/status"

MAY_PUBLISH = {
    "gw-a": {f"{ROOT}/gw-a/up/{kind}" for kind in UP},
    "gw-b": {f"{ROOT}/gw-b/up/{kind}" for kind in UP},
    "hes.ingest": {f"{ROOT}/{gateway}/down/receipts" for gateway in ("gw-a", "gw-b")} | {INGEST},
    "hes.authority": {
        f"{ROOT}/{gateway}/down/{kind}"
        for gateway in ("gw-a", "gw-b")
        for kind in ("commands", "answers", "witness")
    }
    | {AUTHORITY},
    "hes.images": {f"{ROOT}/{gateway}/down/blocks" for gateway in ("gw-a", "gw-b")},
    "hes.tunnel": {f"{ROOT}/{gateway}/down/tunnel" for gateway in ("gw-a", "gw-b")},
    "hes.alerts": {ALERTS},
    "out.alerts": set(),
    "hes.republish": {RAW} | COUNTED,
    "out.mdm": set(),
    "out.billing": set(),
    "series.weather": {SERIES},
}
EVERY_TOPIC = sorted(
    {f"{ROOT}/{gateway}/up/{kind}" for gateway in ("gw-a", "gw-b") for kind in UP}
    | {f"{ROOT}/{gateway}/down/{kind}" for gateway in ("gw-a", "gw-b") for kind in DOWN}
    | {INGEST, AUTHORITY, f"{ROOT}/gw-a/up/readings/deeper", f"{ROOT}/gw-a", "elsewhere/gw-a/up/x"}
    | {f"{ROOT}/gw-a/up/{kind}" for kind in ("anything", "x1", "receipts")}
    | {RAW, *COUNTED}
    | {ALERTS, SERIES, f"{ROOT}/series/gw-a", f"{ROOT}/series/gw-b"}
)
MAY_HEAR: dict[str, Callable[[str], bool]] = {
    "gw-a": lambda topic: topic.startswith(f"{ROOT}/gw-a/down/"),
    "gw-b": lambda topic: topic.startswith(f"{ROOT}/gw-b/down/"),
    "hes.ingest": lambda topic: (
        ("/up/" in topic and not topic.endswith(("/requests", "/tunnel", "/witness")))
        or topic == SERIES
    ),
    "hes.authority": lambda topic: topic.endswith(("/up/requests", "/up/status", "/up/witness")),
    "hes.images": lambda topic: topic.endswith("/up/requests"),
    "hes.tunnel": lambda topic: topic.endswith("/up/tunnel"),
    "out.alerts": lambda topic: topic == ALERTS,
    "out.mdm": lambda topic: topic in COUNTED | {RAW},
    "out.billing": lambda topic: topic in COUNTED,
}
FOR_ALL = {INGEST, AUTHORITY}
Connected = Callable[[str], Any]


@pytest.mark.parametrize("account", MAY_PUBLISH)
def test_an_account_publishes_on_its_own_topics_and_on_no_other(
    connected: Connected, account: str
) -> None:
    publisher = connected(account)
    verdicts = {topic: publisher.publish(topic) for topic in EVERY_TOPIC}
    assert {topic for topic, refusal in verdicts.items() if not refusal} == MAY_PUBLISH[account]
    assert set(verdicts.values()) <= {"", "Not authorized"}


def test_what_is_published_is_heard_by_those_whom_it_concerns_and_by_nobody_else(
    connected: Connected,
) -> None:
    listeners = {account: connected(account) for account in MAY_HEAR}
    allowed = [(account, topic) for account, topics in MAY_PUBLISH.items() for topic in topics]
    for account, topic in allowed:
        assert not connected(account).publish(topic, b"heard?")
    for account, listener in listeners.items():
        sender, topic = next((who, t) for who, t in allowed if MAY_HEAR[account](t))
        connected(sender).publish(topic, b"the last one")
        listener.wait_for(topic, b"the last one")
        heard = {topic for topic, payload in listener.received if payload == b"heard?"}
        assert heard == FOR_ALL | {topic for _, topic in allowed if MAY_HEAR[account](topic)}


@pytest.mark.parametrize(
    "sly",
    [f"{ROOT}/gw-b/down/+", f"{ROOT}/+/down/commands", "$share/ingest/#", f"{ROOT}/#", "$SYS/#"],
)
def test_no_filter_lets_a_gateway_hear_another(broker: Any, connected: Connected, sly: str) -> None:
    with broker.client("gw-a") as spy:
        spy.subscribe(sly, f"{ROOT}/gw-a/down/answers")
        connected("gw-b").publish(f"{ROOT}/gw-b/up/readings", b"private")
        connected("hes.authority").publish(f"{ROOT}/gw-b/down/commands", b"private")
        connected("hes.authority").publish(f"{ROOT}/gw-a/down/answers", b"the last one")
        spy.wait_for(f"{ROOT}/gw-a/down/answers", b"the last one")
        assert b"private" not in [payload for _, payload in spy.received]
        assert not [topic for topic, _ in spy.received if topic.startswith("$SYS")]


def test_a_last_will_obeys_the_same_rules(broker: Any, connected: Connected) -> None:
    ingest = connected("hes.ingest")
    for victim in ("gw-b", "gw-a"):
        with broker.client("gw-a", will=f"{ROOT}/{victim}/up/status") as dying:
            dying.vanish()
    ingest.wait_for(f"{ROOT}/gw-a/up/status", b"last will")
    assert (f"{ROOT}/gw-b/up/status", b"last will") not in ingest.received


@pytest.mark.parametrize(
    ("account", "secret"),
    [
        (None, "anything"),
        ("gw-a", "secret of gw-b"),
        ("gw-a", "wrong"),
        ("hes.authority", "wrong"),
        ("nobody", "wrong"),
    ],
)
def test_strangers_are_not_let_in(broker: Any, account: str | None, secret: str) -> None:
    with broker.client(account, secret) as stranger:
        assert stranger.refusal == "Not authorized"

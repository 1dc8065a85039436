"""What one gateway asks of the authority without end costs the others no answer."""

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hesper_cloud.authority import uplink as module
from hesper_cloud.authority.refusals import AT_ONCE, REFUSED, Refusals
from hesper_cloud.authority.uplink import ANSWERED_AT_ONCE, AuthorityUplink
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Result
from hesper_cloud.pace import Pace
from hesper_cloud.settings import BrokerSettings
from hesper_contracts import requests
from hesper_contracts.frame import Kind
from hesper_contracts.requests import BlocksRequest, Request, TimeRequest
from hesper_contracts.signing import Signer
from hesper_contracts.topics import Topics
from sqlalchemy import insert, select

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Broker:
    """Takes what is published."""

    def __init__(self) -> None:
        self.answers: list[str] = []

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.answers.append(topic)


class Asking:
    """An uplink without a connection, and who asks it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        still = lambda per_s, burst: Pace(per_s, burst, lambda: 0.0)  # noqa: E731 - a clock that stands
        monkeypatch.setattr(module, "Pace", still)
        self.broker = Broker()
        self._uplink = AuthorityUplink(BrokerSettings(), "main", Signer.generate(), lambda: NOW)

    def say(self, gateway: str, payload: bytes) -> None:
        message: Any = SimpleNamespace(topic=Topics().up(gateway, Kind.REQUESTS), payload=payload)
        self._uplink._on_message(self.broker, None, message)  # type: ignore[arg-type]

    def ask(self, request: Request) -> None:
        self.say(request.gateway, requests.request_to_payload(request))


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Asking:
    return Asking(monkeypatch)


def test_a_gateway_that_floods_is_answered_at_a_pace_and_the_others_as_ever(asking: Asking) -> None:
    for number in range(1000):
        asking.ask(TimeRequest("gw-flood", f"{number:032x}"))
    asking.ask(TimeRequest("gw-1", "ab" * 16))
    answered = [topic.split("/")[2] for topic in asking.broker.answers]
    assert answered == ["gw-flood"] * ANSWERED_AT_ONCE + ["gw-1"]


def test_blocks_of_an_image_take_no_answer_from_the_time(asking: Asking) -> None:
    for first in range(1000):
        asking.ask(BlocksRequest("gw-1", "ab" * 32, first, 1))
    asking.ask(TimeRequest("gw-1", "ab" * 16))
    assert len(asking.broker.answers) == 1


def test_nobody_has_megabytes_signed(asking: Asking) -> None:
    asking.ask(TimeRequest("gw-1", "ab" * 100_000))
    assert asking.broker.answers == []


def test_nonsense_without_end_is_told_of_and_does_not_fill_the_log(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            asking.say("gw-1", b"nonsense %d" % number)
    assert 0 < len(caplog.records) <= 10


def test_refused_results_are_noted_one_by_one_and_then_by_number(head_end: Any) -> None:
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    with writing(head_end.databases.authority) as session:
        for number in range(AT_ONCE + 10):
            refusals.note(session, "gw-1", number, "why", NOW)
        refusals.note(session, "gw-2", 1, "why", NOW)
        now[0] = 60.0
        refusals.note(session, "gw-1", 99, "why", NOW)
    with reading(head_end.databases.authority) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == REFUSED)).all()
    told = [(row.actor, row.why) for row in rows]
    assert told[:AT_ONCE] == [("gw-1", "why")] * AT_ONCE
    assert told[AT_ONCE:] == [("gw-2", "why"), ("gw-1", "why; 10 before it are not noted")]


def test_a_flood_of_forged_results_fills_no_audit_log(head_end: Any) -> None:
    forged = {"command_id": "c", "gateway": "gw-1", "payload": b"{}", "received_at": NOW}
    with writing(head_end.databases.registry) as session:
        session.execute(insert(Result), [forged] * 400)
    head_end.authority.turn()
    with reading(head_end.databases.authority) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == REFUSED)).all()
    assert AT_ONCE <= len(rows) <= AT_ONCE + 2
    with reading(head_end.databases.registry) as session:
        assert set(session.scalars(select(Result.verified))) == {False}

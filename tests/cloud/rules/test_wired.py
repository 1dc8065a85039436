"""The rules where they work: in the ingest role, on batches as gateways send them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import keys
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert, Event, PowerLoss
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.run import Ingest
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules import editing
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.definition import Definition
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts import batch, events, readings
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.topics import Topics
from sqlalchemy import Engine, func, select

EPOCH = "00112233445566ff"
METER = "HES12642984"
HIGH = {"kind": "threshold", "logical_name": "1.0.31.7.0.255", "limit": "63"}
REMOVED = {"kind": "event", "codes": ["communication.module_removed"]}


@pytest.fixture
def ingest(head_end: Any, tmp_path: Path) -> Iterator[Ingest]:
    settings, registry = head_end.settings, head_end.databases.registry
    store = DuckDbStore(tmp_path / "readings.duckdb")
    signer = keys.receipt_signer(settings.keys)
    yield Ingest(settings, store, registry, signer, LatestValues())
    store.close()


def message(kind: Kind, payload: bytes) -> Message:
    topic = Topics().up("gw-1", kind)
    return Message(topic, "gw-1", kind, payload, Delivery(1, 1, 1), 0.0, time.time())


def _stored(registry: Engine) -> int:
    with reading(registry) as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def test_batches_of_a_gateway_raise_what_the_rules_say(ingest: Ingest, head_end: Any) -> None:
    registry, now = head_end.databases.registry, int(time.time())
    with writing(registry) as session:
        by = ("ben", datetime.now(UTC))
        for name, condition in (("current-high", HIGH), ("module", REMOVED)):
            said = Definition.model_validate({"title": name, "condition": condition})
            editing.save(session, Alerts(registry), name, said, (*by, ""))
            editing.set_state(session, Alerts(registry), name, "on", by)
    ingest._rules.refresh(at_once=True)
    current = Quantity(bytes((1, 0, 31, 7, 0, 255)), -1, 33)
    rows = MeterRows(METER, [now - 60], [0], [0], [[700]])
    encoding, body = readings.encode([Section(LOAD_PROFILE, now, (current,), [rows])])
    arrived = [message(Kind.READINGS, batch.seal(Kind.READINGS, encoding, EPOCH, 1, body))]
    settled, aftermath = ingest._intakes.readings.store(arrived, decode_all(arrived))
    aftermath.tell()
    at = datetime.fromtimestamp(now - 30, UTC)
    told = [
        events.Event(id=f"{METER}/{code}", code=code, occurred_at=at, meter=METER)
        for code in ("communication.module_removed", "power.last_gasp", "meter.code_4711")
    ]
    payload = events.to_payload(events.EventList(tuple(told)), EPOCH, 2)
    seen: list[int] = []
    ingest.ring_for_events(lambda: seen.append(_stored(registry)))
    settled += ingest._intakes.events.store([message(Kind.EVENTS, payload)])
    assert seen == [3]  # rung for once all are committed
    assert [each.verdict for each in settled] == ["stored", "stored"]
    with reading(registry) as session:
        raised = {(alert.rule, alert.meter) for alert in session.scalars(select(Alert))}
        assert raised == {("current-high", METER), ("module", METER)}
        assert [loss.meter for loss in session.scalars(select(PowerLoss))] == [METER]

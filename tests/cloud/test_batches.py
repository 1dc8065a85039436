"""Batches, turn by turn, on real databases with a clock that is told."""

from collections import Counter
from typing import Any

import pytest
from hesper_cloud import audit
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import AuditRow, Batch, BatchRow, CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from sqlalchemy import delete, select, update

GATEWAY, PROTECTED = "gw-1", "HES12642985"
METERS = [f"HES2000{number:04}" for number in range(12)]
BEN, CLEO = "second-pair-of-eyes", "keeper-of-the-house"


@pytest.fixture
def town(head_end, clock):
    """The head end with twelve meters more, all with a relay that was read just now."""
    papers = [
        MeterPaper(id=name, gateway=GATEWAY, logical_device_name=f"HSP{name[3:]}000000")
        for name in METERS
    ]
    commission(head_end.databases, papers)
    with writing(head_end.databases.registry) as session:
        session.execute(update(Meter).values(relay_output=True, relay_confirmed_at=clock.now))
    return head_end


def wish(**changes: Any) -> dict[str, Any]:
    terms = {"canary": 2, "wave_size": 100, "per_hour": 3_600_000, "stop_percent": 20}
    return {"kind": "relay.read", "meters": METERS, "reason": "a look", **terms, **changes}


def propose(head_end, who="ann", **changes: Any):
    row = head_end.ask(who, "batch.propose", **wish(**changes))
    assert row.state == "done", row.outcome
    return row.outcome


def decide(head_end, batch, verb="approve", who="ben", password=BEN, **changes: Any):
    digest = stored(head_end, batch["batch"]).digest
    payload = {"batch": batch["batch"], "digest": digest, "password": password, **changes}
    return head_end.ask(who, f"batch.{verb}", **payload)


def stored(head_end, batch: str) -> Batch:
    with reading(head_end.databases.authority) as session:
        return session.get_one(Batch, batch)


def rows(head_end, batch: str) -> list[BatchRow]:
    with reading(head_end.databases.authority) as session:
        query = select(BatchRow).where(BatchRow.batch == batch).order_by(BatchRow.position)
        return list(session.scalars(query))


def states(head_end, batch: str) -> dict[str, int]:
    return dict(Counter(row.state for row in rows(head_end, batch)))


def answer_all(head_end, state="confirmed", output=True, **changes: Any) -> int:
    """Answers everything that was published and not answered yet, as the gateway does."""
    answered = head_end.__dict__.setdefault("answered", set())
    new = [each for each in head_end.published() if each.id not in answered]
    for envelope in new:
        answered.add(envelope.id)
        head_end.answer(envelope, state, output=output, **changes)
    return len(new)


def turn(head_end, clock, seconds=1.0) -> None:
    clock.advance(seconds)
    head_end.authority.turn()


def test_a_batch_goes_from_proposal_over_canary_to_done(town, clock):
    batch = propose(town)
    turn(town, clock)
    assert town.outbox.sent == []
    assert decide(town, batch).outcome["state"] == "canary"
    turn(town, clock)
    assert [each.meter for each in town.published()] == METERS[:2]
    turn(town, clock, 5)
    assert states(town, batch["batch"]) == {"released": 2, "waiting": 10}

    answer_all(town)
    turn(town, clock)
    assert stored(town, batch["batch"]).state == "running"
    turn(town, clock)
    assert states(town, batch["batch"]) == {"confirmed": 2, "released": 10}
    answer_all(town)
    turn(town, clock)
    assert stored(town, batch["batch"]).state == "done"
    assert states(town, batch["batch"]) == {"confirmed": 12}
    first = town.commands()[0]
    assert (first.requester, first.approver, first.batch) == ("ann", "ben", batch["batch"])

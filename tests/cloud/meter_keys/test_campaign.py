"""Keys of many meters are renewed as a batch: two people, canary first, each by its own proof."""

from collections import Counter
from typing import Any

import pytest
from hesper_cloud import keys
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import Batch, BatchRow, MeterKeyRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.meter_keys.custody import Custody, Origin
from hesper_cloud.meter_keys.key_set import KeySet
from hesper_contracts.results import Findings
from sqlalchemy import select

METERS = [f"HES2000{number:04}" for number in range(6)]
WITHOUT = METERS[-1]
TURNS = 40


@pytest.fixture
def town(head_end: Any) -> Any:
    """Six meters more; of all but one the keys are kept."""
    papers = [
        MeterPaper(id=name, gateway="gw-1", logical_device_name=f"HSP{name[3:]}000000")
        for name in METERS
    ]
    commission(head_end.databases, papers)
    custody = Custody(keys.vault(head_end.settings.keys))
    with writing(head_end.databases.authority) as session:
        for meter in METERS[:-1]:
            held = KeySet(encryption_key=meter.encode().ljust(16), master_key=b"m" * 16)
            custody.put(session, meter, held, Origin("operator:test", "x", head_end.clock.now))
    return head_end


def propose(town: Any) -> str:
    terms = {"canary": 1, "wave_size": 10, "per_hour": 3_600_000, "stop_percent": 90}
    wish = {"kind": "keys.change", "parameters": {"renew": ["encryption_key"]}, "meters": METERS}
    asked = town.ask("ann", "batch.propose", reason="once a year", **wish, **terms)
    assert asked.state == "done", asked.outcome
    batch: str = asked.outcome["batch"]
    with reading(town.databases.authority) as session:
        digest = session.get_one(Batch, batch).digest
    approval = {"batch": batch, "digest": digest, "password": "second-pair-of-eyes"}
    assert town.ask("ben", "batch.approve", **approval).state == "done"
    return batch


def answer_as_gateway(town: Any, answered: set[str], fails: str) -> None:
    for command in town.published():
        if command.id not in answered:
            answered.add(command.id)
            has_new = command.meter != fails
            findings = Findings(keys="new" if has_new else "old")
            town.answer(command, "confirmed" if has_new else "failed", findings=findings)


def test_each_meter_gets_keys_of_its_own_and_a_row_without_keys_is_told(town):
    batch, answered = propose(town), set()
    for _ in range(TURNS):
        town.clock.advance(1)
        town.authority.turn()
        answer_as_gateway(town, answered, fails=METERS[3])
    with reading(town.databases.authority) as session:
        rows = session.scalars(select(BatchRow).where(BatchRow.batch == batch)).all()
        told = {row.meter: (row.state, row.detail or row.excluded or "") for row in rows}
        sets = session.execute(select(MeterKeyRow.meter, MeterKeyRow.version, MeterKeyRow.state))
        current = {meter: version for meter, version, state in sets if state == "current"}
    assert Counter(state for state, _ in told.values())["confirmed"] == 4
    assert told[METERS[3]][0] == "failed"
    assert "no keys of" in told[WITHOUT][1]
    assert current == {meter: 1 if meter == METERS[3] else 2 for meter in METERS[:-1]}
    assert len({command.parameters["sealed"] for command in town.published()}) == len(answered) == 5

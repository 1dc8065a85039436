"""Relay states that come with register snapshots reach the registry, the newest one wins."""

import numpy as np
import pytest
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.db.rules import RuleMemory
from hesper_cloud.ingest.relay_states import RelayStates
from hesper_cloud.quantities import LOAD_PROFILE, REGISTER_SNAPSHOT, RELAY
from hesper_cloud.services.sources import instant
from hesper_cloud.stores.port import Block, CommittedRows, Quantity
from hesper_contracts.quality import Quality
from sqlalchemy import select

METER, GATEWAY, AT = "HES12642984", "gw-1", 1_790_000_000


def rows(
    outputs: list[int], received_at: int, gateway: str = GATEWAY, profile: str = REGISTER_SNAPSHOT
) -> CommittedRows:
    count = len(outputs)
    block = Block(
        profile=profile,
        quantities=(Quantity(RELAY, 0, 255),),
        meters=(METER,),
        meter_index=np.zeros(count, dtype=np.int64),
        captured_at=received_at + np.arange(count, dtype=np.int64),
        clock_status=np.zeros(count, dtype=np.int64),
        quality=np.zeros(count, dtype=np.int64),
        received_at=received_at,
        values=np.array([outputs], dtype=np.int64),
        missing=None,
    )
    return CommittedRows(gateway, block, np.ones(count, dtype=bool), max(AT, received_at) + 1)


@pytest.fixture
def states(head_end):
    with writing(head_end.databases.registry) as session:
        meter = session.get_one(Meter, METER)
        meter.relay_confirmed_at, meter.relay_control = instant(AT), 1
    return RelayStates(head_end.databases.registry)


def shown(head_end) -> tuple[bool | None, int | None, int]:
    with reading(head_end.databases.registry) as session:
        meter = session.get_one(Meter, METER)
        return meter.relay_output, meter.relay_control, int(meter.relay_confirmed_at.timestamp())


def test_the_newest_reading_is_shown(head_end, states):
    states.rows_committed(rows([1, 0], AT + 60))
    states.flush()
    assert shown(head_end) == (False, None, AT + 60)
    states.rows_committed(rows([1], AT + 120))
    states.rows_committed(rows([0], AT + 90))
    states.flush()
    assert shown(head_end) == (True, None, AT + 120)


def test_what_only_confirms_keeps_the_control_state(head_end, states):
    states.rows_committed(rows([1], AT + 60))
    states.flush()
    assert shown(head_end) == (True, 1, AT + 60)


@pytest.mark.parametrize(
    "late",
    [
        rows([0], AT - 60),
        rows([0], AT + 60, gateway="gw-2"),
        rows([0], AT + 60, profile=LOAD_PROFILE),
    ],
    ids=["older", "another gateway", "not a snapshot"],
)
def test_what_proves_nothing_changes_nothing(head_end, states, late):
    states.rows_committed(late)
    states.flush()
    assert shown(head_end) == (True, 1, AT)


def test_a_reading_of_a_time_that_has_not_come_gives_way(head_end, states):
    states.rows_committed(rows([0], AT + 7200))
    states.flush()
    states.rows_committed(rows([1], AT + 60))
    states.flush()
    assert shown(head_end) == (True, None, AT + 60)


def foreign(output: int, received_at: int) -> CommittedRows:
    """What a gateway says of another one's meter, as ingest has marked it."""
    told = rows([output], received_at, gateway="gw-2")
    told.block.quality[:] = int(Quality.FOREIGN_GATEWAY)
    return told


def test_another_gateway_makes_no_suspect_and_hides_nothing_of_its_own(head_end, states):
    states.rows_committed(rows([0], AT + 60))
    states.flush()
    states.rows_committed(rows([0], AT + 120))
    states.rows_committed(foreign(1, AT + 130))
    states.flush()
    assert shown(head_end) == (False, None, AT + 120)
    with reading(head_end.databases.registry) as session:
        assert session.scalars(select(RuleMemory)).all() == []

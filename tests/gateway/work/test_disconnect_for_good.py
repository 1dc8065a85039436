"""Disconnecting a meter that waits for its button (IEC 62056-6-2, disconnect control)."""

from typing import Any

import pytest
from hesper_dlms.classes.control import ControlState
from hesper_sim.faults import Fault
from hesper_sim.objects.switching import push_button


@pytest.fixture
def waiting(works: Any) -> Any:
    """Return a gateway whose meter is ready for reconnection: its output is open already."""
    works.district.move_relay(works.meter, False)
    works.district.make_ready(works.meter)
    return works


async def test_the_button_does_nothing_afterwards(waiting: Any) -> None:
    async with waiting.working():
        result = await waiting.result("relay.disconnect")
    assert result.state == "confirmed"
    assert result.relay_after.control_state == ControlState.DISCONNECTED
    assert not push_button(waiting.district, waiting.meter)


async def test_where_the_meter_refuses_it_anybody_may_still_push_the_button(waiting: Any) -> None:
    waiting.district.begin(waiting.meter, Fault.RELAY_REJECTED)
    async with waiting.working():
        result = await waiting.result("relay.disconnect")
    assert result.state == "failed"
    assert result.relay_after.control_state == ControlState.READY_FOR_RECONNECTION

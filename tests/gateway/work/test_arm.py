"""Arming (IEC 62056-6-2, disconnect control): reconnection waits for the button at the meter."""

from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.obis import DISCONNECT_CONTROL as WHERE
from hesper_sim.objects.cosem_object import DISCONNECT_CONTROL
from hesper_sim.objects.switching import CONTROL_MODE, push_button


def set_mode(works: Any, mode: int) -> None:
    key = (DISCONNECT_CONTROL, WHERE, CONTROL_MODE)
    works.district.write(works.meter, key, axdr.encode(axdr.enum(mode)))


@pytest.mark.parametrize("mode", [1, 3, 5, 6])
async def test_an_armed_meter_waits_for_its_button(works: Any, mode: int) -> None:
    set_mode(works, mode)
    works.district.move_relay(works.meter, False)
    async with works.working():
        result = await works.result("relay.arm")
    assert result.state == "confirmed"
    assert (result.relay_after.output, result.relay_after.control_state) == (False, 2)
    assert not works.meter.output
    assert push_button(works.district, works.meter)
    assert works.meter.output


@pytest.mark.parametrize("mode", [0, 2, 4])
async def test_a_meter_that_would_connect_at_once_is_not_asked(works: Any, mode: int) -> None:
    set_mode(works, mode)
    works.district.move_relay(works.meter, False)
    async with works.working():
        result = await works.result("relay.arm")
    assert result.state == "failed"
    assert f"in control mode {mode} no button is waited for" in result.detail
    assert not works.meter.output


async def test_a_connected_supply_is_not_armed(works: Any) -> None:
    set_mode(works, 3)
    async with works.working():
        result = await works.result("relay.arm")
    assert (result.state, works.meter.output) == ("failed", True)
    assert "connected already" in result.detail

"""A limiter can cut a supply: four eyes, the ceilings of disconnects, and read back."""

from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.errors import ServiceError
from hesper_gateway.sessions.association import OwnAssociation
from hesper_sim.objects.cosem_object import LIMITER
from hesper_sim.objects.switching import DISCONNECT_SCRIPTS, LIMITER_NAME

WANTED = {
    "threshold_normal": 4600,
    "threshold_emergency": 1000,
    "min_over_threshold_s": 60,
    "min_under_threshold_s": 300,
    "actions": {"over": "disconnect", "under": "reconnect"},
}
APPROVED = {"approver": "bob", "parameters": WANTED}


def held(works: Any, attribute_id: int) -> bytes | None:
    key = (LIMITER, LIMITER_NAME, attribute_id)
    found: bytes | None = works.district.written(works.meter, key)
    return found


def script(number: int) -> axdr.Data:
    return axdr.structure(axdr.octet_string(DISCONNECT_SCRIPTS), axdr.long_unsigned(number))


async def test_it_is_written_and_read_back(works: Any) -> None:
    async with works.working():
        result = await works.result("limiter.write", **APPROVED)
    assert (result.state, result.detail) == ("confirmed", "")
    numbers = {4: 4600, 5: 1000, 6: 60, 7: 300}
    for attribute_id, number in numbers.items():
        assert held(works, attribute_id) == axdr.encode(axdr.double_long_unsigned(number))
    assert held(works, 11) == axdr.encode(axdr.structure(script(1), script(2)))


async def test_what_is_left_out_stays(works: Any) -> None:
    async with works.working():
        wanted = {"min_over_threshold_s": 90}
        result = await works.result("limiter.write", approver="bob", parameters=wanted)
    assert result.state == "confirmed"
    assert [number for number in range(2, 12) if held(works, number) is not None] == [6]


@pytest.mark.parametrize("approver", [None, "ann"])
async def test_one_person_alone_cannot(works: Any, approver: str | None) -> None:
    async with works.working():
        result = await works.result("limiter.write", approver=approver, parameters=WANTED)
    assert result.state == "rejected"
    assert "a second person must approve it" in result.detail
    assert works.received == 0


async def test_it_counts_against_the_ceiling_of_disconnects(works: Any) -> None:
    """Five an hour at this gateway, whichever way a supply can be cut."""
    async with works.working():
        for counter in range(1, 6):
            kind = "relay.disconnect" if counter % 2 else "limiter.write"
            changed = APPROVED if kind == "limiter.write" else {}
            await works.result(kind, counter, **changed)
        received = works.received
        result = await works.result("limiter.write", 6, **APPROVED)
        assert works.received == received
        cut = await works.result("relay.disconnect", 7)
    assert (result.state, cut.state) == ("rejected", "rejected")
    assert result.detail == "gateway ceiling: 5 disconnects within the hour, at most 5 here"


async def test_a_restart_looks_and_does_not_write_again(works: Any) -> None:
    works.silent = True
    async with works.working():
        works.give(works.command("limiter.write", **APPROVED))
        await works.until(lambda w: w.results("c-1"))
    works.silent = False
    async with works.working():
        await works.until(lambda w: w.ended("c-1"))
    assert works.ended("c-1").state == "failed"
    assert held(works, 4) is None


@pytest.mark.parametrize("silent_for", range(4, 14, 3))
async def test_a_lost_answer_is_no_guess(works: Any, silent_for: int) -> None:
    async with works.working():
        works.silent_after = works.received + silent_for
        result = await works.result("limiter.write", **APPROVED)
    is_whole = all(held(works, attribute_id) for attribute_id in (4, 5, 6, 7, 11))
    assert result.state == ("confirmed" if is_whole else "failed")


async def test_another_meter_is_not_written(works: Any) -> None:
    async with works.working(logical_device_name="HSP0000000000000"):
        result = await works.result("limiter.write", **APPROVED)
    assert result.state == "failed"
    assert held(works, 4) is None


async def test_nothing_to_write_is_rejected(works: Any) -> None:
    async with works.working():
        result = await works.result("limiter.write", approver="bob")
    assert (result.state, works.received) == ("rejected", 0)


@pytest.mark.parametrize(
    ("declined", "before"),
    [
        ((6, "duration over the threshold"), ""),
        ((4, "threshold"), "duration over the threshold, duration under the threshold"),
    ],
)
async def test_what_was_written_before_the_meter_declined_is_named(
    works: Any, monkeypatch: pytest.MonkeyPatch, declined: tuple[int, str], before: str
) -> None:
    number, name = declined
    write = OwnAssociation.set

    async def set_or_decline(self: OwnAssociation, attribute: CosemAttribute, value: Any) -> None:
        if attribute.attribute_id == number:
            raise ServiceError(3)
        await write(self, attribute, value)

    monkeypatch.setattr(OwnAssociation, "set", set_or_decline)
    async with works.working():
        result = await works.result("limiter.write", **APPROVED)
    told = f"the meter declines {name}: data-access-result 3"
    told += f"; written before it: {before}" if before else ""
    assert (result.state, result.detail) == ("failed", told)
    assert (held(works, 6) is None) is (not before)

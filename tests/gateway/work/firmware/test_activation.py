"""An image is activated when it is time, only if it is the one that was brought, and read back."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hesper_dlms.classes.keys_and_images import ImageTransferStatus as Status
from hesper_sim.faults import Fault
from hesper_sim.objects import image_transfer

BEFORE = "HSP-FW 1.4.2"


def at(works: Any, seconds: float) -> str:
    return datetime.fromtimestamp(works.now() + seconds, UTC).isoformat()


async def brought(campaign: Any) -> None:
    assert (await campaign.end_of(campaign.transfer())).state == "confirmed"


def begun(campaign: Any) -> int:
    """How often the meter has begun to activate."""
    statuses = [each["status"] for each in campaign.steps("status")]
    return statuses.count(Status.ACTIVATION_INITIATED)


async def test_it_is_activated_and_read_back(works: Any, campaign: Any) -> None:
    async with works.working():
        campaign.slowly()
        await brought(campaign)
        result = await campaign.end_of(campaign.activation())
    assert (result.state, result.detail) == ("confirmed", "")
    findings = result.findings
    assert (findings.firmware, findings.firmware_after) == (BEFORE, campaign.version)
    assert begun(campaign) == 1


@pytest.mark.parametrize("is_brought", [False, True])
async def test_what_was_not_brought_is_not_activated(
    works: Any, campaign: Any, is_brought: bool
) -> None:
    async with works.working():
        if is_brought:
            await brought(campaign)
        campaign.octets = image_transfer.build("HSP-FW 1.6.0", 8_000)
        result = await campaign.end_of(campaign.activation())
    assert result.state == "failed"
    assert "no such image" in result.detail
    assert begun(campaign) == 0


async def test_what_somebody_else_has_put_there_is_not_activated(works: Any, campaign: Any) -> None:
    async with works.working():
        await brought(campaign)
        works.district.known(works.meter).image.identifier = b"HSP-FW 9"
        result = await campaign.end_of(campaign.activation())
    assert result.state == "failed"
    assert "another image" in result.detail
    assert begun(campaign) == 0


async def test_it_waits_for_its_time(works: Any, campaign: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("hesper_gateway.firmware.activation.LONGEST_WAIT_S", 0.01)
    async with works.working():
        await brought(campaign)
        works.give(campaign.activation(at=at(works, 600)))
        ping = works.command("ping", 3)
        works.give(ping)
        await works.until(lambda w: w.ended(ping.id))
        assert begun(campaign) == 0
        works.time_s += 599
        assert works.ended("c-2") is None
        works.time_s += 1
        await works.until(lambda w: w.ended("c-2"))
    assert works.ended("c-2").state == "confirmed"


async def test_a_time_behind_the_end_of_the_command_is_rejected(works: Any, campaign: Any) -> None:
    async with works.working():
        await brought(campaign)
        result = await campaign.end_of(campaign.activation(at=at(works, 4000)))
    assert result.state == "rejected"


async def test_a_gateway_that_ends_while_it_waits_activates_when_it_is_back(
    works: Any, campaign: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("hesper_gateway.firmware.activation.LONGEST_WAIT_S", 0.01)
    async with works.working():
        await brought(campaign)
        works.give(campaign.activation(at=at(works, 600)))
        await works.until(lambda w: w.results("c-2"))
    works.time_s += 700
    async with works.working():
        await works.until(lambda w: w.ended("c-2"))
    assert works.ended("c-2").state == "confirmed"
    assert begun(campaign) == 1


async def test_a_request_whose_answer_is_lost_is_not_made_twice(works: Any, campaign: Any) -> None:
    async with works.working():
        campaign.slowly()
        await brought(campaign)
        works.give(campaign.activation())
        async with asyncio.timeout(60):
            while not begun(campaign):
                await works.heard()
        works.silent_after = works.received
        await works.until(lambda w: w.ended("c-2"))
    assert works.ended("c-2").state == "confirmed"
    assert begun(campaign) == 1


async def test_a_gateway_that_ends_while_the_meter_restarts_reads_it_back(
    works: Any, campaign: Any
) -> None:
    async with works.working():
        campaign.slowly()
        await brought(campaign)
        works.give(campaign.activation())
        async with asyncio.timeout(60):
            while not begun(campaign):
                await works.heard()
    async with works.working():
        await works.until(lambda w: w.ended("c-2"))
    assert works.ended("c-2").state == "confirmed"
    assert begun(campaign) == 1


@pytest.mark.parametrize("parameters", [{}, {"at": 0}])
async def test_a_gateway_that_is_back_too_late_tells_what_the_meter_has_done(
    works: Any, campaign: Any, parameters: dict[str, float]
) -> None:
    """It was asked in time: an order that is over is no reason to say that nothing was done."""
    said = {name: at(works, seconds) for name, seconds in parameters.items()}
    async with works.working():
        campaign.slowly()
        await brought(campaign)
        works.give(campaign.activation(**said))
        async with asyncio.timeout(60):
            while not begun(campaign):
                await works.heard()
    works.time_s += 7200
    async with works.working():
        await works.until(lambda w: w.ended("c-2"))
    assert works.ended("c-2").state == "confirmed"
    assert begun(campaign) == 1


async def test_a_gateway_that_is_back_too_late_asks_for_nothing(
    works: Any, campaign: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("hesper_gateway.firmware.activation.LONGEST_WAIT_S", 0.01)
    async with works.working():
        await brought(campaign)
        works.give(campaign.activation(at=at(works, 600)))
        await works.until(lambda w: w.results("c-2"))
    works.time_s += 7200
    async with works.working():
        await works.until(lambda w: w.ended("c-2"))
    assert works.ended("c-2").state == "expired"
    assert begun(campaign) == 0


async def test_a_meter_that_does_not_answer_holds_up_no_readings(works: Any, campaign: Any) -> None:
    """It is asked for as long as the order lasts; readings of other meters go first."""
    async with works.working():
        await brought(campaign)
        (session,) = works.sessions.values()
        works.district.begin(works.meter, Fault.OUTAGE)
        before = works.received
        works.give(campaign.activation())
        async with asyncio.timeout(60):
            while works.received == before:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.001)
        asked, still = await works.around(session.line, lambda: works.received)
    assert asked == still


async def test_an_activation_that_the_meter_cannot_do_has_failed(works: Any, campaign: Any) -> None:
    async with works.working():
        await brought(campaign)
        image = works.district.known(works.meter).image
        image.blocks[image.block_count - 1] = b"?" * 32
        result = await campaign.end_of(campaign.activation())
    assert (result.state, result.detail) == ("failed", "the meter could not activate it")
    assert result.findings.firmware_after == BEFORE


async def test_another_version_than_was_said_has_failed(works: Any, campaign: Any) -> None:
    async with works.working(times={"activation_s": 0.2}):
        await brought(campaign)
        result = await campaign.end_of(campaign.activation(version="HSP-FW 1.5.1"))
    assert result.state == "failed"
    assert result.findings.firmware_after == campaign.version


async def test_a_meter_never_goes_back_below_what_it_runs(works: Any, campaign: Any) -> None:
    async with works.working():
        await brought(campaign)
        result = await campaign.end_of(campaign.activation(version="HSP-FW 1.4.1"))
    assert (result.state, begun(campaign)) == ("failed", 0)
    assert "older than 'HSP-FW 1.4.2'" in result.detail


async def test_a_meter_that_does_not_come_back_is_unknown(works: Any, campaign: Any) -> None:
    async with works.working(times={"activation_s": 0.2}):
        await brought(campaign)
        works.district.later = lambda _seconds, _then: None
        works.give(campaign.activation())
        async with asyncio.timeout(60):
            while not begun(campaign):
                await works.heard()
        works.district.begin(works.meter, Fault.OUTAGE)
        await works.until(lambda w: w.ended("c-2"))
    assert works.ended("c-2").state == "unknown"


async def test_another_meter_is_not_activated(works: Any, campaign: Any) -> None:
    async with works.working():
        await brought(campaign)
        works.district.begin(works.meter, Fault.WRONG_NAME)
        result = await campaign.end_of(campaign.activation())
    assert result.state == "failed"
    assert begun(campaign) == 0

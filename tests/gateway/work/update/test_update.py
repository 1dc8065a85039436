"""A gateway goes over to another version of itself, or is back at the old one by itself."""

from typing import Any

import pytest
from hesper_contracts.frame import Kind
from hesper_gateway.presence import installed_version

pytestmark = pytest.mark.integration

OLD = installed_version()
BROKEN = "raise RuntimeError('this version is broken')\n"


async def test_a_good_version_stays(updated: Any) -> None:
    updated.launch()
    await updated.started()
    assert updated.version() == OLD
    await updated.order()
    result = await updated.ended()
    assert (result.state, result.findings.firmware_after) == ("confirmed", "9.9.9")
    assert (updated.version(), updated.state.current, updated.state.trial) == ("9.9.9", "a", None)
    assert updated.stop() == 0
    updated.launch()
    await updated.started()
    assert updated.version() == "9.9.9"


async def test_one_that_does_not_start_is_left(updated: Any, make_bundle: Any) -> None:
    updated.octets = make_bundle(app=("", BROKEN))
    updated.launch()
    await updated.started()
    await updated.order()
    result = await updated.ended()
    assert result.state == "failed"
    assert "did not prove itself in 3 starts" in result.detail
    assert (updated.version(), updated.state.current) == (OLD, "")


async def test_one_that_does_not_reach_the_broker_is_left(updated: Any, make_bundle: Any) -> None:
    updated.octets = make_bundle(broker_link=("        account.port,", "        1,"))
    updated.trial_s = 3
    updated.launch()
    await updated.started()
    await updated.order()
    result = await updated.ended()
    assert result.state == "failed"
    assert "did not prove itself within 3 s" in result.detail
    assert (updated.version(), updated.state.current) == (OLD, "")


async def test_one_that_reads_no_meter_is_left(updated: Any) -> None:
    updated.trial_s = 3
    updated.launch()
    await updated.started()
    updated.works.silent = True
    await updated.order()
    result = await updated.ended()
    assert (result.state, updated.state.current) == ("failed", "")


async def test_one_that_gets_no_receipt_is_left(updated: Any) -> None:
    updated.trial_s = 3
    updated.launch()
    await updated.started()
    updated.cloud.generous = False
    await updated.order()
    await updated.until(lambda: updated.state.last is not None)
    assert "did not prove itself" in updated.state.last.why
    updated.cloud.generous = True
    assert (await updated.ended()).state == "failed"


async def test_no_configuration_is_taken_that_the_version_before_may_not_understand(
    updated: Any,
) -> None:
    updated.launch()
    await updated.started()
    updated.cloud.generous = False
    await updated.order()
    await updated.until(lambda: updated.state.trial is not None)
    await updated.cloud.until(lambda c: updated.version() == "9.9.9", 120)
    old = updated.config.read_text()
    configure = {"kind": "gateway.configure", "parameters": {"toml": f"{old}\n"}}
    await updated.order(id="c-2", counter=2, image_hash=None, **configure)
    result = await updated.ended("c-2")
    assert (result.state, updated.config.read_text()) == ("failed", old)
    assert "this version is on trial" in result.detail
    updated.cloud.generous = True
    assert (await updated.ended()).state == "confirmed"


async def test_power_cut_in_mid_download_and_on_trial(updated: Any) -> None:
    updated.cloud.blocks_left = 5
    updated.launch()
    await updated.started()
    await updated.order()
    part = updated.works.folder / "state" / "images" / f"{updated.image_hash}.part"
    await updated.until(lambda: part.exists() and part.stat().st_size >= 5 * 16384)
    updated.cut_power()
    updated.cloud.blocks_left = 10**6
    updated.launch()
    await updated.until(lambda: updated.state.trial is not None and updated.state.trial.starts == 1)
    updated.cut_power()
    assert updated.state.current == ""
    updated.launch()
    result = await updated.ended()
    assert (result.state, updated.state.current) == ("confirmed", "a")
    assert updated.version() == "9.9.9"


async def test_what_is_not_taken(updated: Any) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"sealed_by": ()}, "needs 2 release keys"),
        ({"sealed_by": updated.works.releases[:1]}, "needs 2 release keys"),
        ({"said": {"type": "meter"}}, "for a meter"),
        ({"said": {"hardware": "z80"}}, "this gateway is"),
        ({"said": {"version": OLD}}, "already"),
        ({"said": {"minimum_version": "9.0"}}, "or later"),
        ({"said": {"version": "0.0.9"}}, "older than"),
        ({"image_hash": "ab" * 32}, "another image"),
        ({"approver": None}, "a second person"),
    ]
    updated.launch()
    await updated.started()
    for number, (changes, reason) in enumerate(refusals, 1):
        await updated.order(id=f"c-{number}", counter=number, **changes)
        result = await updated.ended(f"c-{number}")
        assert result.state == "rejected"
        assert reason in result.detail
    assert not [each for each in updated.cloud.of(Kind.REQUESTS) if b"blocks" in each]

"""An image comes to the gateway, goes to the meter block by block, and is verified there."""

from typing import Any

BLOCK_COUNT = 250


async def test_an_image_is_brought_and_verified(works: Any, campaign: Any) -> None:
    async with works.working():
        result = await campaign.end_of(campaign.transfer())
    assert (result.state, result.detail) == ("confirmed", "")
    image = result.findings.image
    assert (image.status, image.block_count, image.sent_count) == (3, BLOCK_COUNT, BLOCK_COUNT)
    assert result.findings.firmware == "HSP-FW 1.4.2"
    assert campaign.blocks_kept() == list(range(BLOCK_COUNT))
    assert len(campaign.steps("initiate")) == 1


async def test_it_is_activated_and_read_back(works: Any, campaign: Any) -> None:
    async with works.working():
        assert (await campaign.end_of(campaign.transfer())).state == "confirmed"
        result = await campaign.end_of(campaign.activation())
    assert (result.state, result.detail) == ("confirmed", "")
    findings = result.findings
    assert (findings.firmware, findings.firmware_after) == ("HSP-FW 1.4.2", campaign.version)

"""An image goes to the meter block by block, whatever comes between, and is verified there."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hesper_contracts.frame import Kind
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.classes.keys_and_images import ImageTransferStatus as Status
from hesper_gateway.counters import Counter
from hesper_gateway.database import StorageFull
from hesper_gateway.firmware.records import Step
from hesper_gateway.firmware.transfer import Act, decide
from hesper_gateway.sessions.image_transfer import ImageTransfer
from hesper_sim.faults import Fault
from hesper_sim.objects import image_transfer
from hesper_sim.objects.cosem_object import IMAGE_TRANSFER

BLOCK_COUNT = 40


async def test_an_image_is_brought_and_verified(works: Any, campaign: Any) -> None:
    async with works.working():
        result = await campaign.end_of(campaign.transfer())
    assert (result.state, result.detail) == ("confirmed", "")
    image = result.findings.image
    assert (image.status, image.block_count, image.sent_count) == (3, BLOCK_COUNT, BLOCK_COUNT)
    assert result.findings.firmware == "HSP-FW 1.4.2"
    assert campaign.blocks_kept() == list(range(BLOCK_COUNT))
    assert len(campaign.steps("initiate")) == 1


async def test_a_gateway_that_ends_at_any_block_goes_on_there(works: Any, campaign: Any) -> None:
    for kept in (1, 13, 27):
        async with works.working():
            if kept == 1:
                works.give(campaign.transfer())
            await campaign.until_kept(kept)
    async with works.working():
        await works.until(lambda w: w.ended("c-1"))
    assert works.ended("c-1").state == "confirmed"
    assert len(campaign.steps("initiate")) == 1
    assert campaign.blocks_kept() == list(range(BLOCK_COUNT))
    assert len(works.asked_for) == 1


async def test_a_meter_without_power_keeps_what_it_has(works: Any, campaign: Any) -> None:
    works.district.begin(works.meter, Fault.POWER_CUT, 17)
    boots = works.meter.boots
    async with works.working():
        result = await campaign.end_of(campaign.transfer())
    assert works.meter.boots == boots + 1
    assert result.state == "confirmed"
    assert len(campaign.steps("initiate")) == 1
    assert campaign.blocks_kept() == list(range(BLOCK_COUNT))


async def test_a_meter_that_is_silent_is_waited_for(works: Any, campaign: Any) -> None:
    async with works.working():
        works.give(campaign.transfer())
        await campaign.until_kept(5)
        works.silent_after = works.received + 3
        await works.until(lambda w: w.ended("c-1"))
    assert works.ended("c-1").state == "confirmed"
    assert sorted(set(campaign.blocks_kept())) == list(range(BLOCK_COUNT))
    assert len(campaign.steps("initiate")) == 1


async def test_a_command_that_ends_before_is_carried_on_by_a_later_one(
    works: Any, campaign: Any
) -> None:
    async with works.working():
        works.give(campaign.transfer(lasts_s=60))
        await campaign.until_kept(20)
        works.time_s += 61
        await works.until(lambda w: w.ended("c-1"))
        first = works.ended("c-1")
        second = await campaign.end_of(campaign.transfer(2))
    assert (first.state, second.state) == ("failed", "confirmed")
    assert "not valid after" in first.detail
    sent = first.findings.image.sent_count, second.findings.image.sent_count
    assert sum(sent) == BLOCK_COUNT
    assert len(campaign.steps("initiate")) == 1


async def test_a_full_disk_is_waited_for(
    works: Any, campaign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = iter([True] * 3)
    use = Counter.__call__

    def counted(self: Counter) -> int:
        if len(campaign.blocks_kept()) == 7 and next(full, False):
            raise StorageFull("no room")
        return use(self)

    monkeypatch.setattr(Counter, "__call__", counted)
    async with works.working():
        result = await campaign.end_of(campaign.transfer())
    assert result.state == "confirmed"
    assert campaign.blocks_kept() == list(range(BLOCK_COUNT))


async def test_a_transfer_that_is_switched_off_at_the_meter_is_left_so(
    works: Any, campaign: Any
) -> None:
    switched_off = (IMAGE_TRANSFER, obis.IMAGE_TRANSFER, 5)
    works.district.write(works.meter, switched_off, axdr.encode(axdr.boolean(False)))
    async with works.working():
        result = await campaign.end_of(campaign.transfer())
    assert (result.state, campaign.steps("initiate")) == ("failed", [])
    assert "switched off" in result.detail


@pytest.mark.parametrize(
    ("step", "status", "act"),
    [
        (None, Status.NOT_INITIATED, Act.BEGIN),
        (None, Status.INITIATED, Act.BEGIN),
        (Step.BEGINNING, Status.INITIATED, Act.BEGIN),
        (Step.SENDING, Status.INITIATED, Act.SEND),
        (Step.SENDING, Status.NOT_INITIATED, Act.BEGIN),
        (Step.VERIFYING, Status.VERIFICATION_INITIATED, Act.WAIT),
        (Step.VERIFYING, Status.VERIFICATION_SUCCESSFUL, Act.COMPARE),
        (Step.VERIFYING, Status.VERIFICATION_FAILED, Act.FAIL),
        (Step.REFUSED, Status.VERIFICATION_FAILED, Act.BEGIN),
        (Step.VERIFIED, Status.VERIFICATION_SUCCESSFUL, Act.COMPARE),
        (Step.ACTIVATED, Status.ACTIVATION_SUCCESSFUL, Act.BEGIN),
        (Step.VERIFIED, Status.ACTIVATION_INITIATED, Act.FAIL),
    ],
)
def test_what_is_known_and_what_the_meter_says_decide(
    step: Step | None, status: Status, act: Act
) -> None:
    assert decide(step, status) is act


async def test_another_image_is_begun_anew(works: Any, campaign: Any) -> None:
    async with works.working():
        works.give(campaign.transfer(lasts_s=60))
        await campaign.until_kept(20)
        works.time_s += 61
        await works.until(lambda w: w.ended("c-1"))
        campaign.version = "HSP-FW 1.6.0"
        campaign.octets = image_transfer.build(campaign.version, 8_000)
        campaign.offer()
        result = await campaign.end_of(campaign.transfer(2))
    assert (result.state, result.findings.image.sent_count) == ("confirmed", BLOCK_COUNT)
    assert len(campaign.steps("initiate")) == 2


async def test_a_meter_that_was_begun_with_by_others_is_begun_anew(
    works: Any, campaign: Any
) -> None:
    """Nobody knows whose blocks it has; the meter does not say."""
    async with works.working():
        assert (await campaign.end_of(campaign.transfer())).state == "confirmed"
    await works.database.write(lambda c: c.execute("DELETE FROM image_transfers"))
    async with works.working():
        assert (await campaign.end_of(campaign.transfer(2))).state == "confirmed"
    assert len(campaign.steps("initiate")) == 2


async def test_an_image_that_the_meter_finds_wrong_has_failed(works: Any, campaign: Any) -> None:
    campaign.octets = campaign.octets[:-1] + b"?"
    campaign.offer()
    async with works.working():
        first = await campaign.end_of(campaign.transfer())
        second = await campaign.end_of(campaign.transfer(2))
    for result in (first, second):
        assert result.state == "failed"
        assert "found it wrong" in result.detail
    assert len(campaign.steps("initiate")) == 2


async def test_a_meter_that_never_comes_to_verify_has_failed(
    works: Any, campaign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def busy(_: ImageTransfer) -> bool:
        asked.append(True)
        return False

    monkeypatch.setattr(ImageTransfer, "verify", busy)
    async with works.working(times={"verification_s": 0.2}):
        result = await campaign.end_of(campaign.transfer())
    assert result.state == "failed"
    assert "busy with the image for too long" in result.detail
    assert campaign.blocks_kept() == list(range(BLOCK_COUNT))
    assert len(asked) > 1


async def test_another_maker_s_image_has_failed(works: Any, campaign: Any) -> None:
    campaign.octets = b"OTHERMAKER" + campaign.octets
    campaign.offer()
    async with works.working():
        result = await campaign.end_of(campaign.transfer())
    assert (result.state, result.findings.image.sent_count) == ("failed", 0)
    assert "block 0" in result.detail


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"hardware": "HSP-9"}, "HSP-9"),
        ({"minimum_version": "HSP-FW 1.4.10"}, "1.4.10"),
        ({"minimum_version": "OTHER 1.0.0"}, "OTHER"),
        ({"signature": "00"}, "another image"),
    ],
)
async def test_an_image_that_is_not_for_the_meter(
    works: Any, campaign: Any, change: dict[str, str], why: str
) -> None:
    async with works.working():
        result = await campaign.end_of(campaign.transfer(**change))
    assert result.state == "failed"
    assert why in result.detail
    if "signature" not in change:
        assert not campaign.steps("initiate")


async def test_what_the_image_asks_of_the_meter_holds(works: Any, campaign: Any) -> None:
    model = f"Hesper HSP-3 {works.plan.kind}"
    asked = {"hardware": model, "minimum_version": "HSP-FW 1.4", "signature": None}
    asked["signature"] = campaign.octets[-32:].hex()
    async with works.working():
        result = await campaign.end_of(campaign.transfer(**asked))
    assert (result.state, result.detail) == ("confirmed", "")


async def test_another_meter_gets_no_image(works: Any, campaign: Any) -> None:
    works.district.begin(works.meter, Fault.WRONG_NAME)
    async with works.working():
        result = await campaign.end_of(campaign.transfer())
    assert result.state == "failed"
    assert not campaign.steps("initiate")


@pytest.mark.parametrize("kind", ["transfer", "activation"])
async def test_after_its_own_date_an_image_is_not_touched(
    works: Any, campaign: Any, kind: str
) -> None:
    async with works.working():
        result = await campaign.end_of(getattr(campaign, kind)(not_after=campaign.not_after(-1)))
    assert result.state == "expired"
    assert "image is not valid" in result.detail
    assert (works.received, works.asked_for) == (0, [])


async def test_a_meter_without_image_transfer_is_not_asked(works: Any, campaign: Any) -> None:
    async with works.working(objects={"image_transfer": None}):
        result = await campaign.end_of(campaign.transfer())
    assert result.state == "rejected"
    assert works.received == 0


async def test_readings_and_commands_go_on_between_blocks(works: Any, campaign: Any) -> None:
    """One line: commands have it after the block under way, readings after the slice."""
    works.slice_s, works.answers_after_s = 0.3, 0.02
    campaign.octets = image_transfer.build(campaign.version, 12_000)
    campaign.offer()
    since, until = (datetime.fromtimestamp(works.START - ago, UTC).isoformat() for ago in (3600, 0))
    asked = {"profile": "1.0.99.1.0.255", "since": since, "until": until}
    async with works.working():
        works.give(campaign.transfer())
        await campaign.until_kept(3)
        ping = works.command("ping", 2)
        works.give(ping)
        works.give(works.command("read.profile", 3, parameters=asked))
        await works.until(lambda w: w.ended("c-2") and w.ended("c-3"))
        under_way = len(campaign.blocks_kept())
        works.answers_after_s = 0.0
        await works.until(lambda w: w.ended("c-1"))
    assert [works.ended(f"c-{n}").state for n in (1, 2, 3)] == ["confirmed"] * 3
    assert under_way < len(campaign.blocks_kept()) == 60
    assert works.captured_at(obis.LOAD_PROFILE_1)
    assert len(works.sent(Kind.READINGS)) >= 1


async def test_an_order_of_a_later_release_waits_for_that_release(
    works: Any, campaign: Any
) -> None:
    """Its journal says what this release has no word for; it goes on with everything else."""
    async with works.working():
        works.give(campaign.transfer())
        await campaign.until_kept(2)

    def later(connection: Any) -> None:
        rewritten = "json_set(CAST(command AS TEXT), '$.parameters.colour', 'red')"
        connection.execute(f"UPDATE commands SET command = CAST({rewritten} AS BLOB)")

    await works.database.write(later)
    async with works.working():
        assert (await works.result("ping", 2)).state == "confirmed"
        assert works.alarms == ["gateway.command_refused"]
    assert works.ended("c-1") is None


@pytest.mark.parametrize("column", ["image = '{}'", "step = 'polished'"])
async def test_a_record_of_a_later_release_counts_as_none(
    works: Any, campaign: Any, column: str
) -> None:
    async with works.working():
        await campaign.end_of(campaign.transfer())
        await works.database.write(lambda c: c.execute(f"UPDATE image_transfers SET {column}"))
        assert (await campaign.end_of(campaign.transfer(2))).state == "confirmed"
    assert len(campaign.steps("initiate")) == 2


class Told:
    """The association of a meter with tiny blocks that tells nothing of those it has."""

    async def get(self, attribute: CosemAttribute) -> axdr.Data:
        return axdr.double_long_unsigned(0)


async def test_no_meter_s_word_on_its_blocks_fills_the_memory() -> None:
    missing = await ImageTransfer(Told(), bytes(6)).missing(2**40)  # type: ignore[arg-type]
    assert (len(missing), missing[0], missing[-1]) == (2**40, 0, 2**40 - 1)


async def test_a_reading_goes_before_every_image_that_waits(works: Any, campaign: Any) -> None:
    """Many meters of a line may be given an image at once; their slices would add up."""
    async with works.working():
        (session,) = works.sessions.values()
        works.give(campaign.transfer())
        begun = await works.around(session.line, lambda: len(campaign.steps("initiate")))
        await works.until(lambda w: w.ended("c-1"))
    assert begun == (0, 0)
    assert works.ended("c-1").state == "confirmed"


async def test_a_relay_does_not_wait_for_blocks(works: Any, campaign: Any) -> None:
    works.answers_after_s = 0.02
    campaign.octets = image_transfer.build(campaign.version, 12_000)
    campaign.offer()
    async with works.working():
        works.give(campaign.transfer())
        await campaign.until_kept(3)
        works.give(works.command("relay.disconnect", 2, approver="bob"))
        async with asyncio.timeout(60):
            while works.meter.output:
                await works.heard()
        assert len(campaign.blocks_kept()) < 60
        works.answers_after_s = 0.0
        await works.until(lambda w: w.ended("c-1") and w.ended("c-2"))
    assert works.ended("c-2").state == "confirmed"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sealed_by": ()}, "needs 2 release keys"),
        ({"said": {"size": 1}}, "something else"),
        ({"said": {"image_hash": "ab" * 32}}, "another image"),
        ({"said": {"type": "gateway"}}, "for a gateway"),
    ],
)
async def test_what_two_release_keys_have_not_signed_is_never_asked_for(
    works: Any, campaign: Any, changes: dict[str, Any], reason: str
) -> None:
    async with works.working():
        result = await campaign.end_of(campaign.transfer(**changes))
    assert (result.state, works.asked_for) == ("rejected", [])
    assert reason in result.detail


async def test_one_release_key_is_not_enough(works: Any, campaign: Any) -> None:
    async with works.working():
        result = await campaign.end_of(campaign.transfer(sealed_by=works.releases[:1]))
    assert (result.state, works.asked_for) == ("rejected", [])
    assert works.releases[0].key_id in result.detail


@pytest.mark.parametrize(
    ("version", "why"),
    [("HSP-FW 1.4.2", "already"), ("HSP-FW 1.4.1", "older than"), ("HSP-FW 1.3.99", "older than")],
)
async def test_what_the_meter_runs_already_or_has_left_behind_is_not_brought(
    works: Any, campaign: Any, version: str, why: str
) -> None:
    async with works.working():
        result = await campaign.end_of(campaign.transfer(said={"version": version}))
    assert (result.state, campaign.steps("initiate")) == ("failed", [])
    assert why in result.detail

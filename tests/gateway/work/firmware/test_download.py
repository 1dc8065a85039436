"""Images come block by block, count by their SHA-256, and take only the room they may."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from hesper_contracts import blocks, requests
from hesper_contracts.blocks import BLOCK_OCTETS
from hesper_contracts.frame import Kind, Refused
from hesper_gateway.errors import CommandExpired
from hesper_gateway.firmware import Downloads, ImageStore, Limits
from hesper_gateway.firmware.images import ImageUnusable, NoRoom, Wanted

IMAGE = bytes(range(256)) * 300
WANTED = Wanted(hashlib.sha256(IMAGE).hexdigest(), len(IMAGE))
LAST = WANTED.block_count - 1


class Cloud:
    """Answers requests for blocks as a test wants it."""

    def __init__(self, folder: Path, quota_octets: int = 10**6, octets_per_s: int = 10**9) -> None:
        self.asked: list[tuple[int, int]] = []
        self.alarms: list[str] = []
        self.lost: set[int] = set()
        self.altered = False
        self.was_asked = asyncio.Event()
        self.store = ImageStore(folder / "images", quota_octets, left_free_octets=0)
        self.downloads = Downloads(
            "gw-1",
            self.store,
            Limits(octets_per_s, 3, (0.02,)),
            lambda code, _: self.alarms.append(code),
        )
        self.downloads.publish = self.answer
        self.downloads.connected.set()

    async def answer(self, kind: Kind, payload: bytes) -> bool:
        request = requests.request_from_payload(payload, "gw-1")
        self.asked.append((request.first, request.count))
        self.was_asked.set()
        for block in reversed(blocks.answers(request, IMAGE)):
            number = blocks.from_payload(block).number
            if number in self.lost:
                self.lost.discard(number)
                continue
            said = block[:-1] + b"?" if self.altered else block
            self.downloads.receive(said)
            self.downloads.receive(said)
        self.altered = False
        return True

    async def fetch(self, wanted: Wanted = WANTED) -> None:
        async with asyncio.timeout(60):
            await self.downloads.fetch(wanted, lambda: None)


async def test_blocks_out_of_order_and_doubled_make_the_image(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    await cloud.fetch()
    assert cloud.asked == [(0, 3), (3, 2)]
    assert cloud.store.read(WANTED, 0, len(IMAGE)) == IMAGE
    await cloud.fetch()
    assert len(cloud.asked) == 2


async def test_what_did_not_come_is_asked_for_again(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.lost = {1, LAST}
    await cloud.fetch()
    assert cloud.asked == [(0, 3), (1, 3), (4, 1), (4, 1)]


async def test_altered_blocks_are_thrown_away_and_told(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.altered = True
    await cloud.fetch()
    assert cloud.alarms == ["gateway.image_altered"]
    assert cloud.store.is_whole(WANTED)


async def test_what_is_never_right_is_given_up(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    wrong = Wanted("ab" * 32, len(IMAGE))
    with pytest.raises(ImageUnusable):
        await cloud.fetch(wrong)
    assert len(cloud.alarms) == 2
    assert list((tmp_path / "images").iterdir()) == []


async def test_after_a_power_cut_the_last_block_is_asked_for_again(tmp_path: Path) -> None:
    before = Cloud(tmp_path)
    assert before.store.begin(WANTED) == 0
    before.store.append(WANTED, IMAGE[:BLOCK_OCTETS])
    before.store.append(WANTED, IMAGE[BLOCK_OCTETS : 2 * BLOCK_OCTETS])
    before.store.append(WANTED, b"torn")
    cloud = Cloud(tmp_path)
    await cloud.fetch()
    assert cloud.asked == [(2, 3)]


async def test_a_whole_part_without_its_name_needs_one_block(tmp_path: Path) -> None:
    before = Cloud(tmp_path)
    before.store.begin(WANTED)
    before.store.append(WANTED, IMAGE)
    cloud = Cloud(tmp_path)
    await cloud.fetch()
    assert cloud.asked == [(LAST, 1)]


async def test_an_image_that_decayed_on_the_card_comes_again(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    await cloud.fetch()
    (path,) = (tmp_path / "images").iterdir()
    path.write_bytes(IMAGE[:-1] + b"?")
    await cloud.fetch()
    assert path.read_bytes() == IMAGE


async def test_a_command_whose_time_is_over_ends_and_keeps_what_came(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.lost = {2}

    def permit() -> None:
        if cloud.asked:
            raise CommandExpired("over")

    with pytest.raises(CommandExpired):
        await cloud.downloads.fetch(WANTED, permit)
    assert cloud.store.begin(WANTED) == 1


async def test_a_broker_that_repeats_one_block_for_ever_holds_no_command(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.lost = {0}
    again = blocks.answers(requests.BlocksRequest("gw-1", WANTED.image_hash, 1, 1), IMAGE)[0]

    async def repeat() -> None:
        while True:
            cloud.downloads.receive(again)
            await asyncio.sleep(0.002)

    def permit() -> None:
        if cloud.asked:
            raise CommandExpired("over")

    repeating = asyncio.create_task(repeat())
    try:
        async with asyncio.timeout(60):
            with pytest.raises(CommandExpired):
                await cloud.downloads.fetch(WANTED, permit)
    finally:
        repeating.cancel()


async def test_who_waits_for_another_s_download_ends_in_time_too(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.lost = set(range(1000))

    def expired() -> None:
        raise CommandExpired("over")

    fetching = asyncio.create_task(cloud.downloads.fetch(WANTED, lambda: None))
    async with asyncio.timeout(60):
        await cloud.was_asked.wait()
        permits = iter([lambda: None, expired])
        with pytest.raises(CommandExpired):
            await cloud.downloads.fetch(WANTED, lambda: next(permits)())
        assert await asyncio.wait_for(fetching, 5) is None


async def test_old_images_make_room_and_those_in_use_do_not(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, quota_octets=len(IMAGE) + 100)
    await cloud.fetch()
    other = Wanted("ab" * 32, 200)
    with cloud.store.using(WANTED), pytest.raises(NoRoom):
        cloud.store.begin(other)
    assert cloud.store.is_whole(WANTED)
    cloud.store.begin(other)
    assert not cloud.store.is_whole(WANTED)


async def test_the_disk_is_left_to_the_readings(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, 10**6, left_free_octets=1 << 60)
    with pytest.raises(NoRoom, match="too full"):
        store.begin(WANTED)


async def test_a_size_that_is_not_the_image_s_is_refused(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    await cloud.fetch()
    with pytest.raises(ImageUnusable, match="were signed"):
        await cloud.fetch(Wanted(WANTED.image_hash, len(IMAGE) - 1))


async def test_it_is_asked_for_at_its_pace(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, octets_per_s=4 * len(IMAGE))
    clock = asyncio.get_running_loop().time
    began = clock()
    await cloud.fetch()
    assert clock() - began >= 3 * BLOCK_OCTETS / (4 * len(IMAGE))


async def test_what_is_no_block_is_refused_and_what_nobody_wants_is_dropped(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    with pytest.raises(Refused):
        cloud.downloads.receive(b"HB1o")
    cloud.downloads.receive(blocks.to_payload(blocks.ImageBlock("ab" * 32, 0, b"x")))

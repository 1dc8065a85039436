"""Images come over the broker, block by block, when this gateway asks for them.

Theory of operation
-------------------
A run of blocks is asked for, no more than may be under way at once; the answers come in any order
and are appended in theirs. What does not come in time is asked for again, with growing pauses, as
long as the command that wants the image is valid. All requests together keep below the configured
octets a second, so that images never crowd out readings on the cell's uplink.

What was put together counts by its SHA-256. If that is another, somebody has altered or mixed up
blocks: all is thrown away, a person is told, and it is tried once more.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hesper_contracts import blocks, requests
from hesper_contracts.blocks import BLOCK_OCTETS, ImageBlock
from hesper_contracts.frame import Kind
from hesper_contracts.requests import BlocksRequest

from hesper_gateway.firmware.images import ImageStore, ImageUnusable, Wanted
from hesper_gateway.sessions import Permit

log = logging.getLogger(__name__)

ATTEMPTS = 2
ASK_AGAIN_S = (10.0, 20.0, 60.0)

Publish = Callable[[Kind, bytes], Awaitable[bool]]
Alarm = Callable[[str, str], None]
"""Takes an event code and a text; returns at once."""


@dataclass(slots=True)
class Limits:
    """How much is asked for.

    Attributes:
        octets_per_s: Most that all requests together ask for, on average.
        blocks_in_flight: Most blocks that are asked for and have not come.
        ask_again_s: After how long a silence it is asked again; the last one for ever.
    """

    octets_per_s: int
    blocks_in_flight: int
    ask_again_s: tuple[float, ...] = field(default=ASK_AGAIN_S)


class Pace:
    """Spreads octets over time; the loop's clock counts."""

    def __init__(self, octets_per_s: int) -> None:
        self._octets_per_s = octets_per_s
        self._free_at = 0.0

    async def take(self, octets: int) -> None:
        """Return when so many octets may come."""
        now = asyncio.get_running_loop().time()
        begins_at = max(now, self._free_at)
        self._free_at = begins_at + octets / self._octets_per_s
        await asyncio.sleep(begins_at - now)


class Downloads:
    """Fetches images for whoever wants them, each image once.

    Args:
        gateway: This gateway's name.
        store: Where images are kept.
        limits: How much is asked for.
        alarm: Told when what came is not what was signed.

    Attributes:
        publish: Publishes a request; set when there is an uplink.
        connected: Set while there is a broker; likewise.
    """

    def __init__(self, gateway: str, store: ImageStore, limits: Limits, alarm: Alarm) -> None:
        self.publish: Publish = _nowhere
        self.connected = asyncio.Event()
        self.store = store
        self._gateway = gateway
        self._limits = limits
        self._alarm = alarm
        self._pace = Pace(limits.octets_per_s)
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._arrived: dict[str, asyncio.Queue[ImageBlock]] = {}

    def receive(self, payload: bytes) -> None:
        """Take a payload of ``down/blocks``; what nobody waits for is dropped.

        Raises:
            Refused: it is not a block.
        """
        block = blocks.from_payload(payload)
        waiting = self._arrived.get(block.image_hash)
        if waiting is not None and not waiting.full():
            waiting.put_nowait(block)

    async def fetch(self, wanted: Wanted, permit: Permit) -> None:
        """Return when the image is here, as it was signed.

        Raises:
            CommandExpired: by ``permit``; what has come is kept.
            NoRoom: there is no room for it.
            ImageUnusable: what comes is not what was signed.
        """
        async with self._turn(wanted.image_hash, permit):
            if await asyncio.to_thread(self.store.is_whole, wanted):
                return
            for _ in range(ATTEMPTS):
                await self._download(wanted, permit)
                if await asyncio.to_thread(self.store.finish, wanted):
                    log.info("image %s is here, %d octets", wanted.image_hash, wanted.size)
                    return
                self._alarm("gateway.image_altered", f"not the octets of {wanted.image_hash}")
            raise ImageUnusable(f"what came is not the image {wanted.image_hash[:16]}")

    @asynccontextmanager
    async def _turn(self, image_hash: str, permit: Permit) -> AsyncIterator[None]:
        """Wait until nobody else fetches this image, as long as ``permit`` allows it."""
        lock, patience_s = self._one_at_a_time[image_hash], self._limits.ask_again_s[-1]
        while True:
            permit()
            try:
                async with asyncio.timeout(patience_s):
                    await lock.acquire()
                    break
            except TimeoutError:
                continue
        try:
            yield
        finally:
            lock.release()

    async def _download(self, wanted: Wanted, permit: Permit) -> None:
        """Append all blocks that are not here yet."""
        arrived: asyncio.Queue[ImageBlock] = asyncio.Queue(2 * self._limits.blocks_in_flight)
        self._arrived[wanted.image_hash] = arrived
        try:
            number = await asyncio.to_thread(self.store.begin, wanted)
            silences = 0
            while number < wanted.block_count:
                permit()
                more = await self._run(wanted, number, silences)
                silences = 0 if more else silences + 1
                for octets in more:
                    await asyncio.to_thread(self.store.append, wanted, octets)
                number += len(more)
        finally:
            del self._arrived[wanted.image_hash]

    async def _run(self, wanted: Wanted, first: int, silences: int) -> list[bytes]:
        """Ask for some blocks; return what came of them without a gap."""
        count = min(self._limits.blocks_in_flight, wanted.block_count - first)
        await self._pace.take(min(count * BLOCK_OCTETS, wanted.size))
        request = BlocksRequest(self._gateway, wanted.image_hash, first, count)
        pause_s = self._limits.ask_again_s[min(silences, len(self._limits.ask_again_s) - 1)]
        clock = asyncio.get_running_loop().time
        came: dict[int, bytes] = {}
        try:
            async with asyncio.timeout(pause_s) as silence:
                await self.connected.wait()
                await self.publish(Kind.REQUESTS, requests.request_to_payload(request))
                while len(came) < count:
                    block = await self._arrived[wanted.image_hash].get()
                    is_new = first <= block.number < first + count and block.number not in came
                    if is_new and _fits(block, wanted):
                        came[block.number] = block.octets
                        silence.reschedule(clock() + pause_s)
        except TimeoutError:
            log.debug("image %s: %d of %d blocks came", wanted.image_hash, len(came), count)
        whole = next((n for n in range(first, first + count) if n not in came), first + count)
        return [came[number] for number in range(first, whole)]


def _fits(block: ImageBlock, wanted: Wanted) -> bool:
    return len(block.octets) == blocks.length(block.number, wanted.size)


async def _nowhere(_kind: Kind, _payload: bytes) -> bool:
    """There is no uplink yet."""
    return False

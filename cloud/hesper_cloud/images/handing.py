"""Hands image blocks out to the gateways that ask for them.

Theory of operation. A gateway asks for a run of blocks and asks again for what did not come. Of
each gateway only the newest run of each image is kept, and one block is under way for it at a time,
when its gateway's and its cell's turn has come: however often it asks, nothing piles up, and a
block that the broker cannot take now is dropped. The same run asked for again while it is being
answered changes nothing. Asking for what is not there costs the asker as much time as a block.
Octets are read from disk block by block; an image that is no longer what its name says is not
handed out, though nobody relies on that: the gateway counts the SHA-256.
"""

import asyncio
import logging
from collections.abc import Callable

from hesper_contracts import blocks
from hesper_contracts.blocks import BLOCK_OCTETS, ImageBlock
from hesper_contracts.requests import BlocksRequest

from hesper_cloud import metrics
from hesper_cloud.images.filling import NotKept
from hesper_cloud.images.pacing import Pacing
from hesper_cloud.images.shelf import Shelf

log = logging.getLogger(__name__)

MOST_IMAGES = 4
"""Images that one gateway is answered for at the same time."""

Publish = Callable[[str, bytes], bool]
"""Takes a gateway and a payload for its ``down/blocks``; False when it cannot be taken now."""


class Handing:
    """Answers requests for blocks; `take` and `run` belong to one event loop.

    Args:
        shelf: Where the images are.
        pacing: How fast they leave.
        publish: Where to.
    """

    def __init__(self, shelf: Shelf, pacing: Pacing, publish: Publish) -> None:
        self._shelf = shelf
        self._pacing = pacing
        self._publish = publish
        self._wanted: dict[str, dict[str, BlocksRequest]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Hand out until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def take(self, request: BlocksRequest) -> None:
        """Take what a gateway asks for; what exceeds its share is dropped, it asks again."""
        metrics.IMAGE_REQUESTS.inc()
        waiting = self._wanted.get(request.gateway)
        if waiting is not None:
            if request.image_hash in waiting or len(waiting) < MOST_IMAGES:
                waiting[request.image_hash] = request
            return
        if self._tasks is not None:
            self._wanted[request.gateway] = {request.image_hash: request}
            self._tasks.create_task(self._serve(request.gateway), name=f"blocks-{request.gateway}")

    async def _serve(self, gateway: str) -> None:
        waiting = self._wanted[gateway]
        try:
            while waiting:
                request = next(iter(waiting.values()))
                await self._answer(request)
                if waiting.get(request.image_hash) == request:
                    del waiting[request.image_hash]
        finally:
            del self._wanted[gateway]

    async def _answer(self, request: BlocksRequest) -> None:
        """Send a run of blocks, or the rest of it until another is asked for."""
        try:
            size = await asyncio.to_thread(self._size, request.image_hash)
            numbers = range(request.first, min(request.first + request.count, blocks.count(size)))
            if not numbers:
                raise NotKept(f"image {request.image_hash} has no block {request.first}")
            for number in numbers:
                if self._wanted[request.gateway].get(request.image_hash) != request:
                    return
                await self._send(request, number)
        except NotKept as missing:
            metrics.IMAGE_REFUSALS.inc()
            log.warning("%s asks for blocks in vain: %s", request.gateway, missing)
            await self._turn_of(request.gateway, BLOCK_OCTETS)

    def _size(self, image_hash: str) -> int:
        kept = self._shelf.find(image_hash)
        if not kept.is_whole:
            raise NotKept(f"the octets of image {image_hash} have not come yet")
        if not self._shelf.is_intact(image_hash):
            raise NotKept(f"image {image_hash} is not what it was: bring it again")
        return kept.said.size

    async def _send(self, request: BlocksRequest, number: int) -> None:
        offset = number * BLOCK_OCTETS
        octets = await asyncio.to_thread(self._shelf.read, request.image_hash, offset, BLOCK_OCTETS)
        await self._turn_of(request.gateway, len(octets))
        payload = blocks.to_payload(ImageBlock(request.image_hash, number, octets))
        if self._publish(request.gateway, payload):
            metrics.IMAGE_BLOCKS.inc()

    async def _turn_of(self, gateway: str, octets: int) -> None:
        clock = asyncio.get_running_loop().time
        due = self._pacing.take(gateway, octets, clock())
        await asyncio.sleep(due - clock())

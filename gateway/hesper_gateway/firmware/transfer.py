"""Bringing an image to a meter and having it verified there (Blue Book 4.4.6).

Theory of operation
-------------------
The image is first fetched and held against its signed SHA-256. Then the meter is visited turn by
turn; each turn is an association of its own that compares the logical device name, looks where the
meter stands and goes on from there, so that it makes no difference what ended the turn before: the
end of a slice, a command that waited for the line, a power cut at the meter or at the gateway.

    what we know ┐ what the meter says    → what is done
    ─────────────┴────────────────────────────────────────────────────────
    began it       INITIATED              → send what is missing, then have it verified
    began it       VERIFICATION_INITIATED → look again later
    began it       VERIFICATION_SUCCESSFUL→ compare what it would activate: done
    asked to verify VERIFICATION_FAILED   → failed
    anything       ACTIVATION_INITIATED   → failed, another image is being activated
    else           anything               → begin (image_transfer_initiate)

A meter that forgets what it had begun is begun with again, a few times. Blocks go in slices with
the priority of bulk readings, and a waiting command has the line after the block under way.
"""

import asyncio
import logging
from enum import Enum, auto

from hesper_contracts.firmware import TransferFirmware
from hesper_contracts.results import Findings, ImageFinding
from hesper_dlms.classes.keys_and_images import ImageTransferStatus as Status

from hesper_gateway.database import StorageFull
from hesper_gateway.errors import CommandExpired, MeterFailed, MeterRefused, WrongMeter
from hesper_gateway.execution import Report
from hesper_gateway.firmware.fitting import check_fits
from hesper_gateway.firmware.images import ImageUnusable, Wanted
from hesper_gateway.firmware.order import (
    Means,
    Order,
    identity_now,
    image_transfer_of,
    is_this,
    note,
)
from hesper_gateway.firmware.records import Step
from hesper_gateway.lines.line import Priority
from hesper_gateway.sessions.image_transfer import ImageTransfer
from hesper_gateway.sessions.reading import Reading

log = logging.getLogger(__name__)

MOST_BEGINNINGS = 3
_FINAL = (MeterRefused, WrongMeter, ImageUnusable)
_BEGUN = {Step.SENDING, Step.VERIFYING}
_SENT = {*_BEGUN, Step.VERIFIED, Step.ACTIVATING}


class Act(Enum):
    """What a turn does."""

    BEGIN = auto()
    SEND = auto()
    WAIT = auto()
    COMPARE = auto()
    FAIL = auto()


def decide(step: Step | None, status: Status) -> Act:
    """Return what is to be done at a meter, by what is known of this image and what it says."""
    if status is Status.ACTIVATION_INITIATED:
        return Act.FAIL
    if step in _BEGUN and status is Status.INITIATED:
        return Act.SEND
    if step in _BEGUN and status is Status.VERIFICATION_INITIATED:
        return Act.WAIT
    if step in _SENT and status is Status.VERIFICATION_SUCCESSFUL:
        return Act.COMPARE
    if step is Step.VERIFYING and status is Status.VERIFICATION_FAILED:
        return Act.FAIL
    return Act.BEGIN


class Transfer:
    """One run of one transfer; `run` it once."""

    def __init__(self, means: Means, order: Order[TransferFirmware]) -> None:
        self._means = means
        self._order = order
        self._image = order.wanted
        self._wanted = Wanted(order.image_hash, order.wanted.size)
        self._block_size = order.wanted.size
        self._status: Status | None = None
        self._firmware = ""
        self._fits = False
        self._sent_count = 0
        self._beginnings = 0
        self._looks = 0
        self._looking_since = 0.0

    async def run(self) -> Report:
        """Bring the image; what is at the meter stays there, however this ends.

        Raises:
            CommandExpired: the meter was not told of the image.
        """
        downloads, permit = self._means.downloads, self._order.permit
        try:
            with downloads.store.using(self._wanted):
                await downloads.fetch(self._wanted, permit)
                await self._visit_until_verified()
        except CommandExpired as late:
            if not self._beginnings and not self._sent_count:
                raise
            return self._report(done=False, detail=str(late))
        except MeterFailed as failed:
            return self._report(done=False, detail=str(failed))
        return self._report(done=True)

    async def _visit_until_verified(self) -> None:
        failures, pauses_s = 0, self._means.pauses_s
        pause_s: float | None = 0.0
        while pause_s is not None:
            await asyncio.sleep(pause_s)
            self._order.permit()
            try:
                pause_s = await self._order.session.line.submit(self._turn, Priority.IMAGE)
                failures = 0
            except _FINAL:
                raise
            except (MeterFailed, StorageFull) as error:
                log.info("meter %s: the image waits: %s", self._order.meter, error)
                pause_s = pauses_s[min(failures, len(pauses_s) - 1)]
                failures += 1
                self._looks = 0

    async def _turn(self) -> float | None:
        """Go on at the meter; return after how long there is more to do, None at the end."""
        session = self._order.session
        async with session.writing(self._order.expected_ldn) as reading:
            meter = image_transfer_of(session, reading)
            if not self._fits:
                await self._check(reading, meter)
            self._block_size = await meter.block_size()
            self._status = await meter.status()
            return await self._go_on(meter, self._status)

    async def _check(self, reading: Reading, meter: ImageTransfer) -> None:
        """Raise MeterRefused for an image that is not for this meter as it is."""
        identity = await identity_now(reading)
        self._firmware = identity.firmware
        check_fits(self._image, identity)
        if not await meter.is_enabled():
            raise MeterRefused("image transfer is switched off at the meter")
        self._fits = True

    async def _go_on(self, meter: ImageTransfer, status: Status) -> float | None:
        record = self._means.records.find(self._order.meter, self._order.image_hash)
        match decide(record.step if record else None, status):
            case Act.BEGIN:
                return await self._begin(meter)
            case Act.SEND:
                return await self._send(meter)
            case Act.WAIT:
                return self._look_later()
            case Act.COMPARE:
                await self._compare(meter)
                return None
            case Act.FAIL:
                if status is Status.ACTIVATION_INITIATED:
                    raise MeterRefused("the meter is activating an image")
                raise await self._refused("the meter has verified the image and found it wrong")

    async def _begin(self, meter: ImageTransfer) -> float:
        if self._beginnings == MOST_BEGINNINGS:
            raise MeterRefused("the meter forgets again and again that it was given the image")
        self._order.permit()
        await self._note(Step.BEGINNING)
        self._beginnings += 1
        if not await meter.initiate(self._image.identifier.encode(), self._image.size):
            return self._look_later()
        await self._note(Step.SENDING)
        return await self._send(meter)

    async def _send(self, meter: ImageTransfer) -> float:
        """Send missing blocks for a while; when there are none left, have them verified."""
        clock, line = asyncio.get_running_loop().time, self._order.session.line
        ends_at = clock() + self._means.slice_s
        missing = await meter.missing(self._block_count)
        for number in missing:
            if clock() >= ends_at or line.command_waiting:
                return 0.0
            self._order.permit()
            if not await meter.send(number, await self._octets(number)):
                return self._look_later()
            self._sent_count += 1
            self._looks = 0
        left = await meter.missing(self._block_count) if missing else []
        if not left:
            return await self._verify(meter)
        if len(left) >= len(missing):
            raise MeterRefused("the meter takes blocks and does not keep them")
        return 0.0

    async def _octets(self, number: int) -> bytes:
        store, size = self._means.downloads.store, self._block_size
        return await asyncio.to_thread(store.read, self._wanted, number * size, size)

    async def _verify(self, meter: ImageTransfer) -> float:
        await self._note(Step.VERIFYING)
        try:
            await meter.verify()
        except MeterRefused as declined:
            self._status = await meter.status()
            if self._status is Status.VERIFICATION_FAILED:
                raise await self._refused(str(declined)) from declined
            raise
        return self._look_later()

    async def _compare(self, meter: ImageTransfer) -> None:
        ready = await meter.ready()
        if not any(is_this(each, self._image) for each in ready):
            told = ", ".join(f"{each.identifier!r} of {each.size} octets" for each in ready)
            raise await self._refused(f"the meter has verified another image: {told or 'none'}")
        await self._note(Step.VERIFIED)

    def _look_later(self) -> float:
        """Return when to look again at a meter that is busy; it may be so for a while only."""
        now, polls_s = asyncio.get_running_loop().time(), self._means.polls_s
        if self._looks == 0:
            self._looking_since = now
        if now - self._looking_since > self._order.session.template.times.verification_s:
            raise MeterRefused("the meter has been busy with the image for too long")
        self._looks += 1
        return polls_s[min(self._looks, len(polls_s)) - 1]

    async def _refused(self, why: str) -> MeterRefused:
        await self._note(Step.REFUSED)
        return MeterRefused(why)

    async def _note(self, step: Step) -> None:
        await note(self._means, self._order, self._image, step)

    @property
    def _block_count(self) -> int:
        return -(-self._image.size // self._block_size)

    def _report(self, *, done: bool, detail: str = "") -> Report:
        image = None
        if self._status is not None:
            image = ImageFinding(int(self._status), self._block_count, self._sent_count)
        return Report(done, detail, findings=Findings(image=image, firmware=self._firmware))

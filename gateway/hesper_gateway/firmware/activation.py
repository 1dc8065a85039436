"""Activating an image that this gateway has brought, and seeing what the meter runs afterwards.

Theory of operation
-------------------
Only what our own record says was brought under the same SHA-256, and what the meter itself shows as
ready to activate, is activated. It waits for its time; then each turn looks first:

    VERIFICATION_SUCCESSFUL    ask (image_activate), unless the meter has said yes to that already
    ACTIVATION_FAILED          failed
    any, with the new version  confirmed: the active firmware identifier has been read back
    else                       once asked, look again, for as long as the template allows

The first turn comes as a command does, for the sake of its time; all later ones let everybody else
go first, or meters that do not answer would have the line to themselves.

So a request that was lost is made again only when the meter says that it has not begun, and after a
power cut of gateway or meter the errand goes on from what the meter says.
"""

import asyncio
import logging
from dataclasses import dataclass

from hesper_contracts.firmware import ActivateFirmware
from hesper_contracts.results import Findings, ImageFinding
from hesper_dlms.classes.keys_and_images import ImageTransferStatus as Status

from hesper_gateway.database import StorageFull
from hesper_gateway.errors import CommandExpired, MeterFailed, MeterRefused, WrongMeter
from hesper_gateway.execution import Report
from hesper_gateway.firmware.fitting import check_not_older
from hesper_gateway.firmware.order import (
    Means,
    Order,
    identity_now,
    image_transfer_of,
    is_this,
    note,
)
from hesper_gateway.firmware.records import Record, Step
from hesper_gateway.lines.line import Priority
from hesper_gateway.sessions.image_transfer import ImageTransfer

log = logging.getLogger(__name__)

NOT_BROUGHT = "this gateway has brought no such image to the meter, or it is not verified there"
LONGEST_WAIT_S = 30.0
_ASKED = {Step.ACTIVATING, Step.ACTIVATED}
_READY = {Step.VERIFIED, *_ASKED}
_FINAL = (MeterRefused, WrongMeter, StorageFull)
"""What ends it, as long as the meter has not been asked."""
_NOT_YET = {Status.VERIFICATION_SUCCESSFUL, Status.ACTIVATION_INITIATED}


@dataclass(frozen=True, slots=True)
class _Look:
    """What the meter said when it was last looked at."""

    status: Status
    firmware: str


class Activation:
    """One run of one activation; `run` it once."""

    def __init__(self, means: Means, order: Order[ActivateFirmware]) -> None:
        self._means = means
        self._order = order
        self._before = ""
        self._last: _Look | None = None
        self._asked_at: float | None = None
        self._taken = False

    async def run(self) -> Report:
        """Activate at its time and read the version back.

        Raises:
            CommandExpired: the meter was not asked.
            MeterFailed: likewise.
        """
        record = self._means.records.find(self._order.meter, self._order.image_hash)
        was_asked = record is not None and record.step in _ASKED
        try:
            await self._wait_for_its_time()
        except CommandExpired:
            if not was_asked:  # else it is too late to ask, and not to see what the meter has done
                raise
        if record is None or record.step not in _READY:
            return Report(done=False, detail=NOT_BROUGHT)
        if was_asked:
            self._asked_at = asyncio.get_running_loop().time()
        try:
            return await self._visit_until_known(record)
        except CommandExpired as late:
            if self._asked_at is None:
                raise
            return self._report(done=False, detail=f"asked in vain: {late}")

    async def _wait_for_its_time(self) -> None:
        at = self._order.wanted.at
        while True:
            self._order.permit()
            if at is None:
                return
            now = self._means.now()
            left_s = LONGEST_WAIT_S if now is None else (at - now).total_seconds()
            if left_s <= 0:
                return
            await asyncio.sleep(min(left_s, LONGEST_WAIT_S))

    async def _visit_until_known(self, record: Record) -> Report:
        times, clock = self._order.session.template.times, asyncio.get_running_loop().time
        attempt = 0
        while self._asked_at is None or clock() - self._asked_at <= times.activation_s:
            if self._asked_at is None:
                self._order.permit()
            try:
                priority = Priority.IMAGE if attempt else Priority.COMMAND
                done = await self._order.session.line.submit(lambda: self._turn(record), priority)
                if done is not None:
                    return await self._ended(record, done=done)
            except (MeterFailed, StorageFull) as error:
                self._pass_over(error)
            pauses_s = self._means.pauses_s if self._asked_at is None else self._means.polls_s
            await asyncio.sleep(pauses_s[min(attempt, len(pauses_s) - 1)])
            attempt += 1
        return self._overdue()

    def _pass_over(self, error: Exception) -> None:
        """Let what went wrong while a meter restarts be; raise what will not get better."""
        before_asking = self._asked_at is None
        if isinstance(error, _ForGood) or (before_asking and isinstance(error, _FINAL)):
            raise error
        self._last = None
        log.info("meter %s: its new firmware is not read yet: %s", self._order.meter, error)

    async def _turn(self, record: Record) -> bool | None:
        """Look, and ask where that is due; return how it ended, None when that is not known yet."""
        session, version = self._order.session, self._order.wanted.version
        async with session.writing(self._order.expected_ldn) as reading:
            meter = image_transfer_of(session, reading)
            status, firmware = await meter.status(), (await identity_now(reading)).firmware
            self._before = self._before or firmware
            self._last = _Look(status, firmware)
            if firmware == version and status not in _NOT_YET:
                return True
            if status is Status.ACTIVATION_FAILED:
                return False
            if status is Status.VERIFICATION_SUCCESSFUL and not self._taken:
                if self._asked_at is None:
                    check_not_older(version, firmware)
                await self._ask(meter, record)
            elif self._asked_at is None and status is not Status.ACTIVATION_INITIATED:
                raise MeterRefused(f"the meter has no verified image: {status.name.lower()}")
        return None

    async def _ask(self, meter: ImageTransfer, record: Record) -> None:
        if not any(is_this(ready, record.image) for ready in await meter.ready()):
            raise _ForGood("the meter has another image ready than the one that was signed")
        self._order.permit()
        await note(self._means, self._order, record.image, Step.ACTIVATING)
        self._asked_at = asyncio.get_running_loop().time()
        try:
            await meter.activate()
        except MeterRefused as declined:
            raise _ForGood(str(declined)) from declined
        self._taken = True

    async def _ended(self, record: Record, *, done: bool) -> Report:
        step = Step.ACTIVATED if done else Step.REFUSED
        try:
            await note(self._means, self._order, record.image, step)
        except StorageFull as full:
            log.warning("meter %s: %s is not written down: %s", self._order.meter, step, full)
        self._order.session.identity = None  # its firmware is another one now
        return self._report(done=done, detail="" if done else "the meter could not activate it")

    def _overdue(self) -> Report:
        if self._last is None:
            return self._report(done=None, detail="the meter has not answered since it was asked")
        status, told = self._last.status, f"{self._last.firmware!r}"
        done = None if status is Status.ACTIVATION_INITIATED else False
        return self._report(done=done, detail=f"the meter still says {told}, {status.name.lower()}")

    def _report(self, *, done: bool | None, detail: str) -> Report:
        last = self._last
        findings = Findings(
            image=None if last is None else ImageFinding(status=int(last.status)),
            firmware=self._before,
            firmware_after="" if last is None else last.firmware,
        )
        return Report(done, detail, findings=findings)


class _ForGood(MeterRefused):
    """A no that waiting does not change."""

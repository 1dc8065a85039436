"""``gateway.update``: fetch a version of the gateway, go over to it, and tell how that ended.

Theory of operation
-------------------
The command is run again after every restart, and looks first at what `slots` says of it::

    nothing             → fetch the image, unpack it, put it on trial, restart
    on trial, here      → wait until it has proven itself (else the launcher ends this program)
    on trial, not here  → the launcher could not count its start: give it up
    ended               → tell: it stayed, or the version before is back and why
"""

import asyncio
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hesper_contracts import firmware, parameters
from hesper_contracts.commands import Command
from hesper_contracts.firmware import UpdateGateway
from hesper_contracts.frame import Refused
from hesper_contracts.manifest import ANY, Manifest
from hesper_contracts.results import Findings
from hesper_contracts.signing import Keyring
from hesper_contracts.versions import at_least

from hesper_gateway.execution import Report
from hesper_gateway.firmware import Downloads
from hesper_gateway.firmware.images import Wanted
from hesper_gateway.firmware.order import both
from hesper_gateway.own import RestartWanted
from hesper_gateway.presence import installed_version
from hesper_gateway.sessions.relay import Permit
from hesper_gateway.update import bundle
from hesper_gateway.update.slots import Ended, Slots
from hesper_gateway.update.trial import UpdateTrial

STORE_AGAIN_S = 5.0
HINDRANCE = "this version is on trial, and the one before it may not understand; repeat it later"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an update is held against.

    Attributes:
        release_keys: Two of them must have signed the manifest.
        meter_count: How many meters could be read, one of which must be.
        now: The proven time; None before the first proof.
    """

    release_keys: Keyring
    meter_count: int
    now: Callable[[], datetime | None]


class Updater:
    """Updates the gateway.

    Args:
        downloads: Fetches images.
        trial: Of this program.
        terms: What an update is held against.
    """

    def __init__(self, downloads: Downloads, trial: UpdateTrial, terms: Terms) -> None:
        self._downloads = downloads
        self._trial = trial
        self._terms = terms

    def objection(self, command: Command) -> str | None:
        """Return why this version can never be taken; None when it can."""
        if command.approver in (None, command.requester):
            return f"a second person must approve {command.kind}"
        if self._trial.slots is None:
            return "this gateway was not started by `hesper-gateway launch`"
        try:
            said = self._checked(command)
        except Refused as refusal:
            return str(refusal)
        return self._unfit(said)

    def hindrance(self) -> str | None:
        """Return why nothing may change now that only a version on trial may understand."""
        return HINDRANCE if self._trial.is_on_trial else None

    async def run(self, command: Command, permit: Permit) -> Report:
        """Go on from where the update stands.

        Raises:
            RestartWanted: the version is to be tried.
            CommandExpired: by ``permit`` or the image's date; nothing has changed.
            MeterFailed: the image cannot be had.
        """
        slots = self._trial.slots
        if slots is None:
            return Report(False, "this gateway was not started by `hesper-gateway launch`")
        if self._trial.is_on_trial:  # for whichever command: what runs is not overwritten
            await self._trial.settled.wait()
        elif slots.state().trial is not None:
            await _given_up(slots)
        state = slots.state()
        if state.last is not None and state.last.command == command.id:
            return _ended(state.last)
        return await self._bring(command, permit)

    async def check(self, command: Command) -> Report:
        """Tell how it ended, if it did."""
        state = self._trial.slots.state() if self._trial.slots else None
        if state is None or state.last is None or state.last.command != command.id:
            return Report(False, "nothing is known of this update here")
        return _ended(state.last)

    async def _bring(self, command: Command, permit: Permit) -> Report:
        try:
            said = self._checked(command)
        except Refused as refusal:
            return Report(False, str(refusal))
        wanted = Wanted(said.image_hash, said.size)
        store = self._downloads.store
        permit = both(permit, said.not_after, self._terms.now)
        with store.using(wanted):
            await self._downloads.fetch(wanted, permit)
            unpack = partial(bundle.unpack, store.path_of(wanted), version=said.version)
            permit()
            try:
                await asyncio.to_thread(self._try_out, said, command, unpack)
            except (bundle.BundleUnusable, OSError) as error:
                return Report(False, f"the version cannot be unpacked: {error}")
        raise RestartWanted(f"command {command.id} brought version {said.version}")

    def _try_out(self, said: Manifest, command: Command, unpack: Callable[..., None]) -> None:
        if self._trial.slots is not None:
            self._trial.slots.try_out(said.version, command.id, unpack)

    def _checked(self, command: Command) -> Manifest:
        wanted = parameters.of(command)
        if not isinstance(wanted, UpdateGateway):
            raise Refused(f"{command.kind} brings no version")
        return firmware.check(wanted, command.image_hash, self._terms.release_keys)

    def _unfit(self, said: Manifest) -> str | None:
        installed, machine = installed_version(), platform.machine()
        if said.hardware not in (ANY, machine):
            return f"the image is for {said.hardware!r}, this gateway is {machine!r}"
        if said.version == installed:
            return f"this gateway runs {installed!r} already"
        if at_least(said.version, installed) is False:
            return f"the image is older than {installed!r}, which this gateway runs"
        minimum = said.minimum_version
        if minimum is not None and not at_least(installed, minimum):
            return f"the image needs {minimum!r} or later, this gateway has {installed!r}"
        if said.size > self._downloads.store.quota_octets:
            return f"the image has {said.size} octets, there is not so much room for images"
        if not self._terms.meter_count:
            return "this gateway reads no meter, so no version could prove itself"
        return None


async def _given_up(slots: Slots) -> None:
    """Give up what the launcher did not start, as soon as the disk takes that."""
    while True:
        try:
            await asyncio.to_thread(slots.give_up, "its start could not be counted on the disk")
        except OSError:
            await asyncio.sleep(STORE_AGAIN_S)
        else:
            return


def _ended(ended: Ended) -> Report:
    findings = Findings(firmware_after=installed_version())
    if ended.why:
        return Report(False, f"the version before is back: {ended.why}", findings=findings)
    return Report(True, "broker reached, meter read, receipt received", findings=findings)

"""One turn of the authority: settle requests, sign, take results, close, reconcile.

Everything here is synchronous and runs on one thread, so two decisions never race.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from hesper_contracts.signing import Signer
from sqlalchemy import Engine

from hesper_cloud.audit.checkpoints import Checkpoints
from hesper_cloud.authority import cases
from hesper_cloud.authority.alarms import Alarms
from hesper_cloud.authority.batches.frozen import Approvals
from hesper_cloud.authority.batches.releasing import BatchDesk
from hesper_cloud.authority.closing import close_overdue
from hesper_cloud.authority.desk import Desk
from hesper_cloud.authority.dispatch import Dispatcher, Making
from hesper_cloud.authority.enrolment import EnrolmentDesk
from hesper_cloud.authority.firmware import FirmwareDesk
from hesper_cloud.authority.giving_way import GivesWay
from hesper_cloud.authority.key_changes import KeyDesk
from hesper_cloud.authority.kinds import CHANGE_KEYS
from hesper_cloud.authority.outsiders import Outsiders
from hesper_cloud.authority.results import ResultDesk
from hesper_cloud.authority.sending import Outlet, Sending
from hesper_cloud.meter_keys.custody import Custody
from hesper_cloud.observing.commands import CommandTraces
from hesper_cloud.sealing import Opener


class Authority:
    """Decides. The clock is asked for each request, and once for the rest of a turn."""

    def __init__(
        self,
        engines: tuple[Engine, Engine],
        signer: Signer,
        opener: Opener,
        outlet: Outlet,
        clock: Callable[[], datetime],
        enrolment: EnrolmentDesk | None = None,
    ) -> None:
        """Takes the engines of registry and authority, in this order."""
        registry, authority = engines
        self._enrolment, self._database = enrolment, authority
        enrolling = {"gateway.enrol": enrolment.enrol} if enrolment else {}
        self._handlers = cases.HANDLERS | enrolling
        vault = enrolment.vault if enrolment else None
        self._desk = Desk(registry, authority, opener, self._handlers, vault)
        self._give_way = self._desk.give_way
        key_desk = KeyDesk(Custody(enrolment.vault)) if enrolment else None
        self._makings: dict[str, Making] = {CHANGE_KEYS: key_desk.parameters} if key_desk else {}
        heed = key_desk.settle if key_desk else None
        self._results = ResultDesk(registry, authority, self._give_way, heed)
        approvals = Approvals(self._give_way)
        self._dispatcher = Dispatcher(
            registry, authority, signer, approvals, self._give_way, self._makings
        )
        self.spacing = self._dispatcher.spacing
        """How far apart supplies are cut; where its chance comes from may be set."""
        self._batches = BatchDesk(registry, authority, approvals, self.spacing, self._give_way)
        self._alarms = Alarms(registry, authority, enrolment.troubles if enrolment else dict)
        self._sending = Sending(authority, outlet, self._give_way)
        self._clock = clock
        self.checkpoints: Checkpoints | None = None
        """Writes and tells checkpoints of the audit log, where it is told how."""

    def release(self, firmware: FirmwareDesk) -> None:
        """Lets images be brought: takes what is asked about them, and makes their commands."""
        self._handlers.update(firmware.handlers)
        self._makings.update(firmware.makings)

    def admit(self, outsiders: Outsiders) -> None:
        """Lets people come in who prove elsewhere who they are."""
        self._handlers.update(outsiders.handlers)

    def follow(self, traces: CommandTraces) -> None:
        """Has the traces of commands told where results settle them."""
        self._results.traces = traces

    def turn(self) -> None:
        """Does all that is to be done now; what it signs is durable before it is published.

        What the kill switch comes in between waits for the next turn.
        """
        self._desk.settle_new(self._clock)
        now = self._clock()
        if self._enrolment is not None:
            self._enrolment.settle(self._database, now)
        self._alarms.turn(now)
        with suppress(GivesWay):
            self._batches.turn(now)
            self._sign(now)
        if self.checkpoints is not None:
            self.checkpoints.turn(now)

    def _sign(self, now: datetime) -> None:
        try:
            self._sending.send(self._dispatcher.sign_queued(now), now)
        finally:  # where nothing can be signed, what has been is followed all the same
            self._follow(now)

    def _follow(self, now: datetime) -> None:
        """Takes results, closes what ran out of time, and publishes again."""
        self._give_way()
        self._results.take_new(now)
        close_overdue(self._database, now, self._give_way)
        self._results.reconcile(now)
        self._sending.send_again(now)

    def is_asked(self) -> bool:
        """Says whether a request has come that was not settled yet."""
        return self._desk.has_new()

    def is_waiting(self) -> bool:
        """Says whether a command or a batch waits for its turn, so that time alone matters."""
        return (
            self._sending.is_under_way()
            or self._dispatcher.has_queued()
            or self.has_moving_batches()
        )

    def has_moving_batches(self) -> bool:
        """Says whether a batch is under way, so that results come in numbers."""
        return self._batches.is_moving()

    def awaits_results(self) -> bool:
        """Says whether a gateway may answer at any moment."""
        return self._dispatcher.awaits_results()

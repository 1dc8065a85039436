"""Keeping one meter's clock right by policy, beside the scheduled visits.

A visit tells how far the clock is off. Beyond the limit it is set, under the same checks as by
command; a clock that is further off than one step may mend is left to a person, who has been told
by the drift report. After a clock was set it is left alone for a while: one that runs away again at
once needs a person, too.
"""

import logging
from collections.abc import Callable

from hesper_gateway.config import ClockSyncConfig
from hesper_gateway.errands.clock import ClockSetter
from hesper_gateway.errors import MeterFailed
from hesper_gateway.sessions import MeterSession
from hesper_gateway.sessions.clock import MeterTime

log = logging.getLogger(__name__)


class ClockKeeper:
    """Sets one meter's clock when the policy says so.

    Args:
        session: The meter's.
        setter: Sets clocks.
        policy: From gateway.toml.
        now: Epoch seconds, UTC.
    """

    def __init__(
        self,
        session: MeterSession,
        setter: ClockSetter,
        policy: ClockSyncConfig,
        now: Callable[[], float],
    ) -> None:
        self._session = session
        self._setter = setter
        self._policy = policy
        self._now = now
        self._not_before = 0.0
        self._told = ""

    async def keep(self, clock: MeterTime) -> None:
        """Set the clock if it needs it; what goes wrong is logged, and tried after a next visit."""
        policy, now = self._policy, self._now()
        if not policy.limit_s < abs(clock.drift_s) <= policy.max_step_s:
            return
        if now < self._not_before:
            return
        name = self._session.meter.logical_device_name
        try:
            report = await self._setter.set(self._session, name, policy.max_step_s, _always)
        except MeterFailed as error:
            self._log(str(error))
            return
        if report.findings is not None and report.findings.clock_after != report.findings.clock:
            self._not_before = now + policy.again_s
        self._log("" if report.done else report.detail or "it is still wrong")

    def _log(self, why: str) -> None:
        if why and why != self._told:
            log.warning("meter %s: its clock was not set: %s", self._session.meter.id, why)
        self._told = why


def _always() -> None:
    """Permit: a policy has no end."""
